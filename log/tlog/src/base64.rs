//! Padded base64 with one spelling for each value. The library takes several padded pieces in a row for one text
//! (`AA==AA==`), so that a root or a signature could be spelled in more than one way.

use data_encoding::BASE64;

/// Decodes; padding anywhere but at the end is refused.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let padded_within = text.trim_end_matches('=').contains('=');
    if padded_within { None } else { BASE64.decode(text.as_bytes()).ok() }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn one_spelling() {
        assert_eq!(decode("AAAA").unwrap(), [0, 0, 0]);
        assert_eq!(decode("AAA=").unwrap(), [0, 0]);
        assert_eq!(decode("").unwrap(), []);
        for text in ["AA==AA==", "AAA=AAAA", "AA==AAA=", "AAA", "AB==", "AAAA=", "AAAA====", "AAA\n"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
