//! The report: an SPDM 1.1 `GET_MEASUREMENTS` request and the `MEASUREMENTS` response to it (DSP0274, tables 44 to 48), as
//! the device signed them. Out of scope: whether any of it is true.
//!
//! ```text
//! 0    version 0x11, code 0xe0, 0x01 (sign), 0xff (all measurements), nonce[32], slot
//! 37   version 0x11, code 0x60, 0x00, slot, number of blocks, u24 octets of them
//! 45   blocks: index, 0x01 (DMTF), u16 size, type, u16 octets, digest
//! ...  nonce[32], u16 octets of opaque data, opaque data, signature r || s
//! ```

use std::collections::BTreeMap;

use super::container::Unreadable;
use super::opaque;

/// Prefix of the registers' names.
pub(super) const REGISTER: &str = "measurement";
/// Octets of a measurement: SHA-384.
pub(super) const DIGEST_BYTES: usize = 48;
/// Octets of the signature, r || s of P-384, big-endian.
const SIGNATURE_BYTES: usize = 96;
/// SPDM 1.1.
const VERSION: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xe0;
const MEASUREMENTS: u8 = 0x60;
/// Request: a signature is wanted, over all measurements.
const SIGNED: u8 = 1;
const ALL: u8 = 0xff;
/// The slot of the certificates that NVIDIA's devices sign with.
const SLOT: u8 = 0;
/// `MeasurementSpecification`: DMTF's.
const DMTF: u8 = 1;
/// Bit 7 of `DMTFSpecMeasurementValueType`: raw, and not a digest.
const RAW: u8 = 0x80;
/// `DMTFSpecMeasurementValueType`s that are assigned in SPDM 1.1.
const LAST_VALUE_TYPE: u8 = 3;

/// A report, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    raw: Vec<u8>,
    /// The nonce of the request.
    pub(super) nonce: [u8; 32],
    /// By position, which is the index less one.
    pub(super) measurements: Vec<[u8; DIGEST_BYTES]>,
    /// NVIDIA's own fields by number.
    pub(super) opaque: BTreeMap<u16, Vec<u8>>,
}

impl Report {
    /// Reads a report with this many measurements; nothing may follow it.
    pub(super) fn read(raw: &[u8], measurements: usize) -> Result<Self, Unreadable> {
        let mut rest = Reader(raw);
        let nonce = request(&mut rest)?;
        let blocks = response(&mut rest, measurements)?;
        let _response_nonce = rest.take(32)?;
        let length = usize::from(rest.u16()?);
        let opaque = opaque::read(rest.take(length)?)?;
        let _signature = rest.take(SIGNATURE_BYTES)?;
        if !rest.0.is_empty() {
            return Err(Unreadable::NotCanonical(format!("{} octets follow the signature", rest.0.len())));
        }
        Ok(Self { raw: raw.to_vec(), nonce, measurements: blocks, opaque })
    }

    /// What the device signed: the request and the response up to the signature (DSP0274 section 10.11.3).
    pub(super) fn signed(&self) -> &[u8] {
        self.raw.get(..self.raw.len().saturating_sub(SIGNATURE_BYTES)).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.raw.get(self.raw.len().saturating_sub(SIGNATURE_BYTES)..).unwrap_or_default()
    }
}

fn request(rest: &mut Reader<'_>) -> Result<[u8; 32], Unreadable> {
    header(rest, "request", GET_MEASUREMENTS)?;
    let [attributes, operation] = rest.array()?;
    if attributes != SIGNED || operation != ALL {
        return format(format!(
            "a request {attributes:#04x} {operation:#04x}, want all measurements, signed"
        ));
    }
    let nonce = rest.array()?;
    let [slot] = rest.array()?;
    if slot != SLOT {
        return format(format!("a request to slot {slot}, want {SLOT}"));
    }
    Ok(nonce)
}

fn response(rest: &mut Reader<'_>, want: usize) -> Result<Vec<[u8; DIGEST_BYTES]>, Unreadable> {
    header(rest, "response", MEASUREMENTS)?;
    let [reserved, slot, count, low, middle, high] = rest.array()?;
    if reserved != 0 || slot != SLOT {
        return Err(Unreadable::NotCanonical("reserved octets of the response are not zero".to_owned()));
    }
    let count = usize::from(count);
    if count != want {
        return format(format!("{count} measurements, want {want}"));
    }
    let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
    let mut blocks = Reader(rest.take(length)?);
    let all = (1..=count).map(|index| block(&mut blocks, index)).collect::<Result<_, _>>()?;
    if blocks.0.is_empty() { Ok(all) } else { format("octets follow the last measurement".to_owned()) }
}

fn block(rest: &mut Reader<'_>, want: usize) -> Result<[u8; DIGEST_BYTES], Unreadable> {
    let [index, specification] = rest.array()?;
    if usize::from(index) != want || specification != DMTF {
        return format(format!(
            "measurement {index} of specification {specification}, want {want} of {DMTF}"
        ));
    }
    let (size, [value_type], octets) = (rest.u16()?, rest.array()?, rest.u16()?);
    let want = (usize::from(size), usize::from(octets));
    if want != (DIGEST_BYTES.saturating_add(3), DIGEST_BYTES) || value_type & RAW != 0 {
        return format(format!("measurement {index} of {octets} octets is not a SHA-384 digest"));
    }
    if value_type > LAST_VALUE_TYPE {
        return format(format!("measurement {index} is of type {value_type}, which is not assigned"));
    }
    rest.array()
}

fn header(rest: &mut Reader<'_>, what: &str, want: u8) -> Result<(), Unreadable> {
    let [version, code] = rest.array()?;
    if version != VERSION {
        return format(format!("SPDM version {version:#04x} of the {what}, want {VERSION:#04x} (1.1)"));
    }
    if code != want {
        return format(format!("code {code:#04x} of the {what}, want {want:#04x}"));
    }
    Ok(())
}

fn format<T>(reason: String) -> Result<T, Unreadable> {
    Err(Unreadable::Format(reason))
}

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, octets: usize) -> Result<&'a [u8], Unreadable> {
        let ends = || Unreadable::Format("it ends inside a field".to_owned());
        let (taken, rest) = self.0.split_at_checked(octets).ok_or_else(ends)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let ends = |_| Unreadable::Format("it ends inside a field".to_owned());
        self.take(N)?.try_into().map_err(ends)
    }

    /// Little-endian, as all numbers of SPDM.
    pub(super) fn u16(&mut self) -> Result<u16, Unreadable> {
        self.array().map(u16::from_le_bytes)
    }
}
