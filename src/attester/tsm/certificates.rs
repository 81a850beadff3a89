//! The host's certificate table, which comes with a SEV-SNP report (AMD 56421, GHCB, section 4.1.8.1).
//!
//! Entries of GUID, offset and length, ended by one of zeros; the certificates after it, in DER or PEM. The host wrote
//! it: it is a help in finding certificates and no reason to believe them.

use super::super::AttesterError;

/// GUID (16), offset (4), length (4), little-endian.
const ENTRY_BYTES: usize = 24;
/// There are five kinds.
const MAX_ENTRIES: usize = 16;
/// GUIDs as they lie in memory: the first three fields little-endian.
const VCEK: [u8; 16] =
    [0x8d, 0x75, 0xda, 0x63, 0x64, 0xe6, 0x64, 0x45, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
const VLEK: [u8; 16] =
    [0xc2, 0x4b, 0x07, 0xa8, 0x5a, 0xa2, 0x3e, 0x48, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1];
const ASK: [u8; 16] =
    [0x79, 0xb3, 0xb7, 0x4a, 0xac, 0xbb, 0xe4, 0x4f, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82];
const ARK: [u8; 16] =
    [0xa4, 0x06, 0xb4, 0xc0, 0x03, 0xa8, 0x52, 0x49, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae];

/// The certificates in a table, in DER, that of the signing key first. An empty table has none.
pub(super) fn of_table(table: &[u8]) -> Result<Vec<Vec<u8>>, AttesterError> {
    let bad = |reason: &str| AttesterError::Report(format!("the host's certificate table: {reason}"));
    let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
    if table.iter().all(|octet| *octet == 0) {
        return Ok(Vec::new());
    }
    for number in 0..=MAX_ENTRIES {
        let start = number.saturating_mul(ENTRY_BYTES);
        let entry =
            table.get(start..start.saturating_add(ENTRY_BYTES)).ok_or_else(|| bad("it does not end"))?;
        let (guid, place) = entry.split_at(16);
        if guid.iter().all(|octet| *octet == 0) {
            found.sort_by_key(|(order, _)| *order);
            return Ok(found.into_iter().map(|(_, der)| der).collect());
        }
        let Some(order) = [VCEK, VLEK, ASK, ARK].iter().position(|known| known == guid) else { continue };
        let offset = word(place, 0);
        let bytes = table.get(offset..offset.saturating_add(word(place, 4)));
        let bytes = bytes.ok_or_else(|| bad("an entry points outside it"))?;
        found.push((order, der_of(bytes).ok_or_else(|| bad("an entry is neither DER nor PEM"))?));
    }
    Err(bad("too many entries"))
}

fn word(bytes: &[u8], at: usize) -> usize {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word));
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// DER as it is, or the first PEM block.
fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.first() == Some(&0x30) {
        return Some(bytes.to_vec());
    }
    // Hosts pad with zeros to a page.
    let end = bytes.iter().rposition(|octet| *octet != 0)?;
    let (_, der) = pem_rfc7468::decode_vec(bytes.get(..=end)?).ok()?;
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of these, one after the other.
    fn table(entries: &[([u8; 16], &[u8])]) -> Vec<u8> {
        let mut offset = (entries.len() + 1) * ENTRY_BYTES;
        let (mut head, mut body) = (Vec::new(), Vec::new());
        for (guid, bytes) in entries {
            head.extend_from_slice(guid);
            for number in [offset, bytes.len()] {
                head.extend(u32::try_from(number).unwrap().to_be_bytes().iter().rev());
            }
            body.extend_from_slice(bytes);
            offset += bytes.len();
        }
        head.extend([0; ENTRY_BYTES]);
        [head, body].concat()
    }

    #[test]
    fn certificates_come_in_the_order_of_the_chain() {
        let pem = b"-----BEGIN CERTIFICATE-----\nMAIFAA==\n-----END CERTIFICATE-----\n\0\0\0";
        let unknown = [7; 16];
        let table = table(&[(ARK, b"0root"), (unknown, b"x"), (ASK, pem), (VCEK, b"0leaf")]);
        let ask = vec![0x30, 0x02, 0x05, 0x00];
        assert_eq!(of_table(&table).unwrap(), [b"0leaf".to_vec(), ask, b"0root".to_vec()]);
    }

    #[test]
    fn tables_that_lie_are_refused() {
        assert_eq!(of_table(&[]).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(of_table(&[0; 4096]).unwrap(), Vec::<Vec<u8>>::new());
        let good = table(&[(VCEK, b"0leaf")]);
        for (at, octet) in [(16, 0xff), (19, 0xff), (20, 0xff), (23, 0x7f)] {
            let mut bad = good.clone();
            bad[at] = octet;
            of_table(&bad).unwrap_err();
        }
        of_table(&good[..30]).unwrap_err();
        of_table(&table(&[(VCEK, b"what is this")])).unwrap_err();
        of_table(&table(&[([7; 16], &[][..]); 20])).unwrap_err();
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(table in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            of_table(&table).ok();
        }
    }
}
