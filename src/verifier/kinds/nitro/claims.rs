//! What a document says, as the Attester's claims in the result. Whether it is true, the checks say.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::document::Document;

#[derive(Serialize)]
struct Claims<'a> {
    module_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    /// Milliseconds since 1970.
    timestamp: u64,
    pcrs: BTreeMap<u8, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// The claims of a document. PCRs that are zero are left out: nothing was measured into them.
pub(super) fn of(document: &Document) -> serde_json::Value {
    let hex = |octets: &Option<Vec<u8>>| octets.as_ref().map(|octets| HEXLOWER.encode(octets));
    let measured = |index: &u8| Some((*index, HEXLOWER.encode(document.measured(*index)?)));
    let claims = Claims {
        module_id: &document.module_id,
        instance_id: document.instance(),
        timestamp: document.timestamp,
        pcrs: document.pcrs.keys().filter_map(measured).collect(),
        public_key: hex(&document.public_key),
        user_data: hex(&document.user_data),
        nonce: hex(&document.nonce),
    };
    // Texts and numbers always become JSON.
    serde_json::to_value(claims).unwrap_or_default()
}
