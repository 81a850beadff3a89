//! Evidence of AWS Nitro Enclaves and of Arm CCA: any bytes, simulated evidence with changes (never authentic), and
//! what it signs with changes and signed again, which reaches what lies behind the signatures.

use std::sync::{Arc, LazyLock};

use ciborium::Value;
use data_encoding::BASE64;
use treering::{
    attester::{
        Attester,
        simulated::{
            cca::{self, CcaPlatform, Realm, RealmImage},
            nitro::{Enclave, EnclaveImage, NitroPlatform},
        },
    },
    verifier::{
        Appraisal, AppraisalPolicy, CCA_TOKEN, Collateral, Evidence, HardwareRoots, NITRO_DOCUMENT,
        ReferenceValues, Verifier,
    },
};

use crate::{Input, edited};

const NOW: u64 = 1_782_864_000;
const BINDING: [u8; 64] = [7; 64];

struct Known {
    enclave: Enclave,
    document: Vec<u8>,
    realm: Realm,
    token: Vec<u8>,
    verifier: Verifier,
    policy: AppraisalPolicy,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let platform = Arc::new(NitroPlatform::generate(NOW).unwrap());
    let enclave = platform.enclave(EnclaveImage::of(b"image"), NOW);
    let realm = Arc::new(CcaPlatform::generate().unwrap()).realm(RealmImage::of(b"image")).unwrap();
    let octets = |attester: &dyn Attester| attester.report(&BINDING).unwrap().evidence.remove(0).bytes;
    let policy = format!(
        "version = 1\nname = \"fuzz\"\n[nitro]\nrequire_reference_value = false\n[cca]\n\
         require_reference_value = false\nrequire_platform_reference = false\n[[cca.platform_key]]\n\
         name = \"ours\"\nspki = \"{}\"\n",
        BASE64.encode(&realm.platform().key())
    );
    let roots = [platform.root_fingerprint(), realm.platform().key_fingerprint()];
    Known {
        document: octets(&enclave),
        token: octets(&realm),
        enclave,
        realm,
        verifier: Verifier::new(HardwareRoots::with_simulated(roots)),
        policy: AppraisalPolicy::parse(policy.as_bytes()).unwrap(),
    }
});

impl Known {
    fn appraise(&self, media_type: &str, octets: Vec<u8>) -> Option<Appraisal> {
        let evidence = Evidence::new([(media_type, octets)]).ok()?;
        crate::service::wanted_by_name(&evidence);
        let none = ReferenceValues::none();
        Some(self.verifier.appraise(&evidence, &Collateral::default(), &self.policy, &none, NOW))
    }

    /// Only the genuine octets are authentic.
    fn check(&self, media_type: &str, genuine: &[u8], octets: Vec<u8>) {
        let same = octets == genuine;
        if let Some(appraisal) = self.appraise(media_type, octets) {
            assert_eq!(appraisal.is_authentic(), same);
        }
    }
}

fn encoded(claims: Vec<(Value, Value)>) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(&Value::Map(claims), &mut out).unwrap();
    out
}

/// Attestation documents of Nitro enclaves.
pub fn nitro_document(data: &[u8]) {
    let known = &*KNOWN;
    match Input::of(data) {
        Some(Input::Raw(bytes)) => known.check(NITRO_DOCUMENT, &known.document, bytes.to_vec()),
        Some(Input::Edits(edits)) => {
            if let Some(document) = edited(&known.document, edits) {
                known.check(NITRO_DOCUMENT, &known.document, document);
            }
            if let Some(payload) = edited(&encoded(known.enclave.fields(&BINDING)), edits) {
                let document = known.enclave.platform().sign(&payload).unwrap();
                let _ = known.appraise(NITRO_DOCUMENT, document).map(Appraisal::into_appraised);
            }
        }
        None => {}
    }
}

/// Tokens of Arm CCA.
pub fn cca_token(data: &[u8]) {
    let known = &*KNOWN;
    match Input::of(data) {
        Some(Input::Raw(bytes)) => known.check(CCA_TOKEN, &known.token, bytes.to_vec()),
        Some(Input::Edits(edits)) => {
            if let Some(token) = edited(&known.token, edits) {
                known.check(CCA_TOKEN, &known.token, token);
            }
            let platform = encoded(known.realm.platform_claims().unwrap());
            let realm = encoded(known.realm.realm_claims(&BINDING).unwrap());
            for (platform, realm) in [
                (edited(&platform, edits), Some(realm.clone())),
                (Some(platform.clone()), edited(&realm, edits)),
            ] {
                let (Some(platform), Some(realm)) = (platform, realm) else { continue };
                let platform = known.realm.platform().sign(&platform).unwrap();
                let realm = known.realm.sign(&realm).unwrap();
                let token = cca::token(platform, realm).unwrap();
                let _ = known.appraise(CCA_TOKEN, token).map(Appraisal::into_appraised);
            }
        }
        None => {}
    }
}

/// Inputs to begin with.
pub fn seeds() -> crate::Seeds {
    let known = &*KNOWN;
    let raw = |bytes: &[u8]| [&[0], bytes].concat();
    vec![
        ("nitro_document", raw(&known.document)),
        ("nitro_document", vec![1, 0, 0x50, 1]),
        ("cca_token", raw(&known.token)),
        ("cca_token", vec![1, 0, 0x50, 1]),
    ]
}
