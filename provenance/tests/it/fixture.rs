//! A small world: a log with its keys, two witnesses, a CA, and credentials logged and signed as the service does it.

use std::{fmt::Write as _, sync::Mutex};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SignatureAlgorithm, SigningKey,
};
use treering_provenance::{
    bytes::{Bytes, Digest, Fixed, Leaf},
    content::{Claim, Claims, claims_to_cbor},
    cose::{Ed25519Signer, Es256Signer, Signer},
    proof::{CredentialProof, ParentPath},
    receipt::{self, Inclusion, TreeHead},
    statement::{Draft, Kind, Payload, Statement},
    trust::{Release, Trust, TrustFile, TrustedIssuer},
    x509,
};
use treering_tlog::{
    checkpoint::Checkpoint,
    cosignature::CosignSigner,
    hash::{Hash, node_hash},
    inclusion,
    note::{Note, NoteSigner},
    tree::{self, NodeCoord},
};

pub(crate) const ORIGIN: &str = "log.test.example/1";
pub(crate) const DOMAIN: &str = "test.example";
pub(crate) const WORKLOAD: &str = "spiffe://test.example/pay/settle";
pub(crate) const AUTHORITY: &str = "spiffe://test.example/treering/authority";
pub(crate) const VERIFIER: &str = "spiffe://test.example/treering/verifier";
pub(crate) const MAPPER: &str = "spiffe://test.example/treering/mapper";
pub(crate) const LOG_ROLE: &str = "spiffe://test.example/treering/log";
/// 2026-03-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_772_323_200;

pub(crate) fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32]).unwrap()
}

pub(crate) fn es256() -> Es256Signer {
    Es256Signer::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap()
}

pub(crate) fn cose_key(signer: &dyn Signer) -> Bytes {
    Bytes(signer.key().to_cose_key().unwrap())
}

/// A statement with a payload that nobody opens.
pub(crate) fn confidential(kind: Kind, issuer: &str, parents: Vec<Leaf>, cred: Option<Digest>) -> Draft<'_> {
    Draft {
        kind,
        issuer,
        subject: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        audience: ORIGIN,
        issued_at: NOW,
        parents,
        cred,
        payload: Payload::Confidential { envelope: Fixed([1; 32]), commit: Fixed([2; 32]) },
    }
}

/// A log in memory.
#[derive(Default)]
pub(crate) struct TestLog {
    pub(crate) leaves: Vec<Hash>,
}

impl TestLog {
    pub(crate) fn with_filler(count: u8) -> Self {
        Self { leaves: (0..count).map(|byte| Hash::from_bytes([byte; 32])).collect() }
    }

    pub(crate) fn push(&mut self, leaf: Hash) -> u64 {
        self.leaves.push(leaf);
        self.leaves.len() as u64 - 1
    }

    fn node(&self, coord: NodeCoord) -> Hash {
        if coord.level == 0 {
            return self.leaves[usize::try_from(coord.index).unwrap()];
        }
        let child = |index| self.node(NodeCoord::new(coord.level - 1, index));
        node_hash(&child(coord.index * 2), &child(coord.index * 2 + 1))
    }

    pub(crate) fn root_at(&self, size: u64) -> Hash {
        tree::root_at(size, |coord| Ok::<_, ()>(self.node(coord))).unwrap()
    }

    pub(crate) fn inclusion_at(&self, index: u64, size: u64) -> Inclusion {
        let path = inclusion::prove(index, size, |coord| Ok::<_, ()>(self.node(coord))).unwrap();
        Inclusion { size, index, path }
    }

    pub(crate) fn inclusion(&self, index: u64) -> Inclusion {
        self.inclusion_at(index, self.leaves.len() as u64)
    }

    pub(crate) fn consistency(&self, old_size: u64, new_size: u64) -> receipt::Consistency {
        let path =
            treering_tlog::consistency::prove(old_size, new_size, |coord| Ok::<_, ()>(self.node(coord)))
                .unwrap();
        receipt::Consistency { old_size, new_size, path }
    }

    pub(crate) fn head(&self) -> TreeHead<'static> {
        let size = self.leaves.len() as u64;
        TreeHead { origin: ORIGIN, size, root: self.root_at(size) }
    }
}

/// Hands rcgen a key that signs nothing and remembers what was to be signed.
pub(crate) struct Capturing<'a> {
    key: &'a KeyPair,
    tbs: Mutex<Vec<u8>>,
}

impl<'a> Capturing<'a> {
    pub(crate) fn new(key: &'a KeyPair) -> Self {
        Self { key, tbs: Mutex::new(Vec::new()) }
    }
}

impl PublicKeyData for Capturing<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(self.key)
    }
}

impl SigningKey for Capturing<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        *self.tbs.lock().unwrap() = message.to_vec();
        Ok(vec![0])
    }
}

/// The TBSCertificate that rcgen makes, and the DER of its signature algorithm.
pub(crate) fn capture(params: &CertificateParams, key: &KeyPair, ca: &Ca) -> (Vec<u8>, Vec<u8>) {
    let capturing = Capturing::new(&ca.key);
    let issuer = Issuer::from_params(&ca.params, &capturing);
    let unsigned = params.signed_by(key, &issuer).unwrap();
    let algorithm = x509::split_certificate(unsigned.der()).unwrap().algorithm.to_vec();
    let tbs = capturing.tbs.lock().unwrap().clone();
    (tbs, algorithm)
}

pub(crate) struct Ca {
    pub(crate) key: KeyPair,
    pub(crate) params: CertificateParams,
    pub(crate) certificate: Certificate,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::params(name);
        let certificate = params.self_signed(&key).unwrap();
        Self { key, params, certificate }
    }

    pub(crate) fn below(name: &str, parent: &Self) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::params(name);
        let certificate = params.signed_by(&key, &Issuer::from_params(&parent.params, &parent.key)).unwrap();
        Self { key, params, certificate }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2036, 1, 1);
        params
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// Signs a TBSCertificate.
    pub(crate) fn sign(&self, tbs: &[u8], algorithm: &[u8]) -> Vec<u8> {
        x509::assemble_certificate(tbs, algorithm, &SigningKey::sign(&self.key, tbs).unwrap())
    }
}

pub(crate) fn workload_params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = rcgen::date_time_ymd(2026, 2, 28);
    params.not_after = rcgen::date_time_ymd(2026, 3, 2);
    let claims = Claims::from([
        ("assurance".to_owned(), Claim::from("simulated")),
        ("region".to_owned(), Claim::from("Germany")),
    ]);
    let claims = claims_to_cbor(&claims).unwrap();
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 1, 2], claims)];
    params
}

/// A credential with all that made it.
pub(crate) struct Issued {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Es256Signer,
    /// Without proof.
    pub(crate) tbs: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) proof: CredentialProof,
    pub(crate) issuance: Statement,
}

pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) log: TestLog,
    pub(crate) log_key: NoteSigner,
    pub(crate) receipt_key: Es256Signer,
    pub(crate) authority: Ed25519Signer,
    pub(crate) witnesses: Vec<CosignSigner>,
}

impl World {
    pub(crate) fn new() -> Self {
        let witness = |name: &str, seed| CosignSigner::from_seed(name, &[seed; 32]).unwrap();
        Self {
            ca: Ca::new("test CA"),
            log: TestLog::with_filler(5),
            log_key: NoteSigner::from_seed(ORIGIN, &[11; 32]).unwrap(),
            receipt_key: es256(),
            authority: signer(12),
            witnesses: vec![witness("w1.example", 21), witness("w2.example", 22), witness("w3.example", 23)],
        }
    }

    /// Appends appraisal, mapping and issuance, and two entries after them, then signs the certificate.
    pub(crate) fn issue(&mut self) -> Issued {
        let key = KeyPair::generate().unwrap();
        let (tbs, algorithm) = capture(&workload_params(WORKLOAD), &key, &self.ca);
        let cred = x509::cred(&self.ca.spki(), &x509::strip(&tbs).unwrap());
        let issuance = self.log_chain(cred);
        let index = self.log.leaves.len() as u64 - 1;
        self.log.push(Hash::from_bytes([0xee; 32]));
        self.log.push(Hash::from_bytes([0xef; 32]));
        let proof = self.proof(&issuance, index, 2);
        let certificate = self.finish(&tbs, &algorithm, &proof);
        let key = Es256Signer::from_pkcs8(&key.serialize_der()).unwrap();
        Issued { certificate, key, tbs, algorithm, proof, issuance }
    }

    fn log_chain(&mut self, cred: Digest) -> Statement {
        let appraisal = confidential(Kind::Appraisal, VERIFIER, vec![], None).sign(&signer(13)).unwrap();
        let mapping = confidential(Kind::Mapping, MAPPER, vec![appraisal.leaf().into()], None);
        let mapping = mapping.sign(&signer(14)).unwrap();
        let parents = vec![mapping.leaf().into(), appraisal.leaf().into()];
        let issuance =
            confidential(Kind::Issuance, AUTHORITY, parents, Some(cred)).sign(&self.authority).unwrap();
        for statement in [&appraisal, &mapping, &issuance] {
            self.log.push(statement.leaf());
        }
        issuance
    }

    /// The proof of an issuance at `index`, with its two parents before it, cosigned by the first `quorum` witnesses.
    pub(crate) fn proof(&self, issuance: &Statement, index: u64, quorum: usize) -> CredentialProof {
        let main = self.log.inclusion(index);
        let seal = receipt::seal(&self.receipt_key, LOG_ROLE, &self.log.head(), NOW).unwrap();
        let receipt = receipt::assemble(&seal, std::slice::from_ref(&main)).unwrap();
        let parent = |index| ParentPath::compress(&self.log.inclusion(index), &main).unwrap();
        let parents = vec![parent(index - 1), parent(index - 2)];
        CredentialProof::new(issuance.entry(), &receipt, &self.note(quorum), parents)
    }

    /// The signed checkpoint of the whole log.
    pub(crate) fn note(&self, quorum: usize) -> Note {
        let head = self.log.head();
        let body = Checkpoint::new(ORIGIN, head.size, head.root).unwrap().body();
        let mut lines = vec![self.log_key.sign(&body).unwrap()];
        lines.extend(self.witnesses.iter().take(quorum).map(|witness| witness.cosign(&body, NOW).unwrap()));
        Note::new(body, lines).unwrap()
    }

    pub(crate) fn finish(&self, tbs: &[u8], algorithm: &[u8], proof: &CredentialProof) -> Vec<u8> {
        let tbs = x509::insert_proof(tbs, &proof.to_bytes().unwrap()).unwrap();
        self.ca.sign(&tbs, algorithm)
    }

    pub(crate) fn trust_file(&self) -> TrustFile {
        let mut policy = format!("log {}\n", self.log_key.verifier());
        for (number, witness) in self.witnesses.iter().enumerate() {
            writeln!(policy, "witness w{number} {}", witness.verifier()).unwrap();
        }
        policy += "group all 2 w0 w1 w2\nquorum all\n";
        TrustFile {
            v: 1,
            origin: ORIGIN.to_owned(),
            trust_domain: DOMAIN.to_owned(),
            log_vkey: self.log_key.verifier().to_string(),
            receipt_keys: vec![cose_key(&self.receipt_key)],
            issuers: vec![TrustedIssuer {
                iss: AUTHORITY.to_owned(),
                kinds: vec![Kind::Issuance],
                keys: vec![cose_key(&self.authority)],
            }],
            ca: vec![self.ca.certificate.pem()],
            policy: Some(policy),
            release: Release::Witnessed,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::parse(self.trust_file().to_json().unwrap().as_bytes()).unwrap()
    }
}
