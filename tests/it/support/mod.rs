//! What the tests of the whole program share: processes that end with the tests, a ledger with a witness and a
//! service, the network, and the people and workloads that use it.

mod ask;
pub(crate) mod demo;
mod genesis;
#[path = "../../../provenance/tests/it/law.rs"]
pub(crate) mod law;
mod net;
mod people;
mod process;
mod stage;

pub(crate) use ask::{Ask, csr, guest, image};
pub(crate) use genesis::{Extra, open as open_ledger};
pub(crate) use net::{Net, Reply};
pub(crate) use people::APPRAISAL;
pub(crate) use process::{Process, Run, TREERING, cli, folder, witness_program};
pub(crate) use stage::{Settings, Stage, TRUST_DOMAIN, edit, shared};

use treering::clock::{Clock, SystemClock};

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemClock.now()
}

/// A fresh random value.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    treering::keys::random().unwrap()
}
