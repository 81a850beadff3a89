//! A closed loop on threads of this process, for work that is CPU alone.

use std::time::Instant;

use anyhow::{Result, anyhow};

use super::meter::{Latencies, Usage, Window};

/// What the threads did in the time measured.
pub(super) struct Worked {
    pub(super) latencies: Latencies,
    pub(super) seconds: f64,
    /// CPU seconds of this process.
    pub(super) cpu_s: f64,
    /// At the end.
    pub(super) usage: Usage,
}

/// Runs one loop on every thread; `begin` makes a thread's work, by the thread's number.
pub(super) fn run<W: FnMut() -> Result<()>>(
    threads: usize,
    seconds: u64,
    begin: impl Fn(usize) -> Result<W> + Sync,
) -> Result<Worked> {
    let window = Window::of_seconds(seconds);
    let one_thread = |number| -> Result<Latencies> {
        let (mut work, mut latencies) = (begin(number)?, Latencies::new()?);
        while window.is_open() {
            let begin = Instant::now();
            work()?;
            let end = Instant::now();
            if window.counts(begin, end) {
                latencies.record(end - begin);
            }
        }
        Ok(latencies)
    };
    let one_thread = &one_thread;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || one_thread(number))).collect();
        std::thread::sleep(window.begin().saturating_duration_since(Instant::now()));
        let before = Usage::of(None)?;
        let mut latencies = Latencies::new()?;
        for thread in threads {
            let one = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            latencies.add(&one)?;
        }
        let usage = Usage::of(None)?;
        Ok(Worked { latencies, seconds: window.seconds(), cpu_s: usage.cpu_since(before), usage })
    })
}
