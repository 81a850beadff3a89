//! Which claims of a token each check reads: it is CBOR, so they have numbers rather than positions.

pub(super) fn octets(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => "length; tag 399; the parts 44234 and 44241; every claim in them, 265 (profile) first",
        "canonical" => "the map of the two parts; headers, heads and signature length of each COSE_Sign1",
        "platform-key" => "platform: 256 (instance id), 2396 (implementation id); the policy's keys",
        "platform-signature" => "platform: protected header and payload, as received; signature",
        "realm-signature" => {
            "realm: protected header and payload, as received; signature; 44237 (public key)"
        }
        "key-binding" => "platform: 10 (challenge); realm: 44237 (public key), 44240 (its hash algorithm)",
        "hash-algorithms" => "platform: 2402, 2399[].6; realm: 44236",
        "lifecycle" => "platform: 2395 (lifecycle)",
        "implementation" => "platform: 2396 (implementation id)",
        "machine" => "platform: 256 (instance id)",
        "platform-reference" => {
            "platform: 2399[].2 (measurements), 2399[].5 (signers), 2396 (implementation id), 2401 (config)"
        }
        "reference-value" => "realm: 44238 (RIM), 44239 (REMs), 44235 (RPV)",
        _ => return None,
    })
}
