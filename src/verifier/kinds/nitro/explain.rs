//! Which parts of a document each check reads: it is CBOR, so they have names, and a document's own positions for them.

/// The name of a part by its path: the four parts of the COSE_Sign1, and the fields of the payload.
pub(super) fn part(path: &str) -> Option<String> {
    Some(match path {
        "[0]" => "protected header".to_owned(),
        "[2]" => "payload".to_owned(),
        "[3]" => "signature".to_owned(),
        other => other.strip_prefix("[2].")?.to_owned(),
    })
}

pub(super) fn octets(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => "length; the four parts of the COSE_Sign1; every field of the payload",
        "canonical" => {
            "0x00..0x07, array, protected and unprotected header; the heads of payload and signature"
        }
        "chain" => "certificate and cabundle: tbsCertificate and signature of each, as received",
        "leaf" => "certificate: key usage, basic constraints, key",
        "root" => "cabundle[0]: its SHA-256",
        "validity" => "certificate and cabundle: notBefore and notAfter of each",
        "revocation" => "the CRLs: tbsCertList and signature, thisUpdate, nextUpdate, serial numbers",
        "signature" => {
            "the protected header and the payload, as received; the signature; the key of certificate"
        }
        "timestamp" => "timestamp",
        "debug" => "pcrs[0], pcrs[1], pcrs[2]",
        "parent" => "pcrs[3], pcrs[8]",
        "machine" => "module_id, pcrs[4]",
        "reference-value" => "pcrs",
        _ => return None,
    })
}
