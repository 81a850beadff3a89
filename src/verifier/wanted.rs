//! The collateral that evidence calls for, named so that somebody else can find or fetch it.
//!
//! Read from evidence before anything in it is believed: a lie gets its teller collateral that does not fit.

use super::collateral::Collateral;
use super::evidence::Evidence;
use super::kinds;
use super::kinds::sev_snp::{Generation, SigningKey, Tcb};

/// One thing that a vendor publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// The certificate of the VCEK of a chip at a TCB version (AMD 57230, KDS).
    AmdVcek {
        /// The generation of the processor.
        generation: Generation,
        /// The hardware id: 64 octets, of a Turin 8.
        hardware_id: Vec<u8>,
        /// The reported TCB version.
        tcb: Tcb,
    },
    /// The issuer of a generation's keys of a kind, and its root.
    AmdChain {
        /// The generation of the processor.
        generation: Generation,
        /// Of which keys.
        key: SigningKey,
    },
    /// The revocation list of a generation's issuers of such keys.
    AmdCrl {
        /// The generation of the processor.
        generation: Generation,
        /// Which issuer's.
        key: SigningKey,
    },
    /// TCB information (Intel PCS).
    IntelTcbInfo {
        /// `sgx` or `tdx`.
        tee: &'static str,
        /// The family, model and stepping of the platform.
        fmspc: [u8; 6],
    },
    /// The identity of the quoting enclave.
    IntelQeIdentity {
        /// `sgx` or `tdx`.
        tee: &'static str,
    },
    /// The revocation list of the CA that issued the platform's certificate.
    IntelPckCrl {
        /// `processor` or `platform`.
        ca: &'static str,
    },
    /// The revocation list of Intel's root.
    IntelRootCrl,
}

impl Wanted {
    /// A name for it, one per thing: lower-case words and hex between slashes.
    pub fn name(&self) -> String {
        match self {
            Self::AmdVcek { generation, hardware_id, tcb } => {
                let fmc = tcb.fmc.map(|fmc| format!("-fmc{fmc}")).unwrap_or_default();
                format!(
                    "amd/{}/vcek/{}/bl{}-tee{}-snp{}-ucode{}{fmc}",
                    lower(*generation),
                    data_encoding::HEXLOWER.encode(hardware_id),
                    tcb.bootloader,
                    tcb.tee,
                    tcb.snp,
                    tcb.microcode,
                )
            }
            Self::AmdChain { generation, key } => {
                format!("amd/{}/chain/{}", lower(*generation), key.name().to_ascii_lowercase())
            }
            Self::AmdCrl { generation, key } => {
                format!("amd/{}/crl/{}", lower(*generation), key.name().to_ascii_lowercase())
            }
            Self::IntelTcbInfo { tee, fmspc } => {
                format!("intel/{tee}/tcb/{}", data_encoding::HEXLOWER.encode(fmspc))
            }
            Self::IntelQeIdentity { tee } => format!("intel/{tee}/qe-identity"),
            Self::IntelPckCrl { ca } => format!("intel/crl/{ca}"),
            Self::IntelRootCrl => "intel/crl/root".to_owned(),
        }
    }
}

impl Wanted {
    /// Whether collateral that came with evidence has something in this place already, right or wrong: what came is not
    /// second-guessed.
    pub fn is_among(&self, given: &Collateral) -> bool {
        kinds::KINDS.iter().any(|kind| kind.named(given).iter().any(|(name, _)| *name == self.name()))
    }
}

/// The names by which the content of collateral would be wanted, and that part of it.
pub fn named(collateral: &Collateral) -> Vec<(String, Collateral)> {
    kinds::KINDS.iter().flat_map(|kind| kind.named(collateral)).collect()
}

fn lower(generation: Generation) -> String {
    generation.name().to_ascii_lowercase()
}

/// What the components of evidence call for, each once.
pub fn wanted(evidence: &Evidence) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for item in evidence.items() {
        let kind = kinds::by_media_type(item.media_type());
        for one in kind.map(|kind| kind.wants(item.bytes())).unwrap_or_default() {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}
