//! A SCITT client that knows nothing of Treering: let in by `treering init --issuer`, and given receipts in the one
//! algorithm that all such clients verify.

use std::fs;

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use treering_provenance::cose::{Es256Signer, KeySet, Signer, sig_structure};
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::Statement;
use treering_provenance::strict;

use crate::support::{Settings, Stage, cli, folder};

const ISS: &str = "https://scanner.example";

fn issuer(signer: &dyn Signer) -> String {
    let key = BASE64URL_NOPAD.encode(&signer.key().to_cose_key().unwrap());
    format!("iss = \"{ISS}\"\nkey = \"{key}\"\nkinds = [\"workload-provenance\"]\npublic = true\n")
}

/// As RFC 9943 has it, without our label, keys in another order than ours.
fn statement(signer: &dyn Signer) -> Vec<u8> {
    let claims = vec![(1.into(), ISS.into()), (2.into(), "scan-1".into())];
    let protected = Value::Map(vec![
        (4.into(), Value::Bytes(signer.kid().to_vec())),
        (15.into(), Value::Map(claims)),
        (3.into(), "application/json".into()),
        (1.into(), signer.algorithm().id().into()),
    ]);
    let protected = {
        let mut bytes = Vec::new();
        ciborium::into_writer(&protected, &mut bytes).unwrap();
        bytes
    };
    let payload = b"{\"found\":0}".to_vec();
    let signature = signer.sign(&sig_structure(&protected, &payload)).unwrap();
    let parts =
        [Value::Bytes(protected), Value::Map(Vec::new()), Value::Bytes(payload), Value::Bytes(signature)];
    strict::encode(&Value::Tag(18, Box::new(Value::Array(parts.into())))).unwrap()
}

#[tokio::test]
async fn a_foreign_issuer_registers_and_gets_es256_receipts() {
    let signer = Es256Signer::from_pkcs8(&rcgen::KeyPair::generate().unwrap().serialize_der()).unwrap();
    let file = folder("issuer").join("scanner.toml");
    fs::write(&file, issuer(&signer)).unwrap();
    let init = ["--issuer", file.to_str().unwrap(), "--receipt-alg", "es256"].map(str::to_owned);
    let stage = Stage::make(&Settings { init: init.into(), ..Settings::default() }).await;
    stage.serve();
    let net = stage.stranger();

    let bytes = statement(&signer);
    let reply = net.entries(&bytes).await.is(201);
    let keys = KeySet::parse(&net.get("/.well-known/scitt-keys").await.is(200).body).unwrap();
    let key = &keys.0[0];
    assert_eq!(key.algorithm().id(), -7);
    assert_eq!(&keys, stage.trust().receipt_keys());
    let leaf = Statement::parse(&bytes).unwrap().leaf();
    let receipt = Receipt::parse(&reply.body).unwrap();
    let included = receipt.verify_inclusion(key, &stage.origin, &leaf).unwrap();
    assert_eq!((included.index(), included.size()), (2, 3));

    // Another key in the same name.
    let other = Es256Signer::from_pkcs8(&rcgen::KeyPair::generate().unwrap().serialize_der()).unwrap();
    net.entries(&statement(&other)).await.concise(400, "Rejected");
}

#[test]
fn an_issuer_that_is_none_makes_no_ledger() {
    let dir = folder("no-issuer");
    let ledger = dir.join("ledger");
    let file = dir.join("scanner.toml");
    for text in ["", "iss = 3", "iss = \"https://a.example\"\nkey = \"AAAA\"\nkinds = []\n"] {
        fs::write(&file, text).unwrap();
        let arguments = ["init", "--trust-domain", "it.example", "--dir", ledger.to_str().unwrap()];
        cli(arguments.into_iter().chain(["--issuer", file.to_str().unwrap()])).ended(3);
        assert!(!ledger.exists(), "half a ledger is left");
    }
}
