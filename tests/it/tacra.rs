//! The binding value against exchanges that others recorded on SEV-SNP hardware (TACRA-EST, 30 September 2026).

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;
use treering::binding::binding_value;

use crate::verifier::vectors;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` is no text"))
}

fn octets(text: &str) -> Vec<u8> {
    let url = text.trim_end_matches('=');
    BASE64URL_NOPAD.decode(url.as_bytes()).or_else(|_| BASE64.decode(text.as_bytes())).unwrap()
}

#[test]
fn recorded_reports_carry_the_value_that_we_compute() {
    let Some(dir) = vectors() else { return };
    let all: Value = serde_json::from_slice(&std::fs::read(dir.join("tacra/vectors.json")).unwrap()).unwrap();
    for (exchange, request, subject) in [
        ("enrollment", "AttestedEnrollmentRequest", "csr"),
        ("enrollment_absent_timestamp", "AttestedEnrollmentRequest", "csr"),
        ("retrieval", "AttestedRetrievalRequest", "cek_pub"),
    ] {
        let rp_id = text(&all[exchange]["AttestationInitiationResponse"], "rrp_id");
        let request = &all[exchange][request];
        let evidence: Value = serde_json::from_slice(&octets(text(request, "evidence"))).unwrap();
        let report = octets(text(&evidence, "report"));
        let (handle, subject) = (octets(text(request, "handle")), octets(text(request, subject)));
        let target = text(request, "target");
        assert_eq!(binding_value(&handle, target, rp_id, &subject)[..], report[0x50..0x90], "{exchange}");
        // The order of the fields matters: earlier texts had the relying party before the target.
        assert_ne!(binding_value(&handle, rp_id, target, &subject)[..], report[0x50..0x90], "{exchange}");
    }
}
