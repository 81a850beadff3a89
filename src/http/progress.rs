//! A stream whose peer must take what it is sent.
//!
//! A peer that asks for something and never reads holds a connection, and its answer in memory, for as long as TCP
//! keeps the connection alive, which is for ever. The limit on a request's time does not see it: the answer is made by
//! then, and only waits to be written.
//!
//! In scope: time without progress. Out of scope: how slow progress may be ([`server`](super::server) bounds that by
//! how long a connection may begin no request).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream that fails when nothing of what is to be written was taken for some time.
pub(super) struct Progress<S> {
    stream: S,
    patience: Duration,
    /// When patience ends. It counts only while a write waits.
    end: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Progress<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, end: Box::pin(tokio::time::sleep(patience)), waiting: false }
    }

    /// Passes a result of a write on, or the end of patience.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.end.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of what it is sent")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut slow = Progress::new(ours, PATIENCE);
        let reader = tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                tokio::time::sleep(PATIENCE / 2).await;
                taken.push(theirs.read_u8().await.unwrap());
            }
            (taken, theirs)
        });
        slow.write_all(b"0123456789").await.unwrap();
        let (taken, theirs) = reader.await.unwrap();
        assert_eq!(taken, b"0123456789");
        // Silence while nothing is to be written is no offence.
        tokio::time::sleep(10 * PATIENCE).await;
        let begin = Instant::now();
        let error = slow.write_all(b"ab").await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (io::ErrorKind::TimedOut, PATIENCE.as_secs()));
        drop(theirs);
    }
}
