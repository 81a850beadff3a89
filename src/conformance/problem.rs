//! Concise problem details (RFC 9290) as SCRAPI section 2 wants them on every error.

use ciborium::Value;

use super::caller::Answer;

const MEDIA_TYPE: &str = "application/concise-problem-details+cbor";
const TITLE: i64 = -1;
const DETAIL: i64 = -2;
/// Text with a language tag (RFC 9290, appendix A).
const TAG_LANGUAGE: u64 = 38;

/// Title and detail of an error's body, or what is wrong with it.
pub(super) fn read(answer: &Answer) -> Result<(String, String), String> {
    let status = answer.status.as_u16();
    if answer.media_type() != MEDIA_TYPE {
        return Err(format!("{status} with a body of type `{}`, want `{MEDIA_TYPE}`", answer.media_type()));
    }
    let mut rest = answer.body.as_slice();
    let body: Value = ciborium::from_reader(&mut rest)
        .map_err(|_| format!("{status}: the body is not CBOR ({} octets)", answer.body.len()))?;
    if !rest.is_empty() {
        return Err(format!("{status}: {} octets follow the problem details", rest.len()));
    }
    let members = body.as_map().ok_or_else(|| format!("{status}: the body is not a map"))?;
    let text = |label: i64, name: &str| {
        let found = members.iter().find(|(key, _)| *key == Value::from(label)).map(|(_, value)| value);
        let found = found.ok_or_else(|| format!("{status}: no {name} ({label})"))?;
        text_of(found).ok_or_else(|| format!("{status}: the {name} ({label}) is not text"))
    };
    Ok((text(TITLE, "title")?, text(DETAIL, "detail")?))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Tag(TAG_LANGUAGE, tagged) => tagged.as_array()?.get(1)?.as_text().map(str::to_owned),
        _ => None,
    }
}

/// What to say of an answer that was not the one hoped for.
pub(super) fn describe(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    match read(answer) {
        Ok((title, detail)) => format!("{status} {title}: {detail}"),
        Err(_) => format!("{status} ({} octets of type `{}`)", answer.body.len(), answer.media_type()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
    use treering_provenance::strict;

    use super::*;

    fn answer(media_type: &'static str, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Answer { status: StatusCode::BAD_REQUEST, headers, body: body.to_vec() }
    }

    #[test]
    fn the_form_is_checked() {
        let text = |text: &str| Value::from(text);
        let map = |members: Vec<(Value, Value)>| strict::encode(&Value::Map(members)).unwrap();
        let good = map(vec![((-1).into(), text("T")), ((-2).into(), text("D"))]);
        let both = Ok(("T".to_owned(), "D".to_owned()));
        assert_eq!(read(&answer(MEDIA_TYPE, &good)), both);
        let tagged = Value::Tag(38, Box::new(Value::Array(vec![text("en"), text("T")])));
        assert_eq!(
            read(&answer(MEDIA_TYPE, &map(vec![((-1).into(), tagged), ((-2).into(), text("D"))]))),
            both
        );
        for (media_type, body) in [
            ("application/problem+json", good.clone()),
            (MEDIA_TYPE, [good.as_slice(), &[0]].concat()),
            (MEDIA_TYPE, Vec::new()),
            (MEDIA_TYPE, b"{}".to_vec()),
            (MEDIA_TYPE, map(vec![((-1).into(), text("T"))])),
            (MEDIA_TYPE, map(vec![((-1).into(), text("T")), ((-2).into(), 7.into())])),
        ] {
            assert!(read(&answer(media_type, &body)).is_err(), "{media_type} {body:02x?}");
        }
    }
}
