//! Certificates in the form of NVIDIA's: boot ROM, provisioner, identity CA and root, and the leaf with its DICE
//! extension.

use super::super::der::{
    SEQUENCE, bits, boolean_true, element, explicit, integer, octets, oid, printable, sequence, set, time,
    utf8,
};
use super::super::keys::ReportKey;
use super::{Authority, Identity, Model};
use crate::attester::AttesterError;

/// Organisation in every name, where NVIDIA's certificates have NVIDIA's.
const ORGANISATION: &str = "Treering Simulation";
/// Certificates are valid this long; NVIDIA's have no end.
const LIFETIME_S: u64 = 20 * 365 * 86_400;

pub(super) fn leaf(
    identity: &Identity,
    alias: &[u8],
    key: &ReportKey,
    boot_rom: &Authority,
    from: u64,
) -> Result<Vec<u8>, AttesterError> {
    let chip = identity.model.chip();
    let fwid = sequence(&[oid("2.16.840.1.101.3.4.2.2"), octets(&identity.fwid)]);
    let firmware = match identity.model {
        Model::Gb100 => extension(
            "2.23.133.5.4.1.1",
            false,
            &sequence(&[
                element(0x80, b"NVIDIA"),
                element(0x81, b"GB100 A01 GSP"),
                element(0xa6, &[fwid, sequence(&[oid("2.16.840.1.101.3.4.2.2"), octets(&[0; 48])])].concat()),
            ]),
        ),
        Model::Gh100 | Model::Ls10 => {
            let boot_rom = public_key_info(boot_rom.public_point());
            extension("2.23.133.5.4.1", false, &sequence(&[integer(&[1]), boot_rom, fwid]))
        }
    };
    let serial = data_encoding::HEXUPPER.encode(alias);
    let dmtf = format!("NVIDIA:{}:48B02D0123456789", identity.dmtf_chip);
    let dmtf = explicit(0, &[oid("1.3.6.1.4.1.412.274.1"), explicit(0, &utf8(&dmtf))].concat());
    let extensions = [
        extension("2.5.29.15", true, &element(0x03, &[7, 0x80])),
        extension("2.5.29.17", false, &sequence(&[dmtf])),
        firmware,
    ];
    let subject = name(&format!("{chip} A01 GSP FMC LF"), Some(&serial));
    certificate(alias, boot_rom, &subject, public_key_info(key.public_point()), &extensions, from)
}

/// With `list`, it names the list on which it would be, and a responder, as NVIDIA's CAs do.
pub(super) fn authority(
    of: &Authority,
    issuer: &Authority,
    list: Option<&str>,
    from: u64,
) -> Result<Vec<u8>, AttesterError> {
    let mut extensions = vec![
        extension("2.5.29.19", true, &sequence(&[boolean_true()])),
        // Certificates and CRLs.
        extension("2.5.29.15", true, &element(0x03, &[1, 0x06])),
    ];
    if let Some(list) = list {
        let uri = |text: &str| element(0x86, text.as_bytes());
        let url = uri(&format!("http://crl.ndis.nvidia.com/crl/{list}.crl"));
        let point = sequence(&[element(0xa0, &element(0xa0, &url))]);
        let responder = sequence(&[oid("1.3.6.1.5.5.7.48.1"), uri("http://ocsp.ndis.nvidia.com")]);
        extensions.push(extension("2.5.29.31", false, &sequence(&[point])));
        extensions.push(extension("1.3.6.1.5.5.7.1.1", false, &sequence(&[responder])));
    }
    let key = public_key_info(of.public_point());
    certificate(&of.serial, issuer, &of.name, key, &extensions, from)
}

/// Of a responder to OCSP requests, or of one that was certified for nothing of the kind.
pub(super) fn responder(
    of: &Authority,
    issuer: &Authority,
    chosen: bool,
    from: u64,
) -> Result<Vec<u8>, AttesterError> {
    let usage = if chosen { "1.3.6.1.5.5.7.3.9" } else { "1.3.6.1.5.5.7.3.2" };
    let extensions = [extension("2.5.29.37", false, &sequence(&[oid(usage)]))];
    certificate(&of.serial, issuer, &of.name, public_key_info(of.public_point()), &extensions, from)
}

fn certificate(
    serial: &[u8],
    issuer: &Authority,
    subject: &[u8],
    key: Vec<u8>,
    extensions: &[Vec<u8>],
    from: u64,
) -> Result<Vec<u8>, AttesterError> {
    let body = [
        explicit(0, &integer(&[2])),
        integer(serial),
        algorithm(),
        issuer.name.clone(),
        sequence(&[time(from), time(from.saturating_add(LIFETIME_S))]),
        subject.to_vec(),
        key,
        explicit(3, &sequence(extensions)),
    ];
    issuer.signed(&element(SEQUENCE, &body.concat()))
}

/// ecdsa-with-SHA384.
pub(super) fn algorithm() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.3")])
}

fn public_key_info(point: &[u8]) -> Vec<u8> {
    sequence(&[sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")]), bits(point)])
}

pub(super) fn name(common_name: &str, serial: Option<&str>) -> Vec<u8> {
    let attribute = |id: &'static str, value: Vec<u8>| set(&[sequence(&[oid(id), value])]);
    let mut parts = Vec::new();
    parts.extend(serial.map(|serial| attribute("2.5.4.5", printable(serial))));
    parts.push(attribute("2.5.4.10", utf8(ORGANISATION)));
    parts.push(attribute("2.5.4.3", utf8(common_name)));
    sequence(&parts)
}

fn extension(id: &'static str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean_true());
    }
    parts.push(octets(value));
    sequence(&parts)
}

/// A `GeneralizedTime`, as OCSP has it whatever the year.
pub(super) fn generalized(unix: u64) -> Vec<u8> {
    let at = i64::try_from(unix).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let at = at.unwrap_or(jiff::Timestamp::MAX).to_zoned(jiff::tz::TimeZone::UTC);
    element(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}
