//! Which claims of a token each check reads: it is CBOR, so they have numbers, and a token's own positions for them.

/// The two parts of a token by their keys, and what checks call them.
const PARTS: [(&str, &str); 2] = [("[44234]", "platform"), ("[44241]", "realm")];

/// The strings that are CBOR themselves: the parts, each a COSE_Sign1, and their payloads.
pub(super) fn opens(path: &str) -> bool {
    PARTS.iter().any(|(key, _)| path == *key || path.strip_prefix(key) == Some("[2]"))
}

/// The name of a part by its path: what a COSE_Sign1 has, and the claims of its payload.
pub(super) fn part(path: &str) -> Option<String> {
    let (key, name) = PARTS.into_iter().find(|(key, _)| path.starts_with(key))?;
    let what = match path.strip_prefix(key)? {
        "" => "COSE_Sign1",
        "[0]" => "protected header",
        "[2]" => "payload",
        "[3]" => "signature",
        other => other.strip_prefix("[2]")?,
    };
    // A claim in a list is a number of the list, and a number in it.
    Some(format!(
        "{name}: {}",
        what.strip_prefix('[').map_or(what.to_owned(), |claim| claim.replacen(']', "", 1))
    ))
}

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
