//! The vault's rows in the log's side tables, as docs/storage.md has them, and how they are sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use treering_log::Row;
use treering_provenance::strict;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::keys::{self, MasterKey};

use super::{GrantTerms, Key256, VaultError};

/// The version octet of every sealed record.
const RECORD_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// The largest record: a grant with some thousand scopes, as large as a row may be.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;

/// The side tables; their numbers are stored, so they are never used again for something else.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Table {
    /// KEK id -> sealed KEK.
    Kek = 1,
    /// Keyed hash of (scope, class, period) -> KEK id.
    KekBySlot = 2,
    /// Grant id -> sealed grant.
    Grant = 3,
    /// Grant id || KEK id -> KEK wrapped under the grant key (AES key wrap, RFC 3394).
    Wrap = 4,
    /// Key thumbprint || grant id -> the grant key, sealed to that key (COSE-HPKE).
    GrantMessage = 5,
}

impl Table {
    pub(super) fn row(self, key: &[u8], value: Vec<u8>) -> Row {
        Row { table: self as u8, key: key.to_vec(), value: Some(value) }
    }
}

/// What a KEK is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KekRecord {
    pub(super) scope: String,
    pub(super) class: String,
    /// Days since the Unix epoch.
    pub(super) period: u64,
}

impl KekRecord {
    fn slot_name(&self) -> String {
        format!("{}\0{}\0{}", self.class, self.period, self.scope)
    }
}

/// A grant as the vault keeps it, to wrap later KEKs.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantRecord {
    scopes: Vec<String>,
    classes: Vec<String>,
    from: u64,
    to: u64,
    key: Vec<u8>,
}

impl GrantRecord {
    pub(super) fn new(terms: &GrantTerms, key: &[u8; 32]) -> Self {
        let GrantTerms { scopes, classes, from, to } = terms.clone();
        Self { scopes, classes, from, to, key: key.to_vec() }
    }

    pub(super) fn terms(&self) -> GrantTerms {
        GrantTerms {
            scopes: self.scopes.clone(),
            classes: self.classes.clone(),
            from: self.from,
            to: self.to,
        }
    }

    pub(super) fn key(&self) -> Result<&[u8; 32], VaultError> {
        self.key.as_slice().try_into().map_err(|_| VaultError::Record)
    }
}

/// Seals records under a key of the vault's own: version || nonce || AES-256-GCM, the table and the row's key as
/// associated data, so that no record can be put in another's place.
pub(super) struct Sealer {
    aead: LessSafeKey,
    slots: hmac::Key,
}

impl Sealer {
    pub(super) fn new(master: &MasterKey) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, master.derive("vault-records").as_ref());
        #[expect(clippy::expect_used, reason = "the key has the 32 octets that AES-256 takes")]
        let aead = LessSafeKey::new(key.expect("a 256-bit key"));
        Self { aead, slots: hmac::Key::new(hmac::HMAC_SHA256, master.derive("vault-slots").as_ref()) }
    }

    /// Where the KEK of this scope, class and period is found: a keyed hash, so that the store names no workload.
    pub(super) fn slot(&self, record: &KekRecord) -> [u8; 32] {
        let mut out = [0; 32];
        let tag = hmac::sign(&self.slots, record.slot_name().as_bytes());
        out.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    pub(super) fn seal_kek(
        &self,
        id: &[u8],
        record: &KekRecord,
        key: &[u8; 32],
    ) -> Result<Vec<u8>, VaultError> {
        let mut plain = Zeroizing::new(key.to_vec());
        plain.extend_from_slice(&encode(record)?);
        self.seal(Table::Kek, id, &plain)
    }

    pub(super) fn open_kek(&self, id: &[u8], sealed: &[u8]) -> Result<(Key256, KekRecord), VaultError> {
        let plain = self.open(Table::Kek, id, sealed)?;
        let (key, record) = plain.split_first_chunk::<32>().ok_or(VaultError::Record)?;
        let record = strict::from_slice(record, MAX_RECORD_BYTES).map_err(|_| VaultError::Record)?;
        Ok((Zeroizing::new(*key), record))
    }

    pub(super) fn seal_grant(&self, id: &[u8], record: &GrantRecord) -> Result<Vec<u8>, VaultError> {
        self.seal(Table::Grant, id, &Zeroizing::new(encode(record)?))
    }

    pub(super) fn open_grant(&self, id: &[u8], sealed: &[u8]) -> Result<GrantRecord, VaultError> {
        strict::from_slice(&self.open(Table::Grant, id, sealed)?, MAX_RECORD_BYTES)
            .map_err(|_| VaultError::Record)
    }

    fn seal(&self, table: Table, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_BYTES] = keys::random()?;
        let mut sealed = vec![RECORD_VERSION];
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        self.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(table, key), &mut body)
            .map_err(|_| VaultError::Record)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    fn open(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (&[version], rest) = sealed.split_first_chunk::<1>().ok_or(VaultError::Record)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Record)?;
        if version != RECORD_VERSION {
            return Err(VaultError::Record);
        }
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .aead
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(table, key), &mut body)
            .map_err(|_| VaultError::Record)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, VaultError> {
    strict::to_vec(record).map_err(|_| VaultError::Record)
}

fn aad(table: Table, key: &[u8]) -> Aad<Vec<u8>> {
    let mut bytes = b"treering-vault-v1\0".to_vec();
    bytes.push(table as u8);
    bytes.extend_from_slice(key);
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> KekRecord {
        KekRecord { scope: "ledger".into(), class: "decision".into(), period: 20_000 }
    }

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let sealer = Sealer::new(&MasterKey::from_bytes([1; 32]));
        let sealed = sealer.seal_kek(&[2; 16], &record(), &[3; 32]).unwrap();
        assert_eq!(*sealer.open_kek(&[2; 16], &sealed).unwrap().0, [3; 32]);
        assert!(sealer.open_kek(&[9; 16], &sealed).is_err(), "another row");
        assert!(sealer.open_grant(&[2; 16], &sealed).is_err(), "another table");
        assert!(Sealer::new(&MasterKey::from_bytes([9; 32])).open_kek(&[2; 16], &sealed).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(sealer.open_kek(&[2; 16], &changed).is_err());
        }
        for length in 0..sealed.len() {
            assert!(sealer.open_kek(&[2; 16], &sealed[..length]).is_err());
        }
    }

    /// If this fails, existing vaults can no longer be found in or opened: keep the old derivation and migrate.
    #[test]
    fn slots_and_sealed_records_are_pinned() {
        let sealer = Sealer::new(&MasterKey::from_bytes([1; 32]));
        let slot = data_encoding::HEXLOWER.encode(&sealer.slot(&record()));
        assert_eq!(slot, PINNED_SLOT);
        let sealed = data_encoding::HEXLOWER.decode(PINNED_KEK.as_bytes()).unwrap();
        assert_eq!(*sealer.open_kek(&[2; 16], &sealed).unwrap().0, [3; 32]);
    }

    const PINNED_SLOT: &str = "e5c7b14383df06b74dfbfcc78b673adfb60c3c2a75a061ec4291696e3ae34945";
    const PINNED_KEK: &str = "01dbde64214e6008f5d4c35d97f7f0db9d829a2eb2af47b60b6f0f4a363bbb72d543c40497fcf0d617f289fc1c30721fda242\
        ef015bb8dad9e72c5d8b56f506941dfffffd5be269e4e1976727235b07879ebd39463c8007a3d61f044b415188b5cc77ad4";
}
