//! What the fuzz targets do, one function per parser: nothing panics on any bytes, and what a parser accepts keeps its
//! promises (one encoding, an inverse, no changed byte believed). Plain functions, so that `cargo test` here replays
//! seeds and past findings without a fuzzer.
//!
//! A changed but otherwise valid input is described by [`Input::Edits`]: random bytes alone never pass a signature or
//! an authentication tag, so nothing behind one would be reached.

use std::fs;
use std::path::Path;

pub mod formats;
pub mod platforms;
pub mod provenance;
pub mod service;
pub mod vtpm;
#[path = "../../../provenance/tests/it/fixture.rs"]
#[allow(
    dead_code,
    clippy::all,
    reason = "shared with the tests of treering-provenance, of which some is used here"
)]
pub(crate) mod world;

/// A target: its name and what it does with the fuzzer's bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("add_checkpoint", formats::add_checkpoint),
    ("appraisal_policy", service::appraisal_policy),
    ("bundle", formats::bundle),
    ("cca_token", platforms::cca_token),
    ("checkpoint", formats::checkpoint),
    ("cmw_collection", service::cmw_collection),
    ("cmw_file", service::cmw_file),
    ("collateral", service::collateral),
    ("config", service::config),
    ("consistency_receipt", provenance::consistency_receipt),
    ("content", provenance::content),
    ("cose_key", provenance::cose_key),
    ("credential_proof", provenance::credential_proof),
    ("envelope", provenance::envelope),
    ("evidence", service::evidence),
    ("grant_message", provenance::grant_message),
    ("identifier", service::identifier),
    ("intel_quote", service::intel_quote),
    ("jwk", provenance::jwk),
    ("manifest", service::manifest),
    ("merkle_proof", formats::merkle_proof),
    ("nitro_document", platforms::nitro_document),
    ("note", formats::note),
    ("nvidia_report", service::nvidia_report),
    ("receipt", provenance::receipt),
    ("reference_values", service::reference_values),
    ("snp_report", service::snp_report),
    ("statement", provenance::statement),
    ("strict_cbor", provenance::strict_cbor),
    ("tile_path", formats::tile_path),
    ("tlog_policy", formats::tlog_policy),
    ("tlog_proof", formats::tlog_proof),
    ("token", service::token),
    ("trust_file", provenance::trust_file),
    ("verify_x509", provenance::verify_x509),
    ("vtpm_evidence", vtpm::vtpm_evidence),
    ("witness_files", formats::witness_files),
    ("x509_strip", provenance::x509_strip),
];

/// How a target takes the fuzzer's bytes: the first says which.
pub enum Input<'a> {
    /// As they are.
    Raw(&'a [u8]),
    /// Changes to something valid: for each three bytes, an offset and what to XOR there.
    Edits(&'a [u8]),
}

impl<'a> Input<'a> {
    /// Splits off the first byte.
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let (first, rest) = data.split_first()?;
        Some(if first % 2 == 0 { Self::Raw(rest) } else { Self::Edits(rest) })
    }
}

/// `valid` with the edits made; `None` if nothing changed.
pub fn edited(valid: &[u8], edits: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = valid.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] ^= edit[2];
    }
    (bytes != valid).then_some(bytes)
}

/// Inputs with the names of their targets.
pub type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Writes the seeds of `target` into its corpus: real bytes made by the code itself, some with keys of this process.
/// Each target does so at its start, so that no second build without the fuzzer's flags is needed.
pub fn write_seeds(target: &str, seeds: fn() -> Seeds) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).unwrap();
    let own = seeds().into_iter().filter(|(name, _)| *name == target);
    for (number, (_, bytes)) in own.enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), bytes).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{formats, platforms, provenance, service, vtpm};

    #[test]
    fn targets_are_sorted_and_have_files() {
        assert!(super::TARGETS.is_sorted_by_key(|(name, _)| name));
        for (name, _) in super::TARGETS {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(&format!("::{name}(data)")), "{}", file.display());
        }
    }

    #[test]
    fn seeds_pass() {
        let seeds =
            [formats::seeds(), platforms::seeds(), provenance::seeds(), service::seeds(), vtpm::seeds()]
                .concat();
        for (name, _) in super::TARGETS {
            assert!(seeds.iter().any(|(seeded, _)| seeded == name), "{name} has no seed");
        }
        for (name, seed) in seeds {
            let (_, target) = super::TARGETS.iter().find(|(target, _)| *target == name).unwrap();
            target(&seed);
        }
    }
}
