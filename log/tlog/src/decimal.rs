//! Decimal numbers as all these specifications write them: ASCII digits, no sign, no leading zero except `0` itself.

/// Parses a canonical decimal; `None` for anything else.
///
/// `u64::from_str` is not used alone because it accepts a leading `+` and leading zeros, which would give one number
/// two encodings.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn one_number_has_one_encoding() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1 ", None),
            ("1\n", None),
            ("\u{0661}", None),
        ] {
            assert_eq!(parse(text), wanted, "{text:?}");
        }
    }
}
