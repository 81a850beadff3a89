//! A quote (DCAP, versions 3, 4 and 5): its octets and what they say.
//!
//! The crate `dcap-qvl` reads the layout, and does not mind octets that it has no use for: after a quote, after the
//! data that a length covers, around certificates in PEM. Here a quote has one form only: no other octets mean the
//! same. Out of scope: whether any of it is true (`verdict`).

use dcap_qvl::intel::{PckExtension, parse_pck_extension_with};
use dcap_qvl::quote::{AuthData, Report};

use super::provider::Aws;
use crate::verifier::certificates::ends as certificates_end;
use crate::verifier::parts::{Part, in_order, place};
use crate::verifier::pem;

/// Octets of a quote that are read at all: real ones have 4 to 6 KiB.
const MAX_QUOTE_BYTES: usize = 64 * 1024;
/// Octets of the header.
const HEADER_BYTES: usize = 48;
/// Octets of signature and attestation key.
const SIGNATURE_AND_KEY_BYTES: usize = 64 + 64;
/// Octets of the QE's report and its signature.
const QE_REPORT_BYTES: usize = 384 + 64;
/// Octets of a type of certification data, and its length.
const CERTIFICATION_HEAD_BYTES: usize = 2 + 4;
/// Octets that the QE adds to what its report is over.
const QE_AUTHENTICATION_BYTES: usize = 32;
/// Certification data that is a report of the QE, with certification data of its own.
const QE_REPORT_TYPE: u16 = 6;
/// Certification data that is a chain of certificates in PEM.
const PCK_CHAIN_TYPE: u16 = 5;
/// Attestation keys of ECDSA with P-256, the only kind that there is.
const ECDSA_P256: u16 = 2;
/// Where in a header the type of TEE stands, and what vendor made the quoting enclave.
const TEE_TYPE_AT: usize = 4;
const VENDOR_AT: usize = 12;

/// What a quote is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verifier) enum Tee {
    /// An enclave: quotes of version 3.
    Sgx,
    /// A trust domain: quotes of version 4 and 5.
    Tdx,
}

impl Tee {
    /// TEE_TYPE in the header.
    const fn code(self) -> u32 {
        match self {
            Self::Sgx => 0,
            Self::Tdx => 0x81,
        }
    }

    const fn versions(self) -> &'static [u16] {
        match self {
            Self::Sgx => &[3],
            Self::Tdx => &[4, 5],
        }
    }

    /// The name for people.
    pub(in crate::verifier) const fn name(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }

    /// The name in addresses of Intel's.
    pub(super) const fn lower(self) -> &'static str {
        match self {
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
        }
    }

    /// `id` of its quoting enclave's identity.
    pub(super) const fn identity(self) -> &'static str {
        match self {
            Self::Sgx => "QE",
            Self::Tdx => "TD_QE",
        }
    }
}

/// A quote that was read, and is in its one form.
#[derive(Debug, Clone)]
pub(in crate::verifier) struct Quote {
    raw: Vec<u8>,
    fields: dcap_qvl::quote::Quote,
    pub(in crate::verifier) tee: Tee,
    /// The certificates in it: of the key that signed the QE's report (PCK), of its issuer, and of the root.
    certificates: [Vec<u8>; 3],
    /// What the PCK certificate says about the platform; not verified.
    pub(super) pck: PckExtension,
}

/// Why octets are not a quote that can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier) enum Unreadable {
    /// Not a quote at all, or of a kind that this verifier does not know.
    Format(String),
    /// A quote, but not in its one form.
    NotCanonical(String),
}

/// Whether octets are recognisably a quote of this TEE, perhaps a damaged one: two signs of three are there.
pub(in crate::verifier) fn looks_like_a_quote(tee: Tee, raw: &[u8]) -> bool {
    if raw.len() < HEADER_BYTES {
        return false;
    }
    let vendor = raw.get(VENDOR_AT..VENDOR_AT + 16) == Some(&dcap_qvl::INTEL_QE_VENDOR_ID);
    let kind = raw.get(TEE_TYPE_AT..TEE_TYPE_AT + 4) == Some(&tee.code().to_le_bytes());
    let version = raw.first_chunk().map(|two| u16::from_le_bytes(*two));
    let version = version.is_some_and(|version| tee.versions().contains(&version));
    [vendor, kind, version].into_iter().filter(|sign| *sign).count() >= 2
}

/// How many octets of these are the quote: quoting libraries hand it out in a larger buffer, filled with zeros. `None`
/// if they are no quote of a kind known here.
pub fn quote_length(raw: &[u8]) -> Option<usize> {
    let fields = dcap_qvl::quote::Quote::parse(raw.get(..raw.len().min(MAX_QUOTE_BYTES))?).ok()?;
    let head = fields.signed_length();
    let length = authentication_length(raw, head)?;
    let end = head.checked_add(4)?.checked_add(length)?;
    (end <= raw.len()).then_some(end)
}

/// What the length after the signed octets says.
fn authentication_length(raw: &[u8], head: usize) -> Option<usize> {
    let field = raw.get(head..head.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(field)).ok()
}

impl Quote {
    pub(super) fn read(tee: Tee, raw: &[u8]) -> Result<Self, Unreadable> {
        let format = |reason: String| Unreadable::Format(reason);
        if raw.len() > MAX_QUOTE_BYTES {
            return Err(format(format!("a quote has at most {MAX_QUOTE_BYTES} octets, got {}", raw.len())));
        }
        let fields = dcap_qvl::quote::Quote::parse(raw)
            .map_err(|error| format(format!("not a quote of version 3, 4 or 5: {error:#}")))?;
        known(tee, &fields).map_err(format)?;
        one_form(&fields, raw).map_err(Unreadable::NotCanonical)?;
        let certificates = certificates(fields.inner_cert_data()).map_err(Unreadable::NotCanonical)?;
        let [leaf, ..] = &certificates;
        let pck = parse_pck_extension_with::<Aws>(leaf)
            .map_err(|error| format(format!("the PCK certificate: {error:#}")))?;
        Ok(Self { raw: raw.to_vec(), fields, tee, certificates, pck })
    }

    /// The octets.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// What they say.
    pub(in crate::verifier) fn fields(&self) -> &dcap_qvl::quote::Quote {
        &self.fields
    }

    /// The three certificates in DER: PCK, its issuer, the root.
    pub(super) fn certificates(&self) -> &[Vec<u8>; 3] {
        &self.certificates
    }

    /// The root's, in DER.
    pub(super) fn root_certificate(&self) -> &[u8] {
        let [.., root] = &self.certificates;
        root
    }
}

/// When the certificates in a quote end; nothing where it cannot be read.
pub(in crate::verifier) fn ends(tee: Tee, raw: &[u8]) -> Vec<u64> {
    Quote::read(tee, raw).map(|quote| certificates_end(&quote.certificates)).unwrap_or_default()
}

/// Where header, body, signature data and certificates are in a quote; nothing where it cannot be read.
pub(in crate::verifier) fn parts(tee: Tee, raw: &[u8]) -> Vec<Part> {
    const WITH_BODY_HEAD: u16 = 5;
    const BODY_HEAD_BYTES: usize = 2 + 4;
    let Ok(quote) = Quote::read(tee, raw) else { return Vec::new() };
    let end = quote.fields.signed_length();
    let versioned = if quote.fields.header.version == WITH_BODY_HEAD { BODY_HEAD_BYTES } else { 0 };
    let body_at = HEADER_BYTES + versioned;
    let outer = if matches!(quote.fields.auth_data, AuthData::V4(_)) { CERTIFICATION_HEAD_BYTES } else { 0 };
    let lengths = [
        ("header", HEADER_BYTES),
        ("type and length of the body", versioned),
        ("body", end.saturating_sub(body_at)),
        ("length of the signature data", 4),
        ("R and S", 64),
        ("attestation key", 64),
        ("type and length of the QE's report", outer),
        ("QE's report", 384),
        ("R and S over the QE's report", 64),
        ("length of the QE's authentication data", 2),
        ("QE's authentication data", QE_AUTHENTICATION_BYTES),
        ("type and length of the certificates", CERTIFICATION_HEAD_BYTES),
    ];
    let mut parts = in_order(0, lengths);
    parts.retain(|part| !part.range.is_empty());
    let names = ["PCK certificate, PEM", "its issuer's certificate, PEM", "the root's certificate, PEM"];
    for (name, der) in names.into_iter().zip(&quote.certificates) {
        let text = pem::block("CERTIFICATE", der);
        parts.extend(place(raw, text.as_bytes()).map(|range| Part::new(name, range)));
    }
    parts
}

/// Version, TEE, key and body belong together, and are known.
fn known(tee: Tee, fields: &dcap_qvl::quote::Quote) -> Result<(), String> {
    let header = &fields.header;
    if header.tee_type != tee.code() {
        return Err(format!(
            "a quote of TEE type {:#x}, want {:#x} ({})",
            header.tee_type,
            tee.code(),
            tee.name()
        ));
    }
    if !tee.versions().contains(&header.version) {
        return Err(format!("a quote of version {}, want {:?}", header.version, tee.versions()));
    }
    if header.attestation_key_type != ECDSA_P256 {
        return Err(format!("an attestation key of type {}, want 2 (P-256)", header.attestation_key_type));
    }
    if header.qe_vendor_id != dcap_qvl::INTEL_QE_VENDOR_ID {
        return Err("the quoting enclave is not Intel's".to_owned());
    }
    match (tee, &fields.report) {
        (Tee::Sgx, Report::SgxEnclave(_))
        | (Tee::Tdx, Report::TD10(_) | Report::TD15(_) | Report::TD15Ex(_)) => {}
        _ => return Err(format!("the body is not a report of {}", tee.name())),
    }
    match fields.inner_cert_type() {
        PCK_CHAIN_TYPE => Ok(()),
        other => Err(format!("certification data of type {other}, want {PCK_CHAIN_TYPE} (the PCK chain)")),
    }
}

/// Every length is that of what it covers, and nothing follows.
fn one_form(fields: &dcap_qvl::quote::Quote, raw: &[u8]) -> Result<(), String> {
    let exact = |what: &str, want: usize, got: usize| {
        if want == got { Ok(()) } else { Err(format!("{what}: {got} octets, want {want}")) }
    };
    let chain = CERTIFICATION_HEAD_BYTES + fields.inner_cert_data().len();
    let (authentication, inner) = match &fields.auth_data {
        AuthData::V3(data) => (data.qe_auth_data.data.len(), None),
        AuthData::V4(data) => {
            let outer = &data.certification_data;
            if outer.cert_type != QE_REPORT_TYPE {
                return Err(format!("certification data of type {}, want {QE_REPORT_TYPE}", outer.cert_type));
            }
            (data.qe_report_data.qe_auth_data.data.len(), Some(outer.body.data.len()))
        }
    };
    exact("the QE's authentication data", QE_AUTHENTICATION_BYTES, authentication)?;
    let report_and_chain = QE_REPORT_BYTES + 2 + QE_AUTHENTICATION_BYTES + chain;
    let mut want = SIGNATURE_AND_KEY_BYTES + report_and_chain;
    if let Some(inner) = inner {
        exact("the QE report certification data", report_and_chain, inner)?;
        want += CERTIFICATION_HEAD_BYTES;
    }
    let head = fields.signed_length();
    let got = authentication_length(raw, head).ok_or("it ends before its signature")?;
    exact("the signature data", want, got)?;
    exact("the quote", head + 4 + want, raw.len())
}

/// The three certificates of the chain: PEM as OpenSSL writes it, with or without the zero that ends a text in C.
fn certificates(chain: &[u8]) -> Result<[Vec<u8>; 3], String> {
    let text = chain.strip_suffix(&[0]).unwrap_or(chain);
    let blocks = pem::blocks(text)?;
    let certificates: Vec<Vec<u8>> = blocks.into_iter().map(|block| block.der).collect();
    let written: String = certificates.iter().map(|der| pem::block("CERTIFICATE", der)).collect();
    if written.as_bytes() != text {
        return Err(
            "the certificates are not plain PEM, each line of 64 characters, and nothing else".to_owned()
        );
    }
    let count = certificates.len();
    certificates.try_into().map_err(|_| format!("{count} certificates, want those of PCK, issuer and root"))
}
