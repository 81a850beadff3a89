//! Just enough of a DER writer (X.690) to make certificates like AMD's: rcgen cannot sign with RSA-PSS, and the types
//! of x509-cert are made for reading.

use x509_cert::der::asn1::ObjectIdentifier;

pub(super) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// One element: tag, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(short) => out.extend_from_slice(&[0x81, short]),
        Err(_) => {
            // Certificates and CRLs of a simulated platform stay far below 64 KiB.
            let long = u16::try_from(length).unwrap_or(u16::MAX);
            out.push(0x82);
            out.extend_from_slice(&long.to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

pub(super) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SET, &parts.concat())
}

/// `[number] EXPLICIT`.
pub(super) fn explicit(number: u8, content: &[u8]) -> Vec<u8> {
    element(0xa0 | number, content)
}

pub(super) fn oid(dotted: &'static str) -> Vec<u8> {
    element(0x06, ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

/// A non-negative INTEGER from its big-endian octets.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let bytes = bytes.get(significant..).filter(|bytes| !bytes.is_empty()).unwrap_or(&[0]);
    let sign = bytes.first().is_some_and(|first| *first >= 0x80);
    let content = if sign { [&[0], bytes].concat() } else { bytes.to_vec() };
    element(0x02, &content)
}

pub(super) fn boolean_true() -> Vec<u8> {
    element(0x01, &[0xff])
}

pub(super) fn null() -> Vec<u8> {
    element(0x05, &[])
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    element(0x04, content)
}

/// A BIT STRING of whole octets.
pub(super) fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], content].concat())
}

pub(super) fn utf8(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

pub(super) fn printable(text: &str) -> Vec<u8> {
    element(0x13, text.as_bytes())
}

pub(super) fn ia5(text: &str) -> Vec<u8> {
    element(0x16, text.as_bytes())
}

/// A Time as certificates have it: UTCTime through 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5).
pub(super) fn time(unix: u64) -> Vec<u8> {
    let seconds = i64::try_from(unix).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    if at.year() < 2050 {
        element(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        element(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_lengths_are_shortest() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0xdb]), [2, 2, 0, 0xdb]);
        assert_eq!(element(4, &[0; 0x7f])[1], 0x7f);
        assert_eq!(element(4, &[0; 0x80])[1..3], [0x81, 0x80]);
        assert_eq!(element(4, &[0; 0x100])[1..4], [0x82, 1, 0]);
    }

    #[test]
    fn times_change_their_form_with_2050() {
        assert_eq!(time(0), b"\x17\x0d700101000000Z");
        assert_eq!(time(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(time(2_524_608_000), b"\x18\x0f20500101000000Z");
    }
}
