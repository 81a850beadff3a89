//! The collateral that evidence calls for, named so that somebody else can find or fetch it.
//!
//! Read from evidence before anything in it is believed: a lie gets its teller collateral that does not fit.

use data_encoding::HEXLOWER;
use treering_provenance::x509::Profile;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;

use super::certificates::label;
use super::collateral::{Collateral, Document};
use super::evidence::Evidence;
use super::kinds;
use super::kinds::sev_snp::{Generation, SigningKey, Tcb};
use super::kinds::{intel, nvidia};

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
    /// The revocation list of an authority of Nitro Enclaves, where a certificate says that it is.
    NitroCrl {
        /// The AWS region whose list it is; the root's is of none.
        region: Option<String>,
        /// The list's own name there, a UUID.
        id: String,
        /// Whose it is.
        authority: Option<String>,
    },
    /// The revocation list of one of NVIDIA's authorities, where a certificate says that it is.
    NvidiaCrl {
        /// Its name there, such as `l2-gh100`.
        file: String,
        /// Whose it is.
        authority: Option<String>,
    },
    /// What NVIDIA's responder says of a certificate (OCSP).
    NvidiaOcsp(OcspQuestion),
}

/// About which certificate a responder is asked (RFC 6960 section 4.1.1), by SHA-1 as NVIDIA's documentation has it: the
/// hashes name, and prove nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspQuestion {
    /// Of the issuer's name.
    pub issuer_name: [u8; 20],
    /// Of the issuer's key.
    pub issuer_key: [u8; 20],
    /// The certificate's serial number, as in DER.
    pub serial: Vec<u8>,
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
                    HEXLOWER.encode(hardware_id),
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
                format!("intel/{tee}/tcb/{}", HEXLOWER.encode(fmspc))
            }
            Self::IntelQeIdentity { tee } => format!("intel/{tee}/qe-identity"),
            Self::IntelPckCrl { ca } => format!("intel/crl/{ca}"),
            Self::IntelRootCrl => "intel/crl/root".to_owned(),
            Self::NitroCrl { region, id, .. } => {
                format!("aws/nitro/crl/{}/{id}", region.as_deref().unwrap_or("root"))
            }
            Self::NvidiaCrl { file, .. } => format!("nvidia/crl/{file}"),
            Self::NvidiaOcsp(OcspQuestion { issuer_name, issuer_key, serial }) => {
                let issuer = HEXLOWER.encode(&[&issuer_name[..], issuer_key].concat());
                format!("nvidia/ocsp/{issuer}/{}", HEXLOWER.encode(serial))
            }
        }
    }

    /// A name for what says itself whose it is, and not where it is published: what is imported has it. What is fetched
    /// never has: a certificate that nobody has verified could name one authority, and the list of another.
    pub fn of(&self) -> Option<String> {
        match self {
            Self::NitroCrl { authority, .. } => authority.as_deref().map(nitro_crl_of),
            Self::NvidiaCrl { authority, .. } => authority.as_deref().map(nvidia_crl_of),
            Self::NvidiaOcsp(question) => Some(nvidia_ocsp_of(&question.serial)),
            _ => None,
        }
    }
}

pub(super) fn nitro_crl_of(authority: &str) -> String {
    format!("aws/nitro/crl/of/{authority}")
}

pub(super) fn nvidia_crl_of(authority: &str) -> String {
    format!("nvidia/crl/of/{authority}")
}

pub(super) fn nvidia_ocsp_of(serial: &[u8]) -> String {
    format!("nvidia/ocsp/of/{}", HEXLOWER.encode(serial))
}

impl Wanted {
    /// Whether its vendor issues it anew from time to time, so that of two the newer counts.
    pub const fn is_reissued(&self) -> bool {
        match self {
            Self::AmdVcek { .. } | Self::AmdChain { .. } => false,
            Self::AmdCrl { .. }
            | Self::IntelTcbInfo { .. }
            | Self::IntelQeIdentity { .. }
            | Self::IntelPckCrl { .. }
            | Self::IntelRootCrl
            | Self::NitroCrl { .. }
            | Self::NvidiaCrl { .. }
            | Self::NvidiaOcsp(_) => true,
        }
    }

    /// Whether collateral that came with evidence has something in this place already, right or wrong. What is
    /// not reissued is then not looked for.
    pub fn is_among(&self, given: &Collateral) -> bool {
        let (name, of) = (self.name(), self.of());
        let is_it = |one: &str| one == name || of.as_deref() == Some(one);
        kinds::KINDS.iter().any(|kind| kind.named(given).iter().any(|(name, _)| is_it(name)))
    }
}

/// The names by which the content of collateral would be wanted, and that part of it; each once, though a report inside
/// evidence of another kind calls for the same as one outside.
pub fn named(collateral: &Collateral) -> Vec<(String, Collateral)> {
    let mut all: Vec<(String, Collateral)> = Vec::new();
    for one in kinds::KINDS.iter().flat_map(|kind| kind.named(collateral)) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// When lists and answers in collateral end, as they say themselves: the first of them. There is newer to be had then.
pub fn current_until(collateral: &Collateral) -> Option<u64> {
    let next = |der: &Vec<u8>| {
        let list: Option<CertificateList> = CertificateList::from_der(der).ok();
        list?.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs())
    };
    let lists = collateral.crls().iter().filter_map(next);
    let answers = collateral.documents().iter().filter(|one| one.media_type == nvidia::OCSP_RESPONSE);
    lists.chain(answers.filter_map(|one| nvidia::answers_until(&one.bytes))).min()
}

/// How new collateral is, by its own word: of Intel's documents by the evaluation first. Greater is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Edition {
    /// `tcbEvaluationDataNumber`; 0 of everything else.
    pub evaluation: u32,
    /// When it was issued, Unix seconds.
    pub issued: u64,
}

/// The edition of one thing that a vendor publishes: of its documents, else of its lists, else of its certificates.
pub fn edition(collateral: &Collateral) -> Edition {
    let document = |document: &Document| {
        if document.media_type == nvidia::OCSP_RESPONSE {
            Some((0, nvidia::answers_from(&document.bytes)?))
        } else {
            intel::edition(&document.bytes)
        }
    };
    let list = |der: &Vec<u8>| {
        let list: Option<CertificateList> = CertificateList::from_der(der).ok();
        Some((0, list?.tbs_cert_list.this_update.to_unix_duration().as_secs()))
    };
    let certificate = |der: &Vec<u8>| Some((0, Profile::parse(der).ok()?.validity().0));
    let documents = collateral.documents().iter().filter_map(document).max();
    let lists = || collateral.crls().iter().filter_map(list).max();
    let certificates = || collateral.certificates().iter().filter_map(certificate).max();
    let (evaluation, issued) = documents.or_else(lists).or_else(certificates).unwrap_or_default();
    Edition { evaluation, issued }
}

/// The lists in collateral, each by a name that it has from its authority's; those of others have none.
pub(super) fn lists_of(
    collateral: &Collateral,
    is_ours: impl Fn(&str) -> bool,
    name: impl Fn(&str) -> String,
) -> Vec<(String, Collateral)> {
    let named = collateral.crls().iter().filter_map(|der| {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let authority = label(&list.tbs_cert_list.issuer).filter(|authority| is_ours(authority))?;
        Some((name(&authority), Collateral::of_parts(Vec::new(), vec![der.clone()], Vec::new())))
    });
    named.collect()
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
