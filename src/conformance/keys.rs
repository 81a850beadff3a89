//! `/.well-known/scitt-keys` and `/.well-known/scitt-keys/{kid}` (SCRAPI sections 2.1 and 2.2).

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use hyper::StatusCode;
use hyper::header;
use treering_provenance::cose::VerifyingKey;
use treering_provenance::strict;

use crate::keys::random;

use super::book::Book;
use super::caller::{Answer, CBOR, Caller};
use super::problem;

const MAX_SET_BYTES: usize = 256 * 1024;
const KTY: i64 = 1;
const KID: i64 = 2;
const PRIVATE: i64 = -4;

/// A key that was published, and what this program can verify with it.
pub(super) struct PublishedKey {
    pub(super) kid: Option<Vec<u8>>,
    value: Value,
    pub(super) key: Result<VerifyingKey, String>,
}

/// Checks the keys, and returns them for the receipts.
pub(super) async fn check(caller: &Caller, book: &mut Book, set: &Answer) -> Vec<PublishedKey> {
    let keys = match key_set(book, set) {
        Ok(keys) => keys,
        Err(reason) => {
            book.fail("keys.set", reason);
            return Vec::new();
        }
    };
    book.pass("keys.set", format!("{} keys", keys.len()));
    judge_kids(book, &keys);
    single(caller, book, &keys).await;
    unknown(caller, book).await;
    keys
}

fn key_set(book: &mut Book, set: &Answer) -> Result<Vec<PublishedKey>, String> {
    if set.status != StatusCode::OK {
        return Err(problem::describe(set));
    }
    let media_type = set.media_type();
    if media_type == CBOR {
        book.pass("keys.media-type", CBOR);
    } else {
        book.fail("keys.media-type", format!("`{media_type}`, want `{CBOR}`"));
    }
    if [header::CACHE_CONTROL, header::EXPIRES].iter().any(|name| set.headers.contains_key(name)) {
        book.pass("keys.cache", "says how long the keys may be kept");
    } else {
        book.fail("keys.cache", "neither Cache-Control nor Expires");
    }
    match strict::check(&set.body, MAX_SET_BYTES) {
        Ok(()) => book.pass("keys.deterministic", format!("{} octets", set.body.len())),
        Err(error) => book.fail("keys.deterministic", error.to_string()),
    }
    let mut rest = set.body.as_slice();
    let value: Value = ciborium::from_reader(&mut rest).map_err(|_| "the body is not CBOR".to_owned())?;
    if !rest.is_empty() {
        return Err(format!("{} octets follow the key set", rest.len()));
    }
    let keys = value.into_array().map_err(|_| "the body is not an array".to_owned())?;
    if keys.is_empty() {
        return Err("the key set is empty: no receipt can be verified".to_owned());
    }
    keys.into_iter().map(published).collect()
}

fn published(value: Value) -> Result<PublishedKey, String> {
    let members = value.as_map().ok_or("a key is not a map")?;
    let member = |label: i64| {
        let found = members.iter().find(|(key, _)| *key == Value::from(label));
        found.map(|(_, value)| value)
    };
    member(KTY).ok_or("a key has no kty (1)")?;
    if member(PRIVATE).is_some() {
        return Err("a key is published with its private part (-4)".to_owned());
    }
    let kid = match member(KID) {
        None => None,
        Some(kid) => Some(kid.as_bytes().ok_or("a kid (2) is not a byte string")?.clone()),
    };
    let key = strict::encode(&value).map_err(|error| error.to_string());
    let key = key.and_then(|bytes| VerifyingKey::from_cose_key(&bytes).map_err(|error| error.to_string()));
    Ok(PublishedKey { kid, value, key })
}

fn judge_kids(book: &mut Book, keys: &[PublishedKey]) {
    let kids: Vec<&[u8]> = keys.iter().filter_map(|key| key.kid.as_deref()).collect();
    if kids.len() == keys.len() {
        book.pass("keys.kid", "every key has one");
    } else {
        book.fail("keys.kid", format!("{} of {} keys have none", keys.len() - kids.len(), keys.len()));
    }
    let collision = kids.iter().enumerate().find(|(at, kid)| {
        kids.iter().enumerate().any(|(other_at, other)| {
            *at != other_at && (kid == &other || BASE64URL_NOPAD.encode(other).as_bytes() == **kid)
        })
    });
    match collision {
        None => book.pass("keys.kid-forms", "no raw kid reads as another's base64url"),
        Some((at, _)) => book.fail("keys.kid-forms", format!("the kid of key {at} names two keys")),
    }
    for published in keys {
        match (&published.kid, &published.key) {
            (Some(kid), Ok(key)) if kid.as_slice() == key.thumbprint() => {
                book.pass("keys.thumbprint", "kid is the SHA-256 thumbprint");
            }
            (Some(_), Ok(_)) => book.fail("keys.thumbprint", "kid is something else"),
            (None, _) => book.not_run("keys.thumbprint", "no kid"),
            (_, Err(error)) => book.not_run("keys.thumbprint", error.clone()),
        }
    }
}

/// Each key at its own resource, under both forms of its kid.
async fn single(caller: &Caller, book: &mut Book, keys: &[PublishedKey]) {
    // One is enough to see how the resource behaves, and a set may be long.
    let Some((kid, published)) = keys.iter().find_map(|key| Some((key.kid.as_ref()?, key))) else {
        book.not_run("key.base64url", "no key has a kid");
        book.not_run("key.raw", "no key has a kid");
        return;
    };
    book.judge("key.base64url", one(caller, &BASE64URL_NOPAD.encode(kid), published).await);
    let url_safe = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~".contains(octet);
    match std::str::from_utf8(kid) {
        Ok(raw) if !raw.is_empty() && kid.iter().all(url_safe) => {
            book.judge("key.raw", one(caller, raw, published).await);
        }
        _ => book.not_applicable("key.raw", "the kid is not URL-safe as it is"),
    }
}

async fn one(caller: &Caller, name: &str, published: &PublishedKey) -> Result<String, String> {
    let path = format!("/.well-known/scitt-keys/{name}");
    let answer = caller.get(&path, CBOR).await?;
    if answer.status != StatusCode::OK {
        return Err(format!("{path}: {}", problem::describe(&answer)));
    }
    if answer.media_type() != CBOR {
        return Err(format!("{path}: `{}`, want `{CBOR}`", answer.media_type()));
    }
    match ciborium::from_reader::<Value, _>(answer.body.as_slice()) {
        Ok(value) if same(&value, &published.value) => Ok(path),
        Ok(_) => Err(format!("{path}: not the key that the set has under this kid")),
        Err(_) => Err(format!("{path}: not CBOR")),
    }
}

/// Two maps with the same members; their order says nothing.
fn same(one: &Value, other: &Value) -> bool {
    matches!((strict::encode(one), strict::encode(other)), (Ok(one), Ok(other)) if one == other)
}

async fn unknown(caller: &Caller, book: &mut Book) {
    let Ok(kid) = random::<32>() else { return };
    let path = format!("/.well-known/scitt-keys/{}", BASE64URL_NOPAD.encode(&kid));
    let answer = match caller.get(&path, CBOR).await {
        Ok(answer) => answer,
        Err(error) => return book.fail("key.unknown", error),
    };
    if answer.status != StatusCode::NOT_FOUND {
        return book.fail("key.unknown", format!("{}, want 404", problem::describe(&answer)));
    }
    match problem::read(&answer) {
        Ok((title, _)) => {
            book.pass("key.unknown", format!("404 {title}"));
            let finding = if title == "No such key" { Ok(title) } else { Err(format!("`{title}`")) };
            book.judge("key.unknown-title", finding);
        }
        Err(error) => book.fail("key.unknown", error),
    }
}
