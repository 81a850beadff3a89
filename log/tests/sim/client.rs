//! Simulated clients: each wants some appends in the log, and asks until it knows that they are.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{random::Random, told::Told};
use crate::{Append, AppendError, Appended, Log, NewEntry, RegisterName};

/// What a client wants logged.
#[derive(Clone, Debug)]
struct Wish {
    number: usize,
    texts: Vec<String>,
    once: Option<[u8; 32]>,
    register: Option<(RegisterName, Option<u64>)>,
}

impl Wish {
    fn new(number: usize, random: &mut Random) -> Self {
        let mut texts = vec![format!("wish {number} {}", "x".repeat(random.below(60) as usize))];
        for part in 0..random.below(3) {
            texts.push(format!("wish {number} part {part}"));
        }
        if random.percent(30) {
            // Others want this one, too.
            texts.push(format!("shared {}", random.below(4)));
        }
        let once = random.percent(60).then(|| [number as u8 + 1; 32]);
        let register = random.percent(50).then(|| {
            let name = ["governance", "other"][random.below(2) as usize];
            (RegisterName::new(name).unwrap(), None)
        });
        Self { number, texts, once, register }
    }

    fn append(&self) -> Append {
        let mut append = Append::of(self.texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect());
        append.once = self.once.into_iter().collect();
        if let Some((name, at)) = &self.register {
            (append.expect, append.set) = (vec![(name.clone(), *at)], vec![(name.clone(), 0)]);
        }
        append
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Appended, AppendError>>>>;

/// All clients together.
pub(crate) struct Clients {
    told: Told,
    /// Not known to be logged, and nothing under way.
    wishes: VecDeque<Wish>,
    under_way: Vec<(Wish, Answer)>,
    done: Vec<bool>,
}

impl Clients {
    pub(crate) fn new(count: usize, told: Told, random: &mut Random) -> Self {
        let mut wishes: VecDeque<_> = (0..count).map(|number| Wish::new(number, random)).collect();
        // Some histories cross the border of a tile and of a bundle.
        if let Some(first) = wishes.front_mut().filter(|_| random.percent(25)) {
            first.texts.extend((0..215).map(|part| format!("many {part}")));
        }
        Self { told, wishes, under_way: Vec::new(), done: vec![false; count] }
    }

    pub(crate) fn all_done(&self) -> bool {
        self.done.iter().all(|done| *done)
    }

    /// Sends one wish, which one is left to chance; sometimes twice.
    pub(crate) fn send(&mut self, log: &Log, random: &mut Random) {
        let at = random.below(self.wishes.len() as u64) as usize;
        let Some(wish) = self.wishes.remove(at) else { return };
        if self.done[wish.number] {
            return;
        }
        if random.percent(10) {
            self.wishes.push_back(wish.clone());
        }
        let (log, append) = (log.clone(), wish.append());
        self.under_way.push((wish, Box::pin(async move { log.append(append).await })));
        self.poll(None);
    }

    /// A client stops waiting, whatever may have become of its append, and will ask again.
    pub(crate) fn lose_an_answer(&mut self, random: &mut Random) {
        if !self.under_way.is_empty() {
            let at = random.below(self.under_way.len() as u64) as usize;
            self.wishes.push_back(self.under_way.swap_remove(at).0);
        }
    }

    /// The process is gone, and every connection with it.
    pub(crate) fn disconnect(&mut self) {
        self.wishes.extend(self.under_way.drain(..).map(|(wish, _)| wish));
    }

    /// Takes the answers that have come. With a log, those that need a look into it are looked at.
    pub(crate) fn poll(&mut self, log: Option<&Log>) {
        let mut waiting = Vec::new();
        for (wish, mut answer) in std::mem::take(&mut self.under_way) {
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => waiting.push((wish, answer)),
                Poll::Ready(answer) => self.take(wish, answer, log),
            }
        }
        self.under_way.extend(waiting);
    }

    fn take(&mut self, mut wish: Wish, answer: Result<Appended, AppendError>, log: Option<&Log>) {
        let own = |index: u64| {
            log.is_some_and(|log| log.entry(index).unwrap().as_deref() == Some(wish.texts[0].as_bytes()))
        };
        let said = answer.as_ref().map(|done| done.indexes().to_vec()).map_err(ToString::to_string);
        self.told.trace(format_args!("wish {}: {said:?}", wish.number));
        match answer {
            Ok(done) => {
                self.told.answer(&done, &wish.texts, wish.once);
                // Of a repeated statement nothing moves; then it had moved before.
                if let (Some((name, from)), Some(false)) = (&wish.register, done.duplicates().first()) {
                    self.told.moved(name, *from, done.indexes()[0]);
                }
                self.done[wish.number] = true;
                return;
            }
            // An earlier attempt was logged, and its answer was lost.
            Err(AppendError::AlreadyUsed { key, index }) => {
                assert_eq!(Some(key), wish.once, "somebody else's key");
                if log.is_some() {
                    assert!(own(index), "a once key was used by an entry that is not its owner's");
                    self.told.used(key, index);
                    self.done[wish.number] = true;
                    return;
                }
            }
            Err(AppendError::StaleExpectation { actual, .. }) => {
                if actual.is_some_and(own) {
                    self.done[wish.number] = true;
                    return;
                }
                // Somebody else's decision came first: decide again.
                if let Some((_, at)) = &mut wish.register {
                    *at = actual;
                }
            }
            Err(
                AppendError::Genesis { .. }
                | AppendError::Full { .. }
                | AppendError::Held
                | AppendError::Stopped
                | AppendError::Poisoned(_)
                | AppendError::Seal(_),
            ) => {}
            Err(error) => panic!("{error}"),
        }
        self.wishes.push_back(wish);
    }
}
