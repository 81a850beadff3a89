//! PEM bundles as people keep them: several certificates in one file, CRLs among them, comments between. What is
//! inside a block must be base64 and nothing else.

use data_encoding::BASE64;

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Vec<u8>,
}

/// Whether the octets look like PEM rather than DER.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

const BEGIN: &str = "-----BEGIN ";

/// Every block of a file, in order.
pub(super) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a PEM file is text")?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once("-----").ok_or("a PEM header does not end")?;
        let (body, after) = after.split_once("-----END ").ok_or("a PEM block does not end")?;
        let after = after.strip_prefix(label).and_then(|after| after.strip_prefix("-----"));
        rest = after.ok_or("a PEM block ends with another label than it began")?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let der = BASE64.decode(body.as_bytes()).map_err(|_| "a PEM block is not base64")?;
        found.push(Block { label: label.to_owned(), der });
    }
    Ok(found)
}

/// Writes one block.
pub(super) fn block(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut out = format!("{BEGIN}{label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_blocks_are_named() {
        assert_eq!(blocks(b"-----BEGIN X").unwrap_err(), "a PEM header does not end");
        assert_eq!(blocks(b"-----BEGIN X-----\nAA==").unwrap_err(), "a PEM block does not end");
        assert!(blocks(b"-----BEGIN X-----\nAA==\n-----END Y-----").is_err());
        assert!(blocks(b"-----BEGIN X-----\n!!\n-----END X-----").is_err());
        assert_eq!(blocks(b"nothing").unwrap(), []);
    }

    proptest! {
        #[test]
        fn blocks_round_trip(first in prop::collection::vec(any::<u8>(), 0..200), second in prop::collection::vec(any::<u8>(), 0..200)) {
            let file = format!("a comment\n{}between\n{}", block("CERTIFICATE", &first), block("X509 CRL", &second));
            let read = blocks(file.as_bytes()).unwrap();
            prop_assert_eq!(read, vec![
                Block { label: "CERTIFICATE".into(), der: first },
                Block { label: "X509 CRL".into(), der: second },
            ]);
        }

        #[test]
        fn no_octets_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(blocks(&bytes));
        }
    }
}
