//! A simulated NVIDIA device: SPDM reports and certificates exactly in NVIDIA's form, under a root of its own.
//!
//! Like the simulated processor, it counts only where its root is pinned, and its certificates name another
//! organisation.

mod certificates;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::der::{bits, element, explicit, integer, null, octets, oid, sequence, time};
use super::keys::ReportKey;
use super::{BACKDATE_S, random};
use crate::attester::{Attestation, Attester, AttesterError, EvidenceItem};
use certificates::{algorithm, authority, generalized, leaf, name};

/// Media types of the evidence. The verifier has the same constants; a test compares them.
pub const GPU_EVIDENCE: &str = "application/vnd.treering.nvidia-gpu-evidence+cbor";
/// Of a switch.
pub const SWITCH_EVIDENCE: &str = "application/vnd.treering.nvidia-switch-evidence+cbor";
/// Octets of the signature at the end of a report.
pub const SIGNATURE_BYTES: usize = 96;
/// Position of each certificate in the chain, leaf first; the keys have the same order.
const BOOT_ROM: usize = 1;
const ROOT: usize = 4;

/// Which device is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// A GPU of the Hopper generation.
    Gh100,
    /// A GPU of the Blackwell generation.
    Gb100,
    /// An `NVSwitch`.
    Ls10,
}

impl Model {
    const fn chip(self) -> &'static str {
        match self {
            Self::Gh100 => "GH100",
            Self::Gb100 => "GB100",
            Self::Ls10 => "LS_10",
        }
    }

    const fn measurements(self) -> usize {
        match self {
            Self::Gh100 | Self::Gb100 => 64,
            Self::Ls10 => 31,
        }
    }
}

/// What the certificates are to say; all of it may be wrong.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// What the device is.
    pub model: Model,
    /// The chip in DMTF's name of the device.
    pub dmtf_chip: &'static str,
    /// The firmware that the signing key belongs to.
    pub fwid: [u8; 48],
}

impl Identity {
    /// An ordinary device of this model.
    pub fn of(model: Model) -> Self {
        Self { model, dmtf_chip: model.chip(), fwid: Sha384::digest(b"simulated firmware").into() }
    }
}

/// What a report is to say; all of it may be wrong.
#[derive(Debug, Clone)]
pub struct Fields {
    /// The nonce of the request.
    pub nonce: [u8; 32],
    /// The measurements, from index 1 on.
    pub measurements: Vec<[u8; 48]>,
    /// NVIDIA's fields by number.
    pub opaque: Vec<(u16, Vec<u8>)>,
}

impl Fields {
    /// Replaces one of NVIDIA's fields, or adds it.
    pub fn set(&mut self, number: u16, value: &[u8]) {
        self.opaque.retain(|(one, _)| *one != number);
        self.opaque.push((number, value.to_vec()));
    }
}

/// A simulated device: its keys and certificates.
pub struct Device {
    identity: Identity,
    authorities: [Authority; 4],
    report_key: ReportKey,
    chain: [Vec<u8>; 5],
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// An authority of the chain, from the boot ROM up.
struct Authority {
    key: EcdsaKeyPair,
    name: Vec<u8>,
    serial: Vec<u8>,
}

impl Authority {
    fn generate(name: Vec<u8>, serial: Vec<u8>) -> Result<Self, AttesterError> {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING);
        let key = key.map_err(|_| AttesterError::Crypto("a P-384 key could not be made"))?;
        Ok(Self { key, name, serial })
    }

    fn public_point(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    fn signed(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, AttesterError> {
        Ok(sequence(&[self.signed_parts(to_be_signed)?]))
    }

    fn signed_parts(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let signature = self.key.sign(&SystemRandom::new(), to_be_signed);
        let signature = signature.map_err(|_| AttesterError::Crypto("a signature could not be made"))?;
        Ok([to_be_signed.to_vec(), algorithm(), bits(signature.as_ref())].concat())
    }
}

/// An OCSP response of these octets.
fn response(basic: &[u8]) -> Vec<u8> {
    let bytes = sequence(&[oid("1.3.6.1.5.5.7.48.1.1"), octets(basic)]);
    sequence(&[element(0x0a, &[0]), explicit(0, &bytes)])
}

/// What an authority says about a certificate by OCSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It holds.
    Good,
    /// It is revoked, for this reason.
    Revoked(u8),
    /// It is none of the authority's.
    Unknown,
}

impl Device {
    /// Makes an ordinary device.
    pub fn generate(model: Model, now: u64) -> Result<Self, AttesterError> {
        Self::with_identity(Identity::of(model), now)
    }

    /// Makes a device whose certificates say this.
    pub fn with_identity(identity: Identity, now: u64) -> Result<Self, AttesterError> {
        let from = now.saturating_sub(BACKDATE_S);
        let chip = identity.model.chip();
        let (mut number, mut alias) = ([0; 9], [0; 20]);
        random(&mut number)?;
        random(&mut alias)?;
        // A serial number is positive; NVIDIA's begin with the type of device.
        let ([first, ..], [alias_first, ..]) = (&mut number, &mut alias);
        (*first, *alias_first) = (0x41, 0x41);
        let serial = data_encoding::HEXUPPER.encode(&number);
        let authorities = [
            Authority::generate(name(&format!("{chip} A01 GSP BROM"), Some(&serial)), number.to_vec())?,
            Authority::generate(name(&format!("NVIDIA {chip} Provisioner ICA 1"), None), vec![3])?,
            Authority::generate(name(&format!("NVIDIA {chip} Identity"), None), vec![2])?,
            Authority::generate(name("NVIDIA Device Identity CA", None), vec![1])?,
        ];
        let report_key = ReportKey::generate()?;
        let [boot_rom, provisioner, identity_ca, root] = &authorities;
        let chain = [
            leaf(&identity, &alias, &report_key, boot_rom, from)?,
            authority(boot_rom, provisioner, None, from)?,
            authority(provisioner, identity_ca, Some(&format!("l2-{}", chip.to_lowercase())), from)?,
            authority(identity_ca, root, Some("l1-root"), from)?,
            authority(root, root, None, from)?,
        ];
        Ok(Self { identity, authorities, report_key, chain })
    }

    /// The certificates, leaf first, in DER.
    pub fn chain(&self) -> &[Vec<u8>; 5] {
        &self.chain
    }

    /// SHA-256 of the root's certificate: what a configuration pins.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.chain[ROOT]).into()
    }

    /// The serial number of the boot ROM's certificate.
    pub fn serial(&self) -> &[u8] {
        let [boot_rom, ..] = &self.authorities;
        &boot_rom.serial
    }

    /// What an ordinary report says.
    pub fn ordinary(&self, nonce: [u8; 32]) -> Fields {
        let model = self.identity.model;
        let measurement = |number: usize| Sha384::digest(format!("{}-{number}", model.chip())).into();
        let mut opaque: Vec<(u16, Vec<u8>)> = Vec::new();
        match model {
            Model::Ls10 => {
                opaque.extend([(6, b"96.10.55.00.01".to_vec()), (22, vec![7; 8]), (24, vec![2, 0])]);
            }
            Model::Gh100 | Model::Gb100 => opaque.extend([
                (6, vec![0, 0xa5, 0, 0x96, 1, 0, 0, 0]),
                (17, b"G520\0".to_vec()),
                (18, b"0200\0".to_vec()),
                (3, b"590.12\0".to_vec()),
                (11, vec![0x55]),
                (20, self.identity.fwid.to_vec()),
                (21, vec![0x55]),
                (36, vec![0, 0]),
            ]),
        }
        Fields { nonce, measurements: (0..model.measurements()).map(measurement).collect(), opaque }
    }

    /// A signed report that says this: request and response.
    pub fn report(&self, fields: &Fields) -> Result<Vec<u8>, AttesterError> {
        let little = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        let mut blocks = Vec::new();
        for (index, digest) in (1_u8..).zip(&fields.measurements) {
            blocks.extend([index, 1, 51, 0, 1, 48, 0]);
            blocks.extend(digest);
        }
        let mut opaque = Vec::new();
        for (number, value) in &fields.opaque {
            opaque.extend(number.to_le_bytes());
            opaque.extend(little(value.len()));
            opaque.extend(value);
        }
        let [low, high] = little(blocks.len());
        let count = u8::try_from(fields.measurements.len()).unwrap_or(u8::MAX);
        let mut nonce = [0; 32];
        random(&mut nonce)?;
        let request = [&[0x11, 0xe0, 1, 0xff][..], &fields.nonce, &[0]].concat();
        let head = [0x11, 0x60, 0, 0, count, low, high, 0];
        let body = [&head[..], &blocks, &nonce, &little(opaque.len()), &opaque].concat();
        let mut report = [request, body].concat();
        report.extend([0; SIGNATURE_BYTES]);
        self.sign_report(&mut report)?;
        Ok(report)
    }

    /// Signs what is in a report, whatever it is, and puts the signature in.
    pub fn sign_report(&self, report: &mut [u8]) -> Result<(), AttesterError> {
        let at = report.len().saturating_sub(SIGNATURE_BYTES);
        let (signed, signature) = report.split_at_mut(at);
        let made = self.report_key.sign(signed)?;
        signature.iter_mut().zip(made).for_each(|(to, from)| *to = from);
        Ok(())
    }

    /// An item of evidence: a report and certificates.
    pub fn item(report: &[u8], chain: &[Vec<u8>]) -> Result<Vec<u8>, AttesterError> {
        #[derive(Serialize)]
        struct Form {
            v: u8,
            chain: Vec<Bytes>,
            report: Bytes,
        }
        let chain = chain.iter().cloned().map(Bytes).collect();
        strict::to_vec(&Form { v: 1, chain, report: Bytes(report.to_vec()) })
            .map_err(|error| AttesterError::Report(error.to_string()))
    }

    /// The media type of its evidence.
    pub const fn media_type(&self) -> &'static str {
        match self.identity.model {
            Model::Gh100 | Model::Gb100 => GPU_EVIDENCE,
            Model::Ls10 => SWITCH_EVIDENCE,
        }
    }

    /// A CRL of the issuer of the certificate at this position; that certificate is on it if it is `revoked`.
    pub fn crl(
        &self,
        position: usize,
        revoked: bool,
        from: u64,
        until: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let issuer = self.issuer(position)?;
        let mut parts = vec![integer(&[1]), algorithm(), issuer.name.clone(), time(from), time(until)];
        if revoked {
            parts.push(sequence(&[sequence(&[integer(self.serial_at(position)?), time(from)])]));
        }
        issuer.signed(&sequence(&parts))
    }

    /// An OCSP response of the issuer of the certificate at this position.
    pub fn ocsp(&self, position: usize, said: Said, from: u64, until: u64) -> Result<Vec<u8>, AttesterError> {
        self.ocsp_of(position, position, said, from, until)
    }

    /// The same, signed by the issuer of another certificate.
    pub fn ocsp_of(
        &self,
        position: usize,
        signer: usize,
        said: Said,
        from: u64,
        until: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let data = self.answer(position, said, from, until)?;
        Ok(response(&self.issuer(signer)?.signed(&data)?))
    }

    /// The same, signed by a responder of the issuer's choice, whose certificate comes along: for that purpose, or
    /// not.
    pub fn ocsp_by_responder(
        &self,
        position: usize,
        chosen: bool,
        said: Said,
        from: u64,
        until: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        self.ocsp_with_certificate(position, chosen, said, (from, until), from)
    }

    /// The same, with a certificate of the responder that is valid from `certified` on: which one goes along is not
    /// signed.
    pub fn ocsp_with_certificate(
        &self,
        position: usize,
        chosen: bool,
        said: Said,
        (from, until): (u64, u64),
        certified: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let responder = Authority::generate(name("Responder", None), vec![9])?;
        let certificate = certificates::responder(&responder, self.issuer(position)?, chosen, certified)?;
        let data = self.answer(position, said, from, until)?;
        let basic = [responder.signed_parts(&data)?, explicit(0, &sequence(&[certificate]))].concat();
        Ok(response(&sequence(&[basic])))
    }

    /// What is signed of an OCSP response.
    fn answer(&self, position: usize, said: Said, from: u64, until: u64) -> Result<Vec<u8>, AttesterError> {
        let issuer = self.issuer(position)?;
        let hash = |octets: &[u8]| Sha256::digest(octets).to_vec();
        let id = sequence(&[
            sequence(&[oid("2.16.840.1.101.3.4.2.1"), null()]),
            octets(&hash(&issuer.name)),
            octets(&hash(issuer.public_point())),
            integer(self.serial_at(position)?),
        ]);
        let status = match said {
            Said::Good => element(0x80, &[]),
            Said::Revoked(reason) => {
                element(0xa1, &[generalized(from), explicit(0, &element(0x0a, &[reason]))].concat())
            }
            Said::Unknown => element(0x82, &[]),
        };
        let single = sequence(&[id, status, generalized(from), explicit(0, &generalized(until))]);
        let responder = explicit(2, &octets(&[0; 20]));
        Ok(sequence(&[responder, generalized(from), sequence(&[single])]))
    }

    fn issuer(&self, position: usize) -> Result<&Authority, AttesterError> {
        let last = self.authorities.len().saturating_sub(1);
        let found = self.authorities.get(position.min(last));
        found.ok_or_else(|| AttesterError::Report(format!("no certificate at {position}")))
    }

    fn serial_at(&self, position: usize) -> Result<&[u8], AttesterError> {
        let found = position.checked_sub(BOOT_ROM).and_then(|at| self.authorities.get(at));
        let found = found.map(|authority| authority.serial.as_slice());
        found.ok_or_else(|| AttesterError::Report(format!("no authority's certificate at {position}")))
    }
}

impl Attester for Device {
    /// The nonce has 32 octets, so it carries a digest of the binding value, under a tag of the kind's own.
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let tag: &[u8] = match self.identity.model {
            Model::Gh100 | Model::Gb100 => b"treering-binding-nvidia-gpu-v1",
            Model::Ls10 => b"treering-binding-nvidia-switch-v1",
        };
        let nonce = Sha256::new().chain_update(tag).chain_update(report_data).finalize().into();
        let report = Self::report(self, &self.ordinary(nonce))?;
        let bytes = Self::item(&report, &self.chain)?;
        let evidence = vec![EvidenceItem { media_type: self.media_type(), bytes }];
        Ok(Attestation { evidence, endorsements: Vec::new(), documents: Vec::new() })
    }
}
