//! Certificates in the form of AMD's: ARK, ASK, VCEK (AMD 57230), and a CRL. Names and keys are the simulation's own.

use super::Processor;
use super::der::{
    bits, boolean_true, element, explicit, ia5, integer, null, octets, oid, printable, sequence, set, time,
    utf8,
};
use super::keys::RsaKey;
use crate::attester::AttesterError;

/// Organisation in every name, where AMD's certificates have AMD's: nobody takes one for the other.
const ORGANISATION: &str = "Treering Simulation";
/// A simulated root and issuer are valid this long; AMD's are for 25 years.
const AUTHORITY_LIFETIME_S: u64 = 20 * 365 * 86_400;
/// As AMD's VCEKs.
const VCEK_LIFETIME_S: u64 = 7 * 365 * 86_400;

/// Security versions of the firmware components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedTcb {
    /// First mutable code; meaningful for Turin only.
    pub fmc: u8,
    /// PSP bootloader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// As an ordinary Milan of 2026.
impl Default for SimulatedTcb {
    fn default() -> Self {
        Processor::Milan.ordinary_tcb()
    }
}

/// Serial numbers as AMD has them: the root's, its first issuer's; every VCEK has 0.
const ROOT_SERIAL: [u8; 3] = [1, 0, 0];
pub(super) const ISSUER_SERIAL: [u8; 3] = [1, 0, 1];

pub(super) fn root(key: &RsaKey, processor: Processor, now: u64) -> Result<Vec<u8>, AttesterError> {
    let name = name(&format!("ARK-{}", processor.name()));
    let extensions = [
        extension("2.5.29.15", true, &element(0x03, &[1, 0x06])),
        extension("2.5.29.14", false, &octets(&key.identifier())),
        extension("2.5.29.19", true, &sequence(&[boolean_true()])),
    ];
    let body = [
        integer(&ROOT_SERIAL),
        algorithm(),
        name.clone(),
        sequence(&[time(now), time(now.saturating_add(AUTHORITY_LIFETIME_S))]),
        name,
        key.public_key_info(),
    ];
    certificate(&body, &extensions, key)
}

pub(super) fn issuer(
    key: &RsaKey,
    root: &RsaKey,
    processor: Processor,
    now: u64,
) -> Result<Vec<u8>, AttesterError> {
    let extensions = [
        extension("2.5.29.14", false, &octets(&key.identifier())),
        extension("2.5.29.35", false, &sequence(&[element(0x80, &root.identifier())])),
        extension("2.5.29.19", true, &sequence(&[boolean_true(), integer(&[0])])),
        extension("2.5.29.15", true, &element(0x03, &[2, 0x04])),
    ];
    let body = [
        integer(&ISSUER_SERIAL),
        algorithm(),
        name(&format!("ARK-{}", processor.name())),
        sequence(&[time(now), time(now.saturating_add(AUTHORITY_LIFETIME_S))]),
        name(&format!("SEV-{}", processor.name())),
        key.public_key_info(),
    ];
    certificate(&body, &extensions, root)
}

/// What a VCEK certificate says about its chip.
pub(super) struct Chip<'a> {
    pub(super) processor: Processor,
    pub(super) tcb: SimulatedTcb,
    pub(super) hardware_id: &'a [u8],
    pub(super) public_point: &'a [u8],
}

pub(super) fn vcek(chip: &Chip<'_>, issuer: &RsaKey, now: u64) -> Result<Vec<u8>, AttesterError> {
    let public_key =
        sequence(&[sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")]), bits(chip.public_point)]);
    let body = [
        integer(&[0]),
        algorithm(),
        name(&format!("SEV-{}", chip.processor.name())),
        sequence(&[time(now), time(now.saturating_add(VCEK_LIFETIME_S))]),
        name("SEV-VCEK"),
        public_key,
    ];
    certificate(&body, &chip_extensions(chip), issuer)
}

/// AMD's extensions in AMD's order, which is another one from Turin on.
fn chip_extensions(chip: &Chip<'_>) -> Vec<Vec<u8>> {
    let tcb = chip.tcb;
    let number = |id: &'static str, value: u8| extension(id, false, &integer(&[value]));
    let mut out = match chip.processor {
        Processor::Milan | Processor::Genoa => vec![number("1.3.6.1.4.1.3704.1.1", 0)],
        Processor::Turin => vec![number("1.3.6.1.4.1.3704.1.1", 1)],
    };
    out.push(extension("1.3.6.1.4.1.3704.1.2", false, &ia5(chip.processor.product())));
    let bootloader = number("1.3.6.1.4.1.3704.1.3.1", tcb.bootloader);
    let tee = number("1.3.6.1.4.1.3704.1.3.2", tcb.tee);
    let snp = number("1.3.6.1.4.1.3704.1.3.3", tcb.snp);
    let microcode = number("1.3.6.1.4.1.3704.1.3.8", tcb.microcode);
    let reserved = [
        number("1.3.6.1.4.1.3704.1.3.5", 0),
        number("1.3.6.1.4.1.3704.1.3.6", 0),
        number("1.3.6.1.4.1.3704.1.3.7", 0),
    ];
    match chip.processor {
        Processor::Milan | Processor::Genoa => {
            out.extend([bootloader, tee, number("1.3.6.1.4.1.3704.1.3.4", 0)]);
            out.extend(reserved);
            out.extend([snp, microcode]);
        }
        Processor::Turin => {
            out.extend([number("1.3.6.1.4.1.3704.1.3.9", tcb.fmc), bootloader, tee, snp]);
            out.extend(reserved);
            out.push(microcode);
        }
    }
    // The raw octets, without a DER head of their own: so AMD does.
    out.push(extension("1.3.6.1.4.1.3704.1.4", false, chip.hardware_id));
    out
}

/// A CRL of the root's.
pub(super) fn crl(
    root: &RsaKey,
    processor: Processor,
    revoked: &[&[u8]],
    this_update: u64,
    next_update: u64,
) -> Result<Vec<u8>, AttesterError> {
    let mut parts = vec![
        integer(&[1]),
        algorithm(),
        name(&format!("ARK-{}", processor.name())),
        time(this_update),
        time(next_update),
    ];
    if !revoked.is_empty() {
        let entries: Vec<Vec<u8>> =
            revoked.iter().map(|serial| sequence(&[integer(serial), time(this_update)])).collect();
        parts.push(sequence(&entries));
    }
    signed(&sequence(&parts), root)
}

/// The CRL of a platform that is made now: nothing is revoked, for the lifetime of its VCEK.
pub(super) fn revocation_list(
    root: &RsaKey,
    processor: Processor,
    now: u64,
) -> Result<Vec<u8>, AttesterError> {
    crl(root, processor, &[], now, now.saturating_add(VCEK_LIFETIME_S))
}

fn certificate(body: &[Vec<u8>], extensions: &[Vec<u8>], key: &RsaKey) -> Result<Vec<u8>, AttesterError> {
    let version = explicit(0, &integer(&[2]));
    let extensions = explicit(3, &sequence(extensions));
    signed(&element(super::der::SEQUENCE, &[version, body.concat(), extensions].concat()), key)
}

fn signed(to_be_signed: &[u8], key: &RsaKey) -> Result<Vec<u8>, AttesterError> {
    let signature = key.sign(to_be_signed)?;
    Ok(sequence(&[to_be_signed.to_vec(), algorithm(), bits(&signature)]))
}

/// RSASSA-PSS with SHA-384, MGF1 with SHA-384, 48 octets of salt, and the trailer field written out: as AMD has it.
fn algorithm() -> Vec<u8> {
    let sha384 = sequence(&[oid("2.16.840.1.101.3.4.2.2"), null()]);
    let mask = sequence(&[oid("1.2.840.113549.1.1.8"), sha384.clone()]);
    let parameters = sequence(&[
        explicit(0, &sha384),
        explicit(1, &mask),
        explicit(2, &integer(&[48])),
        explicit(3, &integer(&[1])),
    ]);
    sequence(&[oid("1.2.840.113549.1.1.10"), parameters])
}

/// A name in AMD's order of attributes.
pub(super) fn name(common_name: &str) -> Vec<u8> {
    let attribute = |id: &'static str, value: Vec<u8>| set(&[sequence(&[oid(id), value])]);
    sequence(&[
        attribute("2.5.4.11", utf8("Engineering")),
        attribute("2.5.4.6", printable("US")),
        attribute("2.5.4.7", utf8("Santa Clara")),
        attribute("2.5.4.8", utf8("CA")),
        attribute("2.5.4.10", utf8(ORGANISATION)),
        attribute("2.5.4.3", utf8(common_name)),
    ])
}

pub(super) fn extension(id: &'static str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean_true());
    }
    parts.push(octets(value));
    sequence(&parts)
}
