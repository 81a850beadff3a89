//! What NVIDIA's tools write: JSON with a report and its certificates for each device.
//!
//! `[{"arch": "HOPPER", "nonce": hex, "evidence": base64, "certificate": base64 of PEM}...]`; in `nvattest`'s files and
//! in requests to NRAS alike. The architecture and the nonce in it are nobody's word: the report has the nonce, the
//! certificates say what device it is.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;

use super::container;
use crate::verifier::evidence::{NVIDIA_GPU, NVIDIA_SWITCH};
use crate::verifier::pem;

/// Octets of such a file: sixteen devices have 200 KiB.
const MAX_EXPORT_BYTES: usize = 1024 * 1024;

/// Why a file is none of NVIDIA's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Too large.
    #[error("at most {MAX_EXPORT_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// Not JSON of the form.
    #[error("not evidence as NVIDIA's tools write it: {0}")]
    Form(String),
    /// One of the devices is not as it should be.
    #[error("device {position}: {reason}")]
    Device {
        /// Which one, from 0.
        position: usize,
        /// Why.
        reason: String,
    },
}

/// One device's evidence: its media type, and the octets that are appraised.
pub type NvidiaItem = (&'static str, Vec<u8>);

#[derive(Deserialize)]
struct Exported {
    arch: String,
    evidence: String,
    certificate: String,
}

/// Reads a file: an array of devices, or one device, each an item of evidence.
pub fn read_export(octets: &[u8]) -> Result<Vec<NvidiaItem>, ExportError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        Several(Vec<Exported>),
        One(Exported),
    }
    if octets.len() > MAX_EXPORT_BYTES {
        return Err(ExportError::TooLarge(octets.len()));
    }
    let file = serde_json::from_slice(octets).map_err(|error| ExportError::Form(error.to_string()))?;
    let devices = match file {
        File::Several(devices) => devices,
        File::One(device) => vec![device],
    };
    let read = |(position, device): (usize, &Exported)| {
        device.read().map_err(|reason| ExportError::Device { position, reason: reason.to_owned() })
    };
    devices.iter().enumerate().map(read).collect()
}

impl Exported {
    fn read(&self) -> Result<NvidiaItem, &'static str> {
        let decode = |text: &str| BASE64.decode(text.as_bytes());
        let report = decode(&self.evidence).map_err(|_| "the evidence is not base64")?;
        let chain = decode(&self.certificate).map_err(|_| "the certificates are not base64")?;
        let media_type = if self.arch.eq_ignore_ascii_case("LS10") { NVIDIA_SWITCH } else { NVIDIA_GPU };
        Ok((media_type, container::write(&report, &certificates(&chain)?)))
    }
}

/// A report in hex and its certificates in PEM, as the SDK's samples keep them in two files, as one item.
pub fn from_hex_and_pem(report: &str, chain: &[u8]) -> Result<Vec<u8>, ExportError> {
    let form = |reason: &str| ExportError::Form(reason.to_owned());
    let report =
        HEXLOWER_PERMISSIVE.decode(report.trim().as_bytes()).map_err(|_| form("the report is not hex"))?;
    Ok(container::write(&report, &certificates(chain).map_err(form)?))
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    Ok(pem::blocks(pem)?.into_iter().map(|block| block.der).collect())
}
