//! Evidence and endorsements on the wire: a CMW collection (RFC 9999), JSON form.
//!
//! `{"__cmwc_t": "…", "evidence-0": [type, base64url, 4], "certificate-0": [type, base64url, 2], …}`: the collection
//! type is ours, the records' `ind` says what they are (4 evidence, 2 endorsements).

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::verifier::{
    CERTIFICATE_TYPE, CRL_TYPE, Collateral, Document, Evidence, MAX_CERTIFICATES, MAX_CRLS, MAX_DOCUMENTS,
    MAX_ITEM_BYTES, MAX_ITEMS, is_document,
};

/// The type of our collections.
const COLLECTION_TYPE: &str = "tag:treering.example,2026:evidence";
const TYPE_KEY: &str = "__cmwc_t";
/// Conceptual message bits (RFC 9999, `ind`).
const ENDORSEMENTS: u64 = 2;
const EVIDENCE: u64 = 4;
/// The most records: all that evidence and collateral may have.
const MAX_RECORDS: usize = MAX_ITEMS + MAX_CERTIFICATES + MAX_CRLS + MAX_DOCUMENTS;

/// Reads a collection; the error says what is wrong with it.
pub fn parse_collection(collection: &BTreeMap<String, Value>) -> Result<(Evidence, Collateral), String> {
    if collection.get(TYPE_KEY).and_then(Value::as_str) != Some(COLLECTION_TYPE) {
        return Err(format!("evidence: `{TYPE_KEY}` is not `{COLLECTION_TYPE}`"));
    }
    if collection.len() > MAX_RECORDS + 1 {
        return Err(format!("evidence: {} records, want at most {MAX_RECORDS}", collection.len() - 1));
    }
    let (mut items, mut certificates, mut crls, mut documents) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (label, record) in collection.iter().filter(|(label, _)| *label != TYPE_KEY) {
        let (media_type, bytes, ind) = parse_record(record).ok_or_else(|| {
            format!("evidence: `{label}` is not a CMW record [media type, base64url, ind] of at most {MAX_ITEM_BYTES} octets")
        })?;
        match (ind, media_type) {
            (EVIDENCE, _) => items.push((media_type.to_owned(), bytes)),
            (ENDORSEMENTS, CERTIFICATE_TYPE) => certificates.push(bytes),
            (ENDORSEMENTS, CRL_TYPE) => crls.push(bytes),
            (ENDORSEMENTS, _) if is_document(media_type) => {
                documents.push(Document { media_type: media_type.to_owned(), bytes })
            }
            _ => {
                return Err(format!(
                    "evidence: `{label}` has ind {ind} and type `{media_type}`, which is not taken"
                ));
            }
        }
    }
    let evidence = Evidence::new(items).map_err(|error| error.to_string())?;
    let collateral = Collateral::new(certificates, crls)
        .and_then(|collateral| collateral.with_documents(documents))
        .map_err(|error| error.to_string())?;
    Ok((evidence, collateral))
}

fn parse_record(record: &Value) -> Option<(&str, Vec<u8>, u64)> {
    let [media_type, bytes, ind] = record.as_array()?.as_slice() else { return None };
    let text = bytes.as_str()?;
    if text.len() > MAX_ITEM_BYTES.div_ceil(3) * 4 {
        return None;
    }
    Some((media_type.as_str()?, BASE64URL_NOPAD.decode(text.as_bytes()).ok()?, ind.as_u64()?))
}

/// Writes a collection.
pub fn collection(evidence: &Evidence, collateral: &Collateral) -> BTreeMap<String, Value> {
    let record =
        |media_type: &str, bytes: &[u8], ind: u64| json!([media_type, BASE64URL_NOPAD.encode(bytes), ind]);
    let mut out = BTreeMap::from([(TYPE_KEY.to_owned(), json!(COLLECTION_TYPE))]);
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
