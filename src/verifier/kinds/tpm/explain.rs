//! Which parts of the container, and which fields in them (TPM 2.0 Library, Part 2), each check reads.

pub(in crate::verifier::kinds) fn octets(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => {
            "all: the map, TPMS_ATTEST in `attest`, TPMT_SIGNATURE in `signature`, TPMT_PUBLIC in `public`"
        }
        "canonical" => "all: the encoding of the map",
        "quote-type" => "`attest`: magic, type",
        "quote-key" => "`key` or `public`; under a paravisor the key HCLAkPub in `runtime`",
        "quote-signature" => "`attest`, all of it; `signature`: scheme, hash, numbers; the key",
        "pcr-digest" => "`attest`: pcrSelect, pcrDigest; `pcrs`; `signature`: hash",
        "boot-log" => "the event log: digests, and data that a digest must be over; `pcrs`",
        "endorsement" => {
            "the key; the certificate of the key: keyUsage, basicConstraints, critical extensions"
        }
        "chain" => "the certificates: tbsCertificate and signature of each, as received",
        "root" => "the certificate of the root: its SHA-256; the key",
        "validity" => "the certificates: notBefore and notAfter of each",
        "key-attributes" => {
            "the certificate of the key: extKeyUsage; `public`: objectAttributes, and all of it for its name; `parent`; \
             `attest`: qualifiedSigner"
        }
        "secure-boot" => "the event log: the variable SecureBoot in register 7",
        "machine" => "the key: SHA-256 of its SubjectPublicKeyInfo",
        "reference-value" => "`pcrs`",
        _ => return None,
    })
}
