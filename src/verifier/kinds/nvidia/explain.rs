//! Which octets of a report and of its certificates each check reads. Offsets count from the request's first octet.

pub(super) fn octets(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => {
            "the CBOR map; 0x00..0x04 and 0x24 of the request; 0x25..0x2d of the response; each block's head; the \
             length of the opaque data"
        }
        "canonical" => {
            "all octets of the CBOR map; 0x27..0x29 of the response; the numbers of the opaque fields"
        }
        "chain" => {
            "every certificate: tbsCertificate and signature as received, basic constraints, key usage"
        }
        "root" => "the last certificate: its SHA-256",
        "validity" => "the certificates: notBefore and notAfter of each",
        "revocation" => {
            "the CRLs and OCSP responses about the chain: what is signed, the signature, thisUpdate, nextUpdate, \
             serial numbers"
        }
        "signature" => "request and response up to the last 96 octets, which are r and s; the leaf: its key",
        "device" => {
            "the leaf: common name, DMTF name (1.3.6.1.4.1.412.274.1); the boot ROM's and provisioner's common names"
        }
        "fwid" => "the leaf: extension 2.23.133.5.4.1.1 or 2.23.133.5.4.1; opaque field 20",
        "allowed-generation" => "the boot ROM's certificate: common name",
        "driver-version" => "opaque field 3",
        "vbios-version" => "opaque field 6",
        "mode" => "opaque fields 21 (Protected PCIe status) and 36 (feature flag)",
        "machine" => "the boot ROM's certificate: serial number",
        "reference-value" => "the digest of every block",
        _ => return None,
    })
}
