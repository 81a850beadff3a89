//! The threads that verify and sign: a queue and as many threads as cores.
//!
//! In scope: handing jobs to threads. Out of scope: bounding them (the HTTP side admits a fixed number of requests).
//!
//! Not tokio's blocking threads: there each request wakes a thread, while under load these find the next job without being
//! woken.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

pub(super) struct Pool<J> {
    queue: Mutex<Queue<J>>,
    filled: Condvar,
}

struct Queue<J> {
    jobs: VecDeque<J>,
    idle: usize,
    closed: bool,
}

impl<J> Pool<J> {
    pub(super) fn new() -> Self {
        let queue = Queue { jobs: VecDeque::new(), idle: 0, closed: false };
        Self { queue: Mutex::new(queue), filled: Condvar::new() }
    }

    /// Adds a job. After [`Pool::close`] it is dropped.
    pub(super) fn push(&self, job: J) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return;
        }
        queue.jobs.push_back(job);
        if queue.idle > 0 {
            self.filled.notify_one();
        }
    }

    /// The next job; `None` when there will be no more.
    pub(super) fn next(&self) -> Option<J> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    /// Lets the threads end when the queue is empty.
    pub(super) fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.filled.notify_all();
    }
}
