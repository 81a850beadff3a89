//! The first two entries made anew, under a registration policy that `init` does not make: more issuers, of which one
//! may register plain payloads, one has a P-256 key and one is no approver; and two approvals for each activation.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use treering::clock::{Clock, SystemClock};
use treering::config::Config;
use treering::governance::{self, Genesis};
use treering::ident::TrustDomain;
use treering::keys::{self, KeyStore};
use treering::ledger::{HeadSealer, Ledger, ReleaseRule};
use treering_log::{Config as LogConfig, Log, Sealer};
use treering_provenance::content::{Content, TrustAnchors};
use treering_provenance::cose::{Es256Signer, Signer, VerifyingKey};
use treering_provenance::statement::{Body, Statement};
use treering_provenance::trust::Release;

use super::stage::{TRUST_DOMAIN, edit};

/// Keys of issuers that are not in files.
pub(crate) struct Extra {
    /// PKCS#8 of the P-256 issuer.
    pub(crate) p256: Vec<u8>,
}

pub(super) async fn again(dir: &Path, path: &Path) -> Extra {
    let p256 = rcgen::KeyPair::generate().unwrap().serialize_der();
    let mut issuers =
        vec![issuer("p256", Es256Signer::from_pkcs8(&p256).unwrap().key(), "workload-provenance", false)];
    for (name, kind, public) in [
        ("second", "approval", false),
        ("intern", "approval", false),
        ("foreign", "workload-provenance", true),
    ] {
        let key = keys::generate_ed25519().unwrap();
        keys::write_ed25519(&dir.join(format!("issuers/{name}.pem")), &key).unwrap();
        let key = VerifyingKey::from_ed25519(key.verifying_key().as_bytes()).unwrap();
        issuers.push(issuer(name, &key, kind, public));
    }
    edit(path, |table| {
        table["issuer"].as_array_mut().unwrap().extend(issuers);
        let governance = table["governance"].as_table_mut().unwrap();
        governance.insert("threshold".to_owned(), 2.into());
        governance["approvers"].as_array_mut().unwrap().push(uri("second").into());
    });
    let roots = roots(&dir.join("data"));
    fs::remove_dir_all(dir.join("data")).unwrap();
    create(dir, &Config::load(path).unwrap(), roots).await;
    Extra { p256 }
}

fn uri(name: &str) -> String {
    format!("https://{name}.{TRUST_DOMAIN}")
}

fn issuer(name: &str, key: &VerifyingKey, kind: &str, public: bool) -> toml::Value {
    let mut table = toml::Table::new();
    table.insert("iss".to_owned(), uri(name).into());
    table.insert("key".to_owned(), BASE64URL_NOPAD.encode(&key.to_cose_key().unwrap()).into());
    table.insert("kinds".to_owned(), vec![kind].into());
    table.insert("public".to_owned(), public.into());
    table.into()
}

/// The hardware roots in the log that `init` made.
fn roots(data: &Path) -> Vec<(String, [u8; 32], bool)> {
    let log = Log::open_read_only(data).unwrap();
    let anchors = Statement::parse(&log.entry(1).unwrap().unwrap()).unwrap();
    let Body::Public { bytes, .. } = anchors.body() else { panic!() };
    let anchors = TrustAnchors::from_cbor(bytes).unwrap();
    let roots = anchors.hardware_roots.into_iter();
    roots.map(|root| (root.name, *root.sha256.as_bytes(), root.simulated)).collect()
}

/// The ledger in a folder that `init` made, opened by its keys: by its own service, or by whoever has stolen them.
pub(crate) fn open(dir: &Path, config: &Config, create: bool) -> Ledger {
    let keys = KeyStore::at(dir.join("keys"));
    let domain = TrustDomain::parse(&config.trust_domain).unwrap();
    let mut settings = LogConfig::new(dir.join("data"), Arc::new(|| SystemClock.now()));
    settings.create = create;
    let sealer = HeadSealer::load(&keys, &config.origin, &domain).unwrap();
    let log = Log::open(settings, Arc::new(sealer)).unwrap();
    let release =
        ReleaseRule { at: Release::Committed, timeout: Duration::from_secs(1), embed_parents: true };
    Ledger::new(log, &keys, &keys.master().unwrap(), &config.origin, domain, release).unwrap()
}

async fn create(dir: &Path, config: &Config, hardware_roots: Vec<(String, [u8; 32], bool)>) {
    let ledger = open(dir, config, true);
    let domain = TrustDomain::parse(&config.trust_domain).unwrap();
    let sealer = HeadSealer::load(&KeyStore::at(dir.join("keys")), &config.origin, &domain).unwrap();
    let der = |name: &str| pem_rfc7468::decode_vec(&fs::read(dir.join(name)).unwrap()).unwrap().1;
    let genesis = Genesis {
        registration: config.registration_policy().unwrap(),
        rp_id: config.rp_id.clone(),
        log_vkey: sealer.log_key().to_string(),
        receipt_key: sealer.receipt_key(),
        ca: der("ca.pem"),
        hardware_roots,
        witness_policy: config.log.witness_policy.as_ref().map(|path| fs::read_to_string(path).unwrap()),
    };
    governance::create(&ledger, &genesis, SystemClock.now()).await.unwrap();
    ledger.log().shutdown().await;
}
