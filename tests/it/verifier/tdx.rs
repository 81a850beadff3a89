//! Appraisal of TDX quotes: from hardware, where the folder of foreign vectors lies beside this repository, and from
//! the simulated platform, which can be made wrong in one point at a time.

mod anything;
mod hardware;
mod logs;
mod policy;
mod simulated;

use std::path::PathBuf;

use treering::attester::simulated::intel::{Td, measure};
use treering::verifier::{self, Evidence};

use super::intel::{self, MID_2025, PLATFORM, simulated};
use super::{Case, vectors};

/// 2026-03-21T00:00:00Z: the collateral of the later vectors is current.
const MARCH_2026: u64 = 1_774_051_200;
const BINDING: [u8; 64] = [0x5a; 64];
/// Lenient, as far as the test at hand is not about it.
const LENIENT: &str = "[tdx]\nrequire_reference_value = false\n";

fn folder() -> Option<PathBuf> {
    Some(vectors()?.join("evidence/tdx"))
}

fn real(name: &str, quote: &str, collateral: &str, now: u64) -> Option<Case> {
    intel::real(verifier::TDX_QUOTE, "tdx", (quote, collateral), (name, now))
}

const COLLATERAL_2025: &str = "dcap-qvl/tdx_quote_collateral.json";
const COLLATERAL_50806F: &str = "assembled/collateral_fmspc_50806f_2026-03.json";
const COLLATERAL_90C06F: &str = "assembled/collateral_fmspc_90c06f_2026-03.json";

fn v4() -> Option<Case> {
    real("v4", "dcap-qvl/tdx_quote", COLLATERAL_2025, MID_2025)
}

fn v5() -> Option<Case> {
    real("v5", "go-tdx-guest/quote_v5_sample.dat", COLLATERAL_90C06F, MARCH_2026)
}

fn td() -> Td {
    Td { rtmrs: [[1; 48], [2; 48], [3; 48], [0; 48]], ..Td::of(measure(b"firmware")) }
}

fn of(td: &Td) -> Case {
    simulated(verifier::TDX_QUOTE, PLATFORM.quote_td(td, &BINDING).unwrap())
}

/// A simulated quote of version 5.
pub(crate) fn example() -> Case {
    of(&td())
}

fn with_log(case: &Case, media_type: &str, log: Vec<u8>) -> Case {
    let quote = (verifier::TDX_QUOTE, case.octets().to_vec());
    Case { evidence: Evidence::new([quote, (media_type, log)]).unwrap(), ..case.clone() }
}
