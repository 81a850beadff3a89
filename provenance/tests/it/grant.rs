//! Grants: round trip, wrong keys, key files.

use treering_provenance::{
    envelope::Kek,
    grant::{self, AuditorKey, AuditorPublicKey, GrantContext, GrantError, GrantKey},
};

use crate::fixture::ORIGIN;

pub(crate) const CONTEXT: GrantContext<'_> = GrantContext { origin: ORIGIN, grantee: "auditor@example" };

pub(crate) fn auditor(byte: u8) -> AuditorKey {
    AuditorKey::from_bytes([byte; 32]).unwrap()
}

pub(crate) fn message() -> Vec<u8> {
    grant::seal(&GrantKey::from_bytes([1; 32]), auditor(2).public(), &CONTEXT, [3; 32]).unwrap()
}

#[test]
fn a_grant_key_arrives_and_opens_the_keys_wrapped_to_it() {
    let key = grant::open(&message(), &auditor(2), &CONTEXT).unwrap();
    assert_eq!(key.expose(), &[1; 32]);
    let kek = Kek::from_bytes([9; 32]);
    let wrapped = grant::wrap(&key, &kek).unwrap();
    assert_eq!(grant::unwrap(&key, &wrapped).unwrap().expose(), kek.expose());
    assert_eq!(grant::unwrap(&GrantKey::from_bytes([2; 32]), &wrapped).unwrap_err(), GrantError::Decrypt);
    for at in 0..wrapped.len() {
        let mut changed = wrapped;
        changed[at] ^= 1;
        assert!(grant::unwrap(&key, &changed).is_err(), "byte {at}");
    }
}

#[test]
fn nobody_else_opens_it() {
    assert!(matches!(grant::open(&message(), &auditor(4), &CONTEXT), Err(GrantError::Recipient { .. })));
    let other_log = GrantContext { origin: "other.example", ..CONTEXT };
    assert_eq!(grant::open(&message(), &auditor(2), &other_log).unwrap_err(), GrantError::Decrypt);
    let other_grantee = GrantContext { grantee: "somebody@example", ..CONTEXT };
    assert_eq!(grant::open(&message(), &auditor(2), &other_grantee).unwrap_err(), GrantError::Decrypt);
}

#[test]
fn every_changed_byte_is_refused() {
    let message = message();
    for at in 0..message.len() {
        let mut changed = message.clone();
        changed[at] ^= 1;
        assert!(grant::open(&changed, &auditor(2), &CONTEXT).is_err(), "byte {at}");
    }
}

#[test]
fn another_seed_is_another_message() {
    let key = GrantKey::from_bytes([1; 32]);
    let other = grant::seal(&key, auditor(2).public(), &CONTEXT, [4; 32]).unwrap();
    assert_ne!(other, message());
    assert_eq!(grant::open(&other, &auditor(2), &CONTEXT).unwrap().expose(), &[1; 32]);
}

#[test]
fn a_public_key_of_small_order_is_refused() {
    let zero = AuditorPublicKey::from_bytes([0; 32]).unwrap();
    let sealed = grant::seal(&GrantKey::from_bytes([1; 32]), &zero, &CONTEXT, [3; 32]);
    assert_eq!(sealed.unwrap_err(), GrantError::Encapsulate);
}

#[test]
fn key_files_round_trip_and_refuse_what_does_not_agree() {
    let key = auditor(2);
    let file = key.to_jwk().unwrap();
    let again = AuditorKey::from_jwk(&file).unwrap();
    assert_eq!(again.public().thumbprint(), key.public().thumbprint());
    let public = key.public().to_jwk().unwrap();
    assert!(!public.contains("\"d\""));
    assert_eq!(AuditorPublicKey::from_jwk(&public).unwrap().as_bytes(), key.public().as_bytes());
    assert!(AuditorPublicKey::from_jwk(&file).is_err());
    assert!(AuditorKey::from_jwk(&public).is_err());
    let other = auditor(4).to_jwk().unwrap();
    let member = |file: &str| file.lines().find(|line| line.contains("\"d\"")).unwrap().to_owned();
    let mixed = file.replace(&member(&file), &member(&other));
    assert!(AuditorKey::from_jwk(&mixed).is_err());
    assert!(AuditorKey::from_jwk(&file.replace("HPKE-3", "HPKE-4")).is_err());
    assert!(AuditorKey::from_jwk(&file.replace("\"kty\"", "\"more\": 1, \"kty\"")).is_err());
}

#[test]
fn no_error_about_a_key_file_shows_its_private_part() {
    let file = auditor(2).to_jwk().unwrap();
    let secret = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
    assert!(file.contains(secret));
    for broken in
        [file.replace("\"d\": ", "\"d\": 5, \"e\": "), file.replace("HPKE-3", "x"), file.replace('}', "")]
    {
        let error = format!("{0} {0:?}", AuditorKey::from_jwk(&broken).unwrap_err());
        assert!(!error.contains(secret), "{error}");
    }
    assert!(!format!("{:?}", auditor(2)).contains(secret));
}
