//! The vault on a real log: keys survive a restart, grants cover what they say and no more.

use std::path::Path;
use std::sync::Arc;

use treering::ident::{TrustDomain, WorkloadIdentifier};
use treering::keys::{KeyStore, MasterKey};
use treering::ledger::HeadSealer;
use treering::vault::{Class, GrantTerms, Scope, Vault, VaultError, granted, grants_to};
use treering_log::{Config, Log};
use treering_provenance::grant::{self, AuditorKey, GrantContext};

const DAY_S: u64 = 86_400;
const NOW: u64 = 20_000 * DAY_S;
const CONTEXT: GrantContext<'static> = GrantContext { origin: "log.vault.test", grantee: "Audit Ltd" };

fn open(dir: &Path, create: bool) -> (Log, MasterKey) {
    let keys = KeyStore::at(dir.join("keys"));
    if create {
        keys.create().unwrap();
    }
    let domain = TrustDomain::parse("vault.test").unwrap();
    let sealer = HeadSealer::load(&keys, "log.vault.test", &domain).unwrap();
    let mut config = Config::new(dir.join("data"), Arc::new(|| NOW));
    config.create = create;
    (Log::open(config, Arc::new(sealer)).unwrap(), keys.master().unwrap())
}

fn workload() -> Scope {
    Scope::Workload(WorkloadIdentifier::parse("spiffe://vault.test/a").unwrap())
}

fn terms(scopes: &[&str], classes: &[&str], from: u64, to: u64) -> GrantTerms {
    let list = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    GrantTerms { scopes: list(scopes), classes: list(classes), from, to }
}

#[tokio::test]
async fn a_scope_class_and_day_have_one_key_that_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, master) = open(dir.path(), true);
    let vault = Vault::new(log.clone(), &master);
    let first = vault.kek(&workload(), Class::Decision, NOW).await.unwrap();
    let same = vault.kek(&workload(), Class::Decision, NOW + 3600).await.unwrap();
    assert_eq!(first.id, same.id);
    for (scope, class, now) in [
        (Scope::Ledger, Class::Decision, NOW),
        (workload(), Class::Evidence, NOW),
        (workload(), Class::Decision, NOW + DAY_S),
    ] {
        let other = vault.kek(&scope, class, now).await.unwrap();
        assert_ne!((first.id, &*first.key), (other.id, &*other.key));
    }
    drop(vault);
    log.shutdown().await;
    drop(log);

    let (log, master) = open(dir.path(), false);
    let vault = Vault::new(log, &master);
    let again = vault.kek(&workload(), Class::Decision, NOW).await.unwrap();
    assert_eq!((first.id, &*first.key), (again.id, &*again.key));
    assert_eq!(*vault.find(&first.id).unwrap().unwrap(), *first.key);
    assert!(vault.find(&[0; 16]).unwrap().is_none());
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, master) = open(dir.path(), true);
    let id = Vault::new(log.clone(), &master).kek(&Scope::Ledger, Class::Decision, NOW).await.unwrap().id;
    let stranger = Vault::new(log, &MasterKey::from_bytes([9; 32]));
    assert!(stranger.find(&id).is_err());
}

/// A grant without the statement that the ledger would append beside its rows.
async fn give(vault: &Vault, log: &Log, auditor: &AuditorKey, terms: GrantTerms) {
    let offer = vault.offer(terms, auditor.public(), &CONTEXT).unwrap();
    assert!(delivered(log, auditor).is_empty(), "an offer alone delivers nothing");
    let append = async |rows| -> Result<(), VaultError> {
        log.put_rows(rows).await.unwrap();
        Ok(())
    };
    vault.deliver(&offer, append).await.unwrap();
}

/// The keys that a grant delivers, by name.
fn delivered(log: &Log, auditor: &AuditorKey) -> Vec<([u8; 16], [u8; 32])> {
    let mut found = Vec::new();
    for (id, delivery) in grants_to(log, auditor.public().thumbprint().as_bytes()).unwrap() {
        let context = GrantContext { grantee: &delivery.grantee, ..CONTEXT };
        let key = grant::open(&delivery.message.0, auditor, &context).unwrap();
        for wrapped in granted(log, &id).unwrap() {
            let kek = grant::unwrap(&key, wrapped.wrapped.as_bytes()).unwrap();
            found.push((*wrapped.kek_id.as_bytes(), *kek.expose()));
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_grant_covers_keys_made_before_and_after_it_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let (log, master) = open(dir.path(), true);
    let vault = Vault::new(log.clone(), &master);
    let auditor = AuditorKey::from_bytes([5; 32]).unwrap();
    let before = vault.kek(&workload(), Class::Decision, NOW).await.unwrap();
    let elsewhere = vault.kek(&Scope::Ledger, Class::Decision, NOW).await.unwrap();
    let earlier = vault.kek(&workload(), Class::Decision, NOW - DAY_S).await.unwrap();

    let scope = workload().to_string();
    let wanted = terms(&[&scope], &["decision", "evidence"], NOW, NOW + 2 * DAY_S);
    give(&vault, &log, &auditor, wanted).await;
    let after = vault.kek(&workload(), Class::Evidence, NOW + DAY_S).await.unwrap();
    let other_class = vault.kek(&workload(), Class::Provenance, NOW).await.unwrap();
    let too_late = vault.kek(&workload(), Class::Decision, NOW + 3 * DAY_S).await.unwrap();

    let mut expected = vec![(before.id, *before.key), (after.id, *after.key)];
    expected.sort_unstable();
    assert_eq!(delivered(&log, &auditor), expected);
    for kek in [elsewhere, earlier, other_class, too_late] {
        assert!(delivered(&log, &auditor).iter().all(|(id, _)| *id != kek.id));
    }
    // Nobody else is delivered anything, and the sealed message is of no use without the key.
    let stranger = AuditorKey::from_bytes([6; 32]).unwrap();
    assert!(delivered(&log, &stranger).is_empty());
    let (_, delivery) = grants_to(&log, auditor.public().thumbprint().as_bytes()).unwrap().remove(0);
    assert!(grant::open(&delivery.message.0, &stranger, &CONTEXT).is_err());
}

#[tokio::test]
async fn a_star_is_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (log, master) = open(dir.path(), true);
    let vault = Vault::new(log.clone(), &master);
    let auditor = AuditorKey::from_bytes([5; 32]).unwrap();
    give(&vault, &log, &auditor, terms(&["*"], &["*"], 0, u64::MAX)).await;
    for scope in [workload(), Scope::Governance, Scope::Intake, Scope::Ledger] {
        for class in [Class::Decision, Class::Evidence, Class::Provenance] {
            vault.kek(&scope, class, NOW).await.unwrap();
        }
    }
    assert_eq!(delivered(&log, &auditor).len(), 12);
}
