//! A quote: what a TPM signed about its registers, and the checks that every kind with a quote in it makes.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use treering_provenance::bytes::Bytes;

use super::key::Key;
use super::log::BootLog;
use super::wire::{Attest, Signature, WireError, algorithm};
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{Found, Outcome, fail, relaxed};
use crate::verifier::event_log::Algorithm;
use crate::verifier::reference::Registers;

/// Registers of a TPM on a PC platform.
pub(super) const PCRS: u8 = 24;
/// Those into which code is measured (PFP, section 3.3.4; the UAPI group's TPM2 PCR registry; PFP, section 3.3.3 for 17
/// to 19, of a dynamic launch): firmware, drivers, boot loaders; what GRUB and the kernel load, IMA; unified kernel
/// images, their command line and extensions. The others are of configuration and of who may sign, or can be reset by
/// anybody, as 16 and 23.
pub(super) const CODE: [&str; 12] =
    ["pcr0", "pcr2", "pcr4", "pcr8", "pcr9", "pcr10", "pcr11", "pcr12", "pcr13", "pcr17", "pcr18", "pcr19"];

/// The bank whose registers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::verifier::kinds) enum Bank {
    #[default]
    Sha256,
    Sha384,
}

impl Bank {
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256 => Algorithm::Sha256,
            Self::Sha384 => Algorithm::Sha384,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
        }
    }
}

/// A quote that was read; `attest` is an error if what is signed is no quote.
#[derive(Debug, Clone)]
pub(in crate::verifier::kinds) struct Quote {
    octets: Vec<u8>,
    pub(super) attest: Result<Attest, String>,
    signature: Signature,
    pub(super) pcrs: BTreeMap<u8, Vec<u8>>,
}

impl Quote {
    /// Reads TPMS_ATTEST, TPMT_SIGNATURE, and the registers that the quote is about.
    pub(in crate::verifier::kinds) fn read(
        attest: &Bytes,
        signature: &Bytes,
        pcrs: &BTreeMap<u8, Bytes>,
    ) -> Result<Self, String> {
        let octets = attest.0.clone();
        let attest = match Attest::read(&octets) {
            Ok(attest) => Ok(attest),
            Err(WireError::NotAQuote(reason)) => Err(reason),
            Err(WireError::Malformed(reason)) => return Err(format!("attest: {reason}")),
        };
        let signature = Signature::read(&signature.0).map_err(|error| format!("signature: {error}"))?;
        if pcrs.keys().any(|index| *index >= PCRS) {
            return Err(format!("pcrs: a TPM has {PCRS} registers"));
        }
        let pcrs = pcrs.iter().map(|(index, value)| (*index, value.0.clone())).collect();
        Ok(Self { octets, attest, signature, pcrs })
    }

    /// Where the binding value is carried: the qualifying data of the quote, if it has the length of a digest.
    pub(in crate::verifier::kinds) fn carriage(&self, tag: &'static str) -> Option<Carriage> {
        let digest = self.attest.as_ref().ok()?.extra_data.as_slice().try_into().ok()?;
        Some(Carriage::Digest { tag, digest })
    }

    /// `pcr0` to `pcr23`.
    pub(in crate::verifier::kinds) fn registers(&self) -> Registers {
        self.pcrs.iter().map(|(index, value)| (format!("pcr{index}"), value.clone())).collect()
    }

    pub(in crate::verifier::kinds) fn claims(&self) -> Option<QuoteClaims> {
        let attest = self.attest.as_ref().ok()?;
        let pcrs = self.pcrs.iter();
        Some(QuoteClaims {
            extra_data: HEXLOWER.encode(&attest.extra_data),
            qualified_signer: HEXLOWER.encode(&attest.qualified_signer),
            clock: attest.clock,
            clock_safe: attest.safe,
            reset_count: attest.reset_count,
            restart_count: attest.restart_count,
            tpm_firmware_version: format!("{:#x}", attest.firmware_version),
            pcrs: pcrs.map(|(index, value)| (format!("pcr{index}"), HEXLOWER.encode(value))).collect(),
        })
    }
}

/// Whether reference values may name this register.
pub(in crate::verifier::kinds) fn has_pcr(name: &str, octets: usize) -> bool {
    let known = (0..PCRS).any(|index| name == format!("pcr{index}"));
    known && (octets == Algorithm::Sha256.octets() || octets == Algorithm::Sha384.octets())
}

/// What a quote says.
#[derive(Serialize)]
pub(in crate::verifier::kinds) struct QuoteClaims {
    extra_data: String,
    qualified_signer: String,
    /// Milliseconds since the TPM was manufactured or cleared.
    clock: u64,
    clock_safe: bool,
    reset_count: u32,
    restart_count: u32,
    tpm_firmware_version: String,
    // In the order of the registers.
    #[serde(serialize_with = "in_order")]
    pcrs: Vec<(String, String)>,
}

fn in_order<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// What the checks of a quote look at.
pub(in crate::verifier::kinds) struct Quoted<'a> {
    /// `None` if the evidence could not be read.
    pub(in crate::verifier::kinds) quote: Option<&'a Quote>,
    /// The attestation key, or why there is none.
    pub(in crate::verifier::kinds) key: Result<&'a Key, &'a str>,
    pub(in crate::verifier::kinds) bank: Bank,
    /// The event log, judged, if one came along.
    pub(in crate::verifier::kinds) log: Option<&'a Result<BootLog, String>>,
}

impl<'a> Quoted<'a> {
    fn quote(&self) -> Result<&'a Quote, Found> {
        self.quote.ok_or(Found::NotEvaluated("the evidence could not be read"))
    }

    pub(super) fn attest(&self) -> Result<&'a Attest, Found> {
        self.quote()?.attest.as_ref().map_err(|_| Found::NotEvaluated("what is signed is not a quote"))
    }

    pub(super) fn key(&self) -> Result<&'a Key, Found> {
        self.key.map_err(|_| Found::NotEvaluated("there is no attestation key"))
    }

    /// Whether the firmware enforced signatures, as the event log proves it.
    pub(in crate::verifier::kinds) fn secure_boot(&self) -> Option<bool> {
        self.log?.as_ref().ok()?.secure_boot
    }
}

/// Magic and type: the TPM made it itself, and it is a quote.
pub(in crate::verifier::kinds) fn quote_type(quoted: &Quoted<'_>) -> Outcome {
    match &quoted.quote()?.attest {
        Ok(_) => Ok("a quote (TPM_ST_ATTEST_QUOTE)".to_owned()),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(in crate::verifier::kinds) fn quote_key(quoted: &Quoted<'_>) -> Outcome {
    quoted.quote()?;
    match quoted.key {
        Ok(key) => Ok(format!("{}, SHA-256 {}", key.name(), HEXLOWER.encode(&key.fingerprint()))),
        Err(reason) => fail(reason),
    }
}

pub(in crate::verifier::kinds) fn signature(quoted: &Quoted<'_>) -> Outcome {
    let (quote, key) = (quoted.quote()?, quoted.key()?);
    match key.verify(&quote.octets, &quote.signature) {
        Ok(scheme) => Ok(format!("{scheme}, over the octets received")),
        Err(reason) => fail(reason),
    }
}

/// The registers are those that were signed: of the one bank, no more and no fewer, and their digest is the quoted one.
pub(in crate::verifier::kinds) fn pcr_digest(quoted: &Quoted<'_>) -> Outcome {
    let (quote, attest) = (quoted.quote()?, quoted.attest()?);
    let [(bank, selected)] = attest.selections.as_slice() else {
        return fail(format!("registers of {} banks are quoted, want one", attest.selections.len()));
    };
    let wanted = quoted.bank.algorithm();
    if *bank != wanted.id() {
        return fail(format!("the registers are of bank {bank:#06x}, the policy has {}", quoted.bank.name()));
    }
    if !quote.pcrs.keys().eq(selected.iter()) {
        return fail("the registers are not those that the quote selects");
    }
    if let Some((index, value)) = quote.pcrs.iter().find(|(_, value)| value.len() != wanted.octets()) {
        return fail(format!("pcr{index} has {} octets, want {}", value.len(), wanted.octets()));
    }
    // Digested with the hash of the signature (Part 3, TPM2_Quote).
    let hash = match quote.signature.hash {
        algorithm::SHA256 => Algorithm::Sha256,
        algorithm::SHA384 => Algorithm::Sha384,
        other => return fail(format!("hash {other:#06x}, want SHA-256 or SHA-384")),
    };
    let values: Vec<&[u8]> = quote.pcrs.values().map(Vec::as_slice).collect();
    if hash.digest(&values) == attest.pcr_digest {
        Ok(format!("{} registers of the {} bank", values.len(), quoted.bank.name()))
    } else {
        fail("the registers do not have the digest that is quoted")
    }
}

/// A log that came along must lead to the registers, and say what its digests say.
pub(in crate::verifier::kinds) fn boot_log(quoted: &Quoted<'_>) -> Outcome {
    quoted.attest()?;
    match quoted.log {
        None => Ok("none given: the registers speak for themselves".to_owned()),
        Some(Ok(log)) => Ok(format!("{} events lead to the registers quoted", log.events)),
        Some(Err(reason)) => fail(reason.as_str()),
    }
}

/// Whether the event log proves that signatures were enforced.
pub(super) fn secure_boot(quoted: &Quoted<'_>, required: bool) -> Outcome {
    quoted.attest()?;
    match (quoted.secure_boot(), required) {
        (Some(true), _) => Ok("on, as the event log proves".to_owned()),
        (Some(false), true) => fail("off, as the event log proves"),
        (None, true) => fail("not shown: no event log proves it, and the policy requires it"),
        (Some(false), false) => relaxed("require_secure_boot", "off; the policy does not require it"),
        (None, false) => relaxed("require_secure_boot", "not shown; the policy does not require it"),
    }
}
