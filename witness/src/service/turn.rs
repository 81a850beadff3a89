//! Turns: one request of a log at a time, from the comparison with its old size to the end of the write.
//!
//! In scope: who holds a log's turn, who waits in line, handing it on. Out of scope: what is done in a turn.
//!
//! No thread waits for a turn: who must is put in the log's line, and becomes a job again when the turn is handed on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::pool::Pool;

/// The line of one log.
pub(super) struct Line<W>(Mutex<Places<W>>);

struct Places<W> {
    taken: bool,
    waiting: VecDeque<W>,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self(Mutex::new(Places { taken: false, waiting: VecDeque::new() }))
    }
}

/// A log with its line.
pub(super) trait HasLine {
    /// What waits in it.
    type Waiting;

    fn line(&self) -> &Line<Self::Waiting>;
}

/// A job that is made of a turn and what waited for it.
pub(super) trait FromTurn<L: HasLine>: Sized {
    fn from_turn(turn: Turn<L, Self>, waiting: L::Waiting) -> Self;
}

/// The right to change a log's state. Handed on to the next in line when dropped.
pub(super) struct Turn<L: HasLine, J: FromTurn<L>> {
    log: Arc<L>,
    pool: Arc<Pool<J>>,
    broken: Arc<AtomicBool>,
    held: bool,
}

impl<L: HasLine, J: FromTurn<L>> Turn<L, J> {
    /// A turn that is not held yet.
    pub(super) fn new(log: Arc<L>, pool: &Arc<Pool<J>>, broken: &Arc<AtomicBool>) -> Self {
        Self { log, pool: Arc::clone(pool), broken: Arc::clone(broken), held: false }
    }

    /// Takes the turn if nobody has it, and gives back what wanted it; else puts that in line.
    pub(super) fn or_wait(mut self, wanting: L::Waiting) -> Option<(Self, L::Waiting)> {
        {
            let mut places = self.log.line().0.lock().unwrap_or_else(PoisonError::into_inner);
            if places.taken {
                places.waiting.push_back(wanting);
                return None;
            }
            places.taken = true;
        }
        self.held = true;
        Some((self, wanting))
    }

    pub(super) fn log(&self) -> &L {
        &self.log
    }
}

impl<L: HasLine, J: FromTurn<L>> Drop for Turn<L, J> {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        // A panic in a turn leaves the log's state unknown: set before the next in line can look.
        if thread::panicking() {
            self.broken.store(true, Ordering::SeqCst);
        }
        let next = {
            let mut places = self.log.line().0.lock().unwrap_or_else(PoisonError::into_inner);
            let next = places.waiting.pop_front();
            places.taken = next.is_some();
            next
        };
        if let Some(waiting) = next {
            let turn = Self {
                log: Arc::clone(&self.log),
                pool: Arc::clone(&self.pool),
                broken: Arc::clone(&self.broken),
                held: true,
            };
            self.pool.push(J::from_turn(turn, waiting));
        }
    }
}
