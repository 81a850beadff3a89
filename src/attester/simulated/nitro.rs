//! A simulated platform of AWS Nitro Enclaves: documents and certificates in AWS's form, under a root of its own.
//!
//! A Verifier accepts them only where the configuration pins that root. What always differs is the root, and the
//! organisation in the certificates' names.

use std::collections::BTreeMap;
use std::sync::Arc;

use ciborium::Value;
use sha2::{Digest, Sha256, Sha384};
use treering_provenance::cose::sig_structure;

use super::der::{
    SEQUENCE, bits, boolean_true, element, explicit, integer, octets, oid, printable, sequence, set, time,
    utf8,
};
use super::keys::ReportKey;
use super::random;
use crate::attester::{Attestation, Attester, AttesterError, CRL_TYPE, EvidenceItem, NITRO_DOCUMENT};

/// The protected header of every document: ES384 and nothing else.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
/// Octets of a PCR, and how many a document has.
const PCR_BYTES: usize = 48;
const PCRS: u8 = 16;
/// Where AWS's certificates have Amazon.
const ORGANISATION: &str = "Treering Simulation";
/// Seconds for which certificates are valid, root first, as AWS's: 30 years, 20 days, 6 days, 1 day, 3 hours.
const LIFETIMES_S: [u64; 5] = [30 * 365 * 86_400, 20 * 86_400, 6 * 86_400, 86_400, 3 * 3600];
/// Where the certificates say that the revocation lists of root and region are: in AWS's form, of a region that is none.
/// Whoever fetches for simulated platforms has a mirror in the place of AWS.
const ROOT_LIST: &str =
    "http://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/00000000-0000-4000-8000-000000000001.crl";
const REGION_LIST: &str = "http://crl-simulated-1-aws-nitro-enclaves.s3.simulated-1.amazonaws.com/crl/00000000-0000-4000-8000-000000000002.crl";
/// Certificates are valid from a little before now: clocks differ.
const BACKDATE_S: u64 = 300;
/// Root and region publish CRLs; the simulation's are for a day.
const PUBLISHERS: usize = 2;
const LIST_S: u64 = 86_400;
/// Positions of the certificates.
const LEAF: usize = 4;

/// How the certificates are made. The default is AWS's way; whatever differs is there to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hierarchy {
    /// Whether the certificate of each authority, from the root's to the instance's, says that it is one.
    pub authorities: [bool; 4],
    /// The path length that the region's certificate allows.
    pub region_path_length: u8,
    /// Whether the instance's key may sign certificates.
    pub instance_signs_certificates: bool,
    /// Whether the leaf's key may sign documents.
    pub leaf_signs: bool,
    /// Whether the leaf says that it is an authority.
    pub leaf_is_authority: bool,
}

impl Default for Hierarchy {
    fn default() -> Self {
        Self {
            authorities: [true; 4],
            region_path_length: 2,
            instance_signs_certificates: true,
            leaf_signs: true,
            leaf_is_authority: false,
        }
    }
}

/// A simulated parent instance with its hypervisor: keys and certificates, root first, the leaf last.
pub struct NitroPlatform {
    keys: Vec<ReportKey>,
    certificates: Vec<Vec<u8>>,
    instance_id: String,
    module_id: String,
}

impl std::fmt::Debug for NitroPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NitroPlatform").field("module_id", &self.module_id).finish_non_exhaustive()
    }
}

impl NitroPlatform {
    /// Makes a platform, with certificates from now on.
    pub fn generate(now: u64) -> Result<Self, AttesterError> {
        Self::with(Hierarchy::default(), now)
    }

    /// Makes a platform whose certificates are made so.
    pub fn with(hierarchy: Hierarchy, now: u64) -> Result<Self, AttesterError> {
        let mut id = [0; 16];
        random(&mut id)?;
        let id = data_encoding::HEXLOWER.encode(&id);
        let (instance, enclave) = id.split_at(16);
        let instance_id = format!("i-0{instance}");
        let module_id = format!("{instance_id}-enc{enclave}");
        let keys = (0..=LEAF).map(|_| ReportKey::generate()).collect::<Result<Vec<_>, _>>()?;
        let names = [
            "simulated.nitro-enclaves".to_owned(),
            "region.simulated.nitro-enclaves".to_owned(),
            "zone.region.simulated.nitro-enclaves".to_owned(),
            format!("{instance_id}.region.simulated.nitro-enclaves"),
            format!("{module_id}.region.simulated"),
        ];
        let from = now.saturating_sub(BACKDATE_S);
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        let mut issuer: Option<(&String, &ReportKey)> = None;
        for (position, ((own, key), lifetime)) in names.iter().zip(&keys).zip(LIFETIMES_S).enumerate() {
            let (issuer_name, issuer_key) = issuer.unwrap_or((own, key));
            let body = [
                integer(&[1, u8::try_from(position).unwrap_or(u8::MAX)]),
                algorithm(),
                name(issuer_name),
                sequence(&[time(from), time(from.saturating_add(lifetime))]),
                name(own),
                public_key_info(key),
            ];
            certificates.push(certificate(&body, &extensions(position, hierarchy), issuer_key)?);
            issuer = Some((own, key));
        }
        Ok(Self { keys, certificates, instance_id, module_id })
    }

    /// The root's certificate in DER.
    pub fn root_certificate(&self) -> &[u8] {
        self.certificates.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// SHA-256 of the root's certificate: what a configuration pins.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.root_certificate()).into()
    }

    /// The certificates in DER, root first, leaf last.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The parent instance.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// A CRL of the authority at this position, counted from the root. With `revoked` it names the certificate below.
    pub fn crl(
        &self,
        authority: usize,
        revoked: bool,
        this_update: u64,
        next_update: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let names = [
            "simulated.nitro-enclaves",
            "region.simulated.nitro-enclaves",
            "zone.region.simulated.nitro-enclaves",
        ];
        let named = names.get(authority).zip(self.keys.get(authority));
        let (own, key) =
            named.ok_or_else(|| AttesterError::Report("only root, region and zone have CRLs".to_owned()))?;
        let mut parts = vec![integer(&[1]), algorithm(), name(own), time(this_update), time(next_update)];
        if revoked {
            let below = u8::try_from(authority.saturating_add(1)).unwrap_or(u8::MAX);
            parts.push(sequence(&[sequence(&[integer(&[1, below]), time(this_update)])]));
        }
        signed(&sequence(&parts), key)
    }

    /// An enclave on this platform, which attests at this instant: a simulation has no clock of its own.
    pub fn enclave(self: &Arc<Self>, image: EnclaveImage, now: u64) -> Enclave {
        Enclave { platform: Arc::clone(self), image, now }
    }

    /// Signs a payload, whatever it is, and puts it into a document.
    pub fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let key = self.keys.get(LEAF).ok_or(AttesterError::Crypto("there is no leaf key"))?;
        let signature = key.sign(&sig_structure(&PROTECTED, payload))?;
        let parts = vec![
            Value::Bytes(PROTECTED.to_vec()),
            Value::Map(Vec::new()),
            Value::Bytes(payload.to_vec()),
            Value::Bytes(signature),
        ];
        encode(&Value::Array(parts))
    }
}

/// What an enclave was launched from, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveImage {
    /// PCR0, PCR1 and PCR2: the image, its kernel, its applications. All zero in debug mode.
    pub measurements: [[u8; PCR_BYTES]; 3],
    /// The parent's IAM role, if it has one.
    pub role: Option<String>,
    /// SHA-384 of the certificate that signed the image, if one did.
    pub signer: Option<[u8; PCR_BYTES]>,
}

impl EnclaveImage {
    /// An image that is measured by hashing its octets: the simulation's own rule.
    pub fn of(image: &[u8]) -> Self {
        let one = |part: u8| Sha384::new().chain_update([part]).chain_update(image).finalize().into();
        Self { measurements: [one(0), one(1), one(2)], role: None, signer: None }
    }
}

/// A simulated enclave.
#[derive(Debug, Clone)]
pub struct Enclave {
    platform: Arc<NitroPlatform>,
    image: EnclaveImage,
    now: u64,
}

impl Enclave {
    /// The platform it runs on.
    pub fn platform(&self) -> &NitroPlatform {
        &self.platform
    }

    /// The fields of a document, in the order that hardware writes them.
    pub fn fields(&self, user_data: &[u8]) -> Vec<(Value, Value)> {
        let platform = &self.platform;
        let (cabundle, leaf) = platform.certificates.split_at(LEAF.min(platform.certificates.len()));
        let leaf = leaf.first().cloned().unwrap_or_default();
        let pcrs = self.pcrs().into_iter().map(|(index, value)| (index.into(), Value::Bytes(value.to_vec())));
        vec![
            ("module_id".into(), platform.module_id.as_str().into()),
            ("digest".into(), "SHA384".into()),
            ("timestamp".into(), self.now.saturating_mul(1000).into()),
            ("pcrs".into(), Value::Map(pcrs.collect())),
            ("certificate".into(), Value::Bytes(leaf)),
            ("cabundle".into(), Value::Array(cabundle.iter().cloned().map(Value::Bytes).collect())),
            ("public_key".into(), Value::Null),
            ("user_data".into(), Value::Bytes(user_data.to_vec())),
            ("nonce".into(), Value::Null),
        ]
    }

    fn pcrs(&self) -> BTreeMap<u8, [u8; PCR_BYTES]> {
        let mut pcrs: BTreeMap<u8, _> = (0..PCRS).map(|index| (index, [0; PCR_BYTES])).collect();
        pcrs.extend((0..).zip(self.image.measurements));
        pcrs.insert(4, extended(self.platform.instance_id.as_bytes()));
        if let Some(role) = &self.image.role {
            pcrs.insert(3, extended(role.as_bytes()));
        }
        if let Some(signer) = &self.image.signer {
            pcrs.insert(8, extended(signer));
        }
        pcrs
    }
}

impl Attester for Enclave {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let payload = encode(&Value::Map(self.fields(report_data)))?;
        let bytes = self.platform.sign(&payload)?;
        // The certificates are in the document. The CRLs of root and region AWS publishes elsewhere; here they come along.
        let list = |authority| {
            let from = self.now.saturating_sub(BACKDATE_S);
            let bytes = self.platform.crl(authority, false, from, from.saturating_add(LIST_S))?;
            Ok(EvidenceItem { media_type: CRL_TYPE, bytes })
        };
        Ok(Attestation {
            evidence: vec![EvidenceItem { media_type: NITRO_DOCUMENT, bytes }],
            endorsements: Vec::new(),
            documents: (0..PUBLISHERS).map(list).collect::<Result<_, AttesterError>>()?,
        })
    }
}

/// What a PCR is after one measurement into zeros.
fn extended(measured: &[u8]) -> [u8; PCR_BYTES] {
    Sha384::new().chain_update([0; PCR_BYTES]).chain_update(measured).finalize().into()
}

/// CBOR in shortest forms and definite lengths, maps in the order given.
pub(super) fn encode(value: &Value) -> Result<Vec<u8>, AttesterError> {
    let mut out = Vec::new();
    let written = ciborium::into_writer(value, &mut out);
    written.map_err(|error| AttesterError::Report(error.to_string()))?;
    Ok(out)
}

/// The extensions that AWS's certificates have at this position.
fn extensions(position: usize, hierarchy: Hierarchy) -> Vec<Vec<u8>> {
    let authority = |is_one: bool, path_length: Option<u8>| {
        let mut parts = Vec::new();
        if is_one {
            parts.push(boolean_true());
            parts.extend(path_length.map(|length| integer(&[length])));
        }
        extension("2.5.29.19", true, &sequence(&parts))
    };
    let usage = |critical: bool, bits: [u8; 2]| extension("2.5.29.15", critical, &element(0x03, &bits));
    // digitalSignature, keyCertSign, cRLSign.
    let signs_all = [1, 0x86];
    let [root, region, zone, instance] = hierarchy.authorities;
    match position {
        0 => vec![authority(root, None), usage(true, signs_all)],
        1 => vec![
            authority(region, Some(hierarchy.region_path_length)),
            usage(true, signs_all),
            distribution_point(ROOT_LIST),
        ],
        2 => vec![authority(zone, Some(1)), usage(true, signs_all), distribution_point(REGION_LIST)],
        3 => {
            let key_usage = if hierarchy.instance_signs_certificates { [2, 0x04] } else { [7, 0x80] };
            vec![authority(instance, Some(0)), usage(true, key_usage)]
        }
        _ => {
            // digitalSignature and nonRepudiation, or keyEncipherment alone.
            let key_usage = if hierarchy.leaf_signs { [6, 0xc0] } else { [5, 0x20] };
            vec![authority(hierarchy.leaf_is_authority, None), usage(false, key_usage)]
        }
    }
}

fn distribution_point(url: &str) -> Vec<u8> {
    let names = element(0xa0, &element(0xa0, &element(0x86, url.as_bytes())));
    extension("2.5.29.31", false, &sequence(&[sequence(&[names])]))
}

fn extension(id: &'static str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean_true());
    }
    parts.push(octets(value));
    sequence(&parts)
}

/// ecdsa-with-SHA384.
fn algorithm() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.3")])
}

fn name(common_name: &str) -> Vec<u8> {
    let attribute = |id: &'static str, value: Vec<u8>| set(&[sequence(&[oid(id), value])]);
    sequence(&[
        attribute("2.5.4.6", printable("US")),
        attribute("2.5.4.10", utf8(ORGANISATION)),
        attribute("2.5.4.11", utf8("Nitro")),
        attribute("2.5.4.3", utf8(common_name)),
    ])
}

pub(super) fn public_key_info(key: &ReportKey) -> Vec<u8> {
    sequence(&[sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")]), bits(key.public_point())])
}

fn certificate(body: &[Vec<u8>], extensions: &[Vec<u8>], key: &ReportKey) -> Result<Vec<u8>, AttesterError> {
    let version = explicit(0, &integer(&[2]));
    let extensions = explicit(3, &sequence(extensions));
    signed(&element(SEQUENCE, &[version, body.concat(), extensions].concat()), key)
}

/// A certificate or CRL: what is signed, the algorithm, the signature as two numbers.
fn signed(to_be_signed: &[u8], key: &ReportKey) -> Result<Vec<u8>, AttesterError> {
    let signature = key.sign(to_be_signed)?;
    let (r, s) = signature.split_at(signature.len() / 2);
    let signature = sequence(&[integer(r), integer(s)]);
    Ok(sequence(&[to_be_signed.to_vec(), algorithm(), bits(&signature)]))
}
