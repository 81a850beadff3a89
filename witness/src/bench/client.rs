//! The clients: one connection and one request at a time each, over HTTP/1.1 written by hand, so that the generator takes
//! as little of the machine as it can.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::{BenchError, logs::Log};
use crate::clock;

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) status: u16,
    pub(super) time: Duration,
}

/// Runs all clients; the answers after the warm-up, and how many requests were not ready.
pub(super) async fn run(
    address: SocketAddr,
    clients: Vec<Vec<Log>>,
    warm_up: Duration,
    measured: Duration,
) -> Result<(Vec<Sample>, usize), BenchError> {
    let begin = clock::monotonic() + warm_up;
    let mut running = JoinSet::new();
    for logs in clients {
        running.spawn(client(address, logs, begin, begin + measured));
    }
    let (mut samples, mut late) = (Vec::new(), 0);
    while let Some(ended) = running.join_next().await {
        let (theirs, unprepared) = ended.map_err(|_| BenchError::Protocol)??;
        samples.extend(theirs);
        late += unprepared;
    }
    Ok((samples, late))
}

async fn client(
    address: SocketAddr,
    mut logs: Vec<Log>,
    begin: Instant,
    end: Instant,
) -> Result<(Vec<Sample>, usize), BenchError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut samples, mut late, mut buffer) = (Vec::new(), 0, Vec::new());
    loop {
        for log in &mut logs {
            let (request, ready) = log.next()?;
            let sent = clock::monotonic();
            if sent >= end {
                return Ok((samples, late));
            }
            stream.write_all(&request).await?;
            let status = answer(&mut stream, &mut buffer).await?;
            let received = clock::monotonic();
            if sent >= begin && received <= end {
                samples.push(Sample { status, time: received - sent });
                late += usize::from(!ready);
            }
        }
    }
}

/// Reads one answer whole.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, BenchError> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(BenchError::Protocol);
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = buffer.get(..end).and_then(|head| std::str::from_utf8(head).ok());
        let head = head.ok_or(BenchError::Protocol)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let (status, length) = (status.ok_or(BenchError::Protocol)?, length.ok_or(BenchError::Protocol)?);
        while buffer.len() < end + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                return Err(BenchError::Protocol);
            }
        }
        return Ok(status);
    }
}
