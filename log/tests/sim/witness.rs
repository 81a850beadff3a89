//! A simulated witness behind a simulated network.

use std::{sync::Mutex, time::Duration};

use tokio::time;
use treering_tlog::{
    checkpoint::Checkpoint,
    cosignature::CosignSigner,
    hash::{EMPTY_ROOT, Hash},
    note::{Note, NoteSignature},
};

#[path = "../it/honest.rs"]
mod honest;

use honest::{Seen, cosign};

use super::{random::Random, told::Told};
use crate::publisher::{BoxFuture, CosignError, Cosigned, Cosigner};

/// How a witness behaves that breaks the rules; the others keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// Its state goes back to an earlier one, again and again.
    Forgetful,
    /// Whatever it says is a lie, drawn anew each time.
    Liar,
}

/// The way there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Good,
    /// Requests and answers are lost, late and doubled.
    Bad,
    /// Nothing arrives.
    Down,
}

pub(crate) struct Witness {
    name: String,
    number: u64,
    pub(crate) signer: CosignSigner,
    pub(crate) manner: Manner,
    told: Told,
    state: Mutex<State>,
}

struct State {
    /// What it keeps on its disk.
    seen: Seen,
    earlier: Seen,
    way: Way,
    random: Random,
}

impl Witness {
    pub(crate) fn new(number: u64, manner: Manner, told: Told, seed: u64) -> Self {
        let signer =
            CosignSigner::from_seed(format!("witness.example/{number}"), &[number as u8; 32]).unwrap();
        let random = Random::new(seed ^ (number + 1).wrapping_mul(0x1234_5678_9abc_def1));
        let state = State { earlier: Seen::NOTHING, seen: Seen::NOTHING, way: Way::Good, random };
        Self { name: format!("w{number}"), number, signer, manner, told, state: Mutex::new(state) }
    }

    pub(crate) fn set_way(&self, way: Way) {
        self.state.lock().unwrap().way = way;
    }

    pub(crate) fn way(&self) -> Way {
        self.state.lock().unwrap().way
    }

    pub(crate) fn size(&self) -> u64 {
        self.state.lock().unwrap().seen.size
    }

    /// How long one way takes. No two witnesses do anything in the same millisecond, so that their order is given.
    fn latency(&self) -> Duration {
        let mut state = self.state.lock().unwrap();
        let steps = match state.way {
            Way::Good => state.random.below(2),
            Way::Bad => [0, 1, 3, 12, 40][state.random.below(5) as usize],
            Way::Down => 0,
        };
        Duration::from_millis(8 * steps + 2 * self.number + 1)
    }

    fn chance(&self, percent: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        state.way == Way::Bad && state.random.percent(percent)
    }

    async fn exchange<T>(&self, process: impl Fn() -> Result<T, CosignError>) -> Result<T, CosignError> {
        let unreachable = |why: &str| Err(CosignError::Unreachable(why.into()));
        time::sleep(self.latency()).await;
        if self.way() == Way::Down {
            return unreachable("down");
        }
        if self.chance(15) {
            return unreachable("the request was lost");
        }
        let mut answer = process();
        if self.chance(15) {
            // The network delivers it twice, and one of the answers comes first.
            let second = process();
            if self.chance(50) {
                answer = second;
            }
        }
        time::sleep(self.latency()).await;
        if self.chance(15) { unreachable("the answer was lost") } else { answer }
    }

    /// C2SP tlog-witness.
    fn process(&self, old: u64, proof: &[Hash], bytes: &[u8]) -> Result<Cosigned, CosignError> {
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        let note = Note::parse(bytes).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        match self.manner {
            Manner::Liar => return self.lie(&mut state.random, old, &checkpoint, &note),
            Manner::Forgetful if state.random.percent(20) => state.seen = state.earlier.clone(),
            Manner::Forgetful if state.random.percent(20) => state.earlier = state.seen.clone(),
            Manner::Forgetful | Manner::Honest => {}
        }
        state.seen.check(old, &checkpoint, proof)?;
        let line = cosign(&self.signer, &note);
        state.seen.keep(&checkpoint, note, line.clone());
        Ok(Cosigned { lines: vec![line] })
    }

    fn lie(
        &self,
        random: &mut Random,
        old: u64,
        checkpoint: &Checkpoint,
        note: &Note,
    ) -> Result<Cosigned, CosignError> {
        let other = Checkpoint::new(checkpoint.origin(), checkpoint.size() + 1, EMPTY_ROOT).unwrap().body();
        let line = match random.below(7) {
            0 => return Err(CosignError::Conflict { size: 1_000_000 }),
            1 => return Err(CosignError::Conflict { size: checkpoint.size() + 1 }),
            2 => return Err(CosignError::Conflict { size: old }),
            3 => return Err(CosignError::Refused { status: 403, message: "no".into() }),
            4 => self.signer.cosign(&other, 5).unwrap(),
            5 => CosignSigner::from_seed(self.signer.name(), &[99; 32])
                .unwrap()
                .cosign(note.text(), 5)
                .unwrap(),
            _ => {
                let mut blob = self.signer.cosign(note.text(), 5).unwrap().blob();
                blob[30] ^= 1;
                NoteSignature::from_blob(self.signer.name(), &blob).unwrap()
            }
        };
        Ok(Cosigned { lines: vec![line] })
    }

    fn show(&self) -> Result<Option<Vec<u8>>, CosignError> {
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        if self.manner == Manner::Liar {
            return match state.random.below(3) {
                0 => Ok(None),
                1 => Ok(Some(b"nonsense".to_vec())),
                _ => Err(CosignError::Refused { status: 500, message: "no".into() }),
            };
        }
        Ok(state.seen.note.clone())
    }
}

impl Cosigner for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn add_checkpoint<'a>(
        &'a self,
        old_size: u64,
        proof: &'a [Hash],
        note: &'a [u8],
    ) -> BoxFuture<'a, Result<Cosigned, CosignError>> {
        Box::pin(async move {
            // Whatever becomes of it: it has left the process.
            let size = Checkpoint::parse(Note::parse(note).unwrap().text()).unwrap().size();
            self.told.note(size, note);
            let answer = self.exchange(|| self.process(old_size, proof, note)).await;
            let said = answer.as_ref().map(|_| "cosigned").map_err(ToString::to_string);
            self.told.trace(format_args!("{} {old_size}->{size}: {said:?}", self.name));
            answer
        })
    }

    fn latest<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, CosignError>> {
        Box::pin(async move { self.exchange(|| self.show()).await })
    }
}
