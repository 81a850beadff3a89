//! One demo for all tests that look at what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use treering_provenance::trust::Trust;

use super::{Run, cli, folder, witness_program};

/// What the demo printed, and the folder that it kept.
pub(crate) struct Demo {
    pub(crate) dir: PathBuf,
    pub(crate) run: Run,
    pub(crate) report: Value,
}

/// The demo, run once.
pub(crate) fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        witness_program();
        let dir = folder("demo").join("kept");
        let run = cli(["demo", "--json", "--keep", dir.to_str().unwrap()]);
        let report = run.json();
        Demo { dir, run, report }
    })
}

impl Demo {
    /// A kept file.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    /// The credential's certificates, DER: the workload's, the CA's.
    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        certificates(&self.dir.join("credential.pem"))
    }

    /// The trust file.
    pub(crate) fn trust(&self) -> Trust {
        Trust::parse(&fs::read(self.dir.join("trust.json")).unwrap()).unwrap()
    }
}

/// The certificates in a PEM file.
pub(crate) fn certificates(path: &Path) -> Vec<Vec<u8>> {
    let pem = fs::read(path).unwrap();
    CertificateDer::pem_slice_iter(&pem).map(|certificate| certificate.unwrap().to_vec()).collect()
}
