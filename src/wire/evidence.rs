//! Evidence and endorsements on the wire: a CMW collection (RFC 9999). The service takes the JSON form; files may have
//! any.
//!
//! `{"__cmwc_t": "…", "evidence-0": [type, base64url, 4], "certificate-0": [type, base64url, 2], …}`: the collection
//! type is ours, the records' `ind` says what they are (4 evidence, 2 endorsements). Evidence is in the order of its
//! labels, shorter ones first: so that order is the same in JSON, which has none, and in deterministic CBOR.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::verifier::{
    CERTIFICATE_TYPE, CRL_TYPE, Collateral, Document, Evidence, MAX_ITEM_BYTES, is_document,
};

use super::cmw::{Cmw, Kind, Record, TYPE_LABEL};

/// The type of our collections.
const COLLECTION_TYPE: &str = "tag:treering.example,2026:evidence";
/// Conceptual message bits (RFC 9999, `ind`).
const ENDORSEMENTS: u64 = 2;
const EVIDENCE: u64 = 4;
/// Reads a collection of ours, as JSON; the error says what is wrong with it.
pub fn parse_collection(collection: &BTreeMap<String, Value>) -> Result<(Evidence, Collateral), String> {
    if collection.get(TYPE_LABEL).and_then(Value::as_str) != Some(COLLECTION_TYPE) {
        return Err(format!("evidence: `{TYPE_LABEL}` is not `{COLLECTION_TYPE}`"));
    }
    let cmw = Cmw::from_members(collection.iter()).map_err(|error| format!("evidence: {error}"))?;
    parts(cmw)
}

/// Reads evidence and endorsements in a CMW of any form: one record of evidence, or a collection, of our type or of
/// none, JSON or CBOR. Collections in it are devices: their records are taken in order.
pub fn read_cmw(octets: &[u8]) -> Result<(Evidence, Collateral), String> {
    parts(Cmw::read(octets).map_err(|error| format!("evidence: {error}"))?)
}

fn parts(cmw: Cmw) -> Result<(Evidence, Collateral), String> {
    let mut found = Parts::default();
    found.take("the record", cmw)?;
    let evidence = Evidence::new(found.items).map_err(|error| error.to_string())?;
    let collateral = Collateral::new(found.certificates, found.crls)
        .and_then(|collateral| collateral.with_documents(found.documents))
        .map_err(|error| error.to_string())?;
    Ok((evidence, collateral))
}

/// What a CMW has, sorted out.
#[derive(Default)]
struct Parts {
    items: Vec<(String, Vec<u8>)>,
    certificates: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    documents: Vec<Document>,
}

impl Parts {
    fn take(&mut self, label: &str, cmw: Cmw) -> Result<(), String> {
        match cmw {
            Cmw::Record(record) => self.take_record(label, record),
            Cmw::Collection(collection) => {
                if let Some(kind) = collection.kind.filter(|kind| kind != COLLECTION_TYPE) {
                    return Err(format!("evidence: a collection of type `{kind}` is not taken"));
                }
                let mut entries = collection.entries.into_iter();
                entries.try_for_each(|(label, entry)| self.take(&label.to_string(), entry))
            }
        }
    }

    fn take_record(&mut self, label: &str, record: Record) -> Result<(), String> {
        let Kind::Media(media_type) = record.kind else {
            return Err(format!("evidence: `{label}` names a content format, want a media type"));
        };
        if record.value.len() > MAX_ITEM_BYTES {
            return Err(format!("evidence: `{label}` has more than {MAX_ITEM_BYTES} octets"));
        }
        match (record.ind, media_type.as_str()) {
            (Some(EVIDENCE), _) => self.items.push((media_type, record.value)),
            (Some(ENDORSEMENTS), CERTIFICATE_TYPE) => self.certificates.push(record.value),
            (Some(ENDORSEMENTS), CRL_TYPE) => self.crls.push(record.value),
            (Some(ENDORSEMENTS), _) if is_document(&media_type) => {
                self.documents.push(Document { media_type, bytes: record.value });
            }
            (Some(ind), _) => {
                return Err(format!(
                    "evidence: `{label}` has ind {ind} and type `{media_type}`, which is not taken"
                ));
            }
            (None, _) => return Err(format!("evidence: `{label}` does not say what it is (ind)")),
        }
        Ok(())
    }
}

/// Writes a collection.
pub fn collection(evidence: &Evidence, collateral: &Collateral) -> BTreeMap<String, Value> {
    let record =
        |media_type: &str, bytes: &[u8], ind: u64| json!([media_type, BASE64URL_NOPAD.encode(bytes), ind]);
    let mut out = BTreeMap::from([(TYPE_LABEL.to_owned(), json!(COLLECTION_TYPE))]);
    for (number, item) in evidence.items().iter().enumerate() {
        out.insert(format!("evidence-{number}"), record(item.media_type(), item.bytes(), EVIDENCE));
    }
    for (number, certificate) in collateral.certificates().iter().enumerate() {
        out.insert(format!("certificate-{number}"), record(CERTIFICATE_TYPE, certificate, ENDORSEMENTS));
    }
    for (number, crl) in collateral.crls().iter().enumerate() {
        out.insert(format!("crl-{number}"), record(CRL_TYPE, crl, ENDORSEMENTS));
    }
    for (number, document) in collateral.documents().iter().enumerate() {
        out.insert(format!("document-{number}"), record(&document.media_type, &document.bytes, ENDORSEMENTS));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: &str, kind: &str, value: &str, ind: Option<u64>) -> (String, Value) {
        let record = ind.map_or_else(|| json!([kind, value]), |ind| json!([kind, value, ind]));
        (label.to_owned(), record)
    }

    fn ours(members: Vec<(String, Value)>) -> BTreeMap<String, Value> {
        let kind = (TYPE_LABEL.to_owned(), json!(COLLECTION_TYPE));
        members.into_iter().chain([kind]).collect()
    }

    /// Ten and more are in the order of their numbers, in JSON and in CBOR alike.
    #[test]
    fn evidence_is_in_the_order_of_its_labels() {
        let items: Vec<(String, Vec<u8>)> = (0..16).map(|number| ("a/b".to_owned(), vec![number])).collect();
        let evidence = Evidence::new(items).unwrap();
        let json = collection(&evidence, &Collateral::default());
        assert_eq!(parse_collection(&json).unwrap().0, evidence);
        let octets = serde_json::to_vec(&json).unwrap();
        let cbor = Cmw::read(&octets).unwrap().to_cbor().unwrap();
        for form in [octets, cbor] {
            assert_eq!(read_cmw(&form).unwrap(), (evidence.clone(), Collateral::default()));
        }
    }

    #[test]
    fn collections_in_it_are_devices() {
        let device = |value: &str| {
            let member = record("gpu", "a/gpu", value, Some(EVIDENCE));
            Value::Object([member].into_iter().collect())
        };
        let members = vec![
            record("cpu", "a/cpu", "AA", Some(EVIDENCE)),
            ("node1".to_owned(), device("AQ")),
            ("node2".to_owned(), device("Ag")),
        ];
        let (evidence, _) = parse_collection(&ours(members)).unwrap();
        let found: Vec<(&str, &[u8])> =
            evidence.items().iter().map(|item| (item.media_type(), item.bytes())).collect();
        assert_eq!(found, [("a/cpu", &[0][..]), ("a/gpu", &[1]), ("a/gpu", &[2])]);
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let refused = |members| parse_collection(&ours(members)).unwrap_err();
        let text = refused(vec![record("x", "a/b", "AA", Some(1))]);
        assert_eq!(text, "evidence: `x` has ind 1 and type `a/b`, which is not taken");
        assert!(refused(vec![record("x", "a/b", "AA", None)]).contains("ind"));
        assert!(refused(vec![record("x", "a/unknown", "AA", Some(ENDORSEMENTS))]).contains("not taken"));
        assert!(refused(vec![]).contains("no entry"));
        let foreign = json!({"__cmwc_t": "tag:other,2026:x", "a": ["a/b", "AA", 4]});
        let text = refused(vec![("in".to_owned(), foreign.clone())]);
        assert!(text.contains("tag:other"), "{text}");
        let untyped: BTreeMap<String, Value> = [record("x", "a/b", "AA", Some(EVIDENCE))].into();
        parse_collection(&untyped).unwrap_err();
        read_cmw(&serde_json::to_vec(&untyped).unwrap()).unwrap();
        read_cmw(br#"["a/b","AA",4]"#).unwrap();
        read_cmw(foreign.to_string().as_bytes()).unwrap_err();
        // A content format is no media type.
        read_cmw(b"\xda\x63\x74\x01\x01\x41\xaa").unwrap_err();
        let large = "A".repeat((MAX_ITEM_BYTES / 3 + 2) * 4);
        assert!(refused(vec![record("x", "a/b", &large, Some(EVIDENCE))]).contains("more than"));
    }
}
