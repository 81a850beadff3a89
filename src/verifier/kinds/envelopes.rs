//! Envelopes that other services have around the evidence of TPMs, opened: what is signed goes into our container.
//!
//! In scope: the JSON of Trustee (kinds `tpm`, `az-snp-vtpm`, `az-tdx-vtpm`, the last two in the forms v0, v1 and v2)
//! and of attestation-rs. Out of scope: any judgement: what is opened is evidence like other evidence.
//! Field names and encodings are those of the services' own readers.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::azure::{self, hcl};
use super::tpm::{container, wire};
use crate::verifier::evidence::{AZ_SNP, AZ_TDX, MAX_ITEM_BYTES, TPM_QUOTE};
use crate::verifier::pem;

/// Octets of an envelope: octets as lists of numbers take up to four times the room.
pub const MAX_ENVELOPE_BYTES: usize = 4 * MAX_ITEM_BYTES;

/// What was in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Media type and octets of each item of evidence.
    pub items: Vec<(String, Vec<u8>)>,
    /// Certificates in DER that came along.
    pub certificates: Vec<Vec<u8>>,
}

/// Why an envelope could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too large.
    #[error("an envelope has at most {MAX_ENVELOPE_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// Not JSON of a form that is known.
    #[error("not an envelope of TPM evidence: {0}")]
    Form(String),
    /// A field that is not what it should be.
    #[error("{field}: {reason}")]
    Field {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
}

fn field(field: &'static str, reason: impl Into<String>) -> EnvelopeError {
    EnvelopeError::Field { field, reason: reason.into() }
}

/// Octets as a list of numbers (v0), hex, or base64 of either alphabet.
#[derive(Deserialize)]
#[serde(untagged)]
enum Octets {
    List(Vec<u8>),
    Text(String),
}

impl Octets {
    fn hex(&self, name: &'static str) -> Result<Vec<u8>, EnvelopeError> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Text(text) => {
                HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|error| field(name, error.to_string()))
            }
        }
    }

    fn base64(&self, name: &'static str) -> Result<Vec<u8>, EnvelopeError> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Text(text) => {
                let url = BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes());
                url.or_else(|_| BASE64.decode(text.as_bytes()))
                    .map_err(|error| field(name, error.to_string()))
            }
        }
    }
}

/// All forms at once: which one it is, is said by what is there.
#[derive(Deserialize)]
struct Envelope {
    /// attestation-rs has its evidence inside.
    evidence: Option<Box<Envelope>>,
    #[serde(alias = "quote")]
    tpm_quote: Option<QuoteJson>,
    #[serde(alias = "report")]
    hcl_report: Option<Octets>,
    td_quote: Option<Octets>,
    vcek: Option<String>,
    ak_public: Option<Octets>,
}

#[derive(Deserialize)]
struct QuoteJson {
    message: Octets,
    signature: Octets,
    pcrs: Vec<Octets>,
}

/// Opens the JSON of Trustee or attestation-rs.
pub fn open_vtpm_json(json: &[u8]) -> Result<Opened, EnvelopeError> {
    if json.len() > MAX_ENVELOPE_BYTES {
        return Err(EnvelopeError::TooLarge(json.len()));
    }
    let outer: Envelope =
        serde_json::from_slice(json).map_err(|error| EnvelopeError::Form(error.to_string()))?;
    let envelope = outer.evidence.as_deref().unwrap_or(&outer);
    let quote = envelope.tpm_quote.as_ref();
    let quote = quote.ok_or_else(|| EnvelopeError::Form("there is no quote in it".to_owned()))?;
    match (&envelope.hcl_report, &envelope.ak_public) {
        (Some(report), None) => open_azure(envelope, &report.base64("hcl_report")?, quote),
        (None, Some(key)) => open_tpm(key, quote),
        _ => Err(EnvelopeError::Form("want an HCL report or an attestation key beside the quote".to_owned())),
    }
}

/// All 24 registers, as the services list them.
fn registers(quote: &QuoteJson) -> Result<BTreeMap<u8, Bytes>, EnvelopeError> {
    let octets = quote.pcrs.iter().map(|value| value.hex("pcrs").map(Bytes));
    let octets: Vec<Bytes> = octets.collect::<Result<_, _>>()?;
    Ok((0..=u8::MAX).zip(octets).collect())
}

fn encoded<T: serde::Serialize>(form: &T) -> Result<Vec<u8>, EnvelopeError> {
    strict::to_vec(form).map_err(|error| EnvelopeError::Form(error.to_string()))
}

fn open_tpm(key: &Octets, quote: &QuoteJson) -> Result<Opened, EnvelopeError> {
    let form = container::Form {
        attest: Bytes(quote.message.base64("message")?),
        key: Some(Bytes(key.base64("ak_public")?)),
        parent: None,
        pcrs: registers(quote)?,
        public: None,
        signature: Bytes(quote.signature.base64("signature")?),
    };
    Ok(Opened { items: vec![(TPM_QUOTE.to_owned(), encoded(&form)?)], certificates: Vec::new() })
}

fn open_azure(envelope: &Envelope, report: &[u8], quote: &QuoteJson) -> Result<Opened, EnvelopeError> {
    let cut = hcl::cut(report).map_err(|reason| field("hcl_report", reason))?;
    let raw = quote.signature.hex("signature")?;
    let signature = wire::Signature::rsassa_sha256(&raw).ok_or_else(|| field("signature", "too long"))?;
    let form = |report: Vec<u8>, tee: &str| -> Result<Vec<u8>, EnvelopeError> {
        encoded(&azure::Form {
            attest: Bytes(quote.message.hex("message")?),
            pcrs: registers(quote)?,
            report: Bytes(report),
            runtime: Bytes(cut.runtime.to_vec()),
            signature: Bytes(signature),
            tee: tee.to_owned(),
        })
    };
    match (cut.tee, &envelope.td_quote) {
        (hcl::Tee::SevSnp, None) => {
            let items = vec![(AZ_SNP.to_owned(), form(cut.report.to_vec(), super::sev_snp::NAME)?)];
            let certificates = envelope.vcek.as_deref().map(certificates).transpose()?.unwrap_or_default();
            Ok(Opened { items, certificates })
        }
        // The TDREPORT in the HCL report proves nothing outside its machine: the quote is of it.
        (hcl::Tee::Tdx, Some(quote)) => {
            let quote = quote.base64("td_quote")?;
            let length = super::intel::quote_length(&quote).unwrap_or(quote.len());
            let quote = quote.get(..length).unwrap_or(&quote).to_vec();
            let items = vec![(AZ_TDX.to_owned(), form(quote, super::tdx::NAME)?)];
            Ok(Opened { items, certificates: Vec::new() })
        }
        _ => Err(EnvelopeError::Form("report and quote are of different TEEs".to_owned())),
    }
}

/// A VCEK in PEM (v0) or base64 of DER.
fn certificates(text: &str) -> Result<Vec<Vec<u8>>, EnvelopeError> {
    if pem::is_pem(text.as_bytes()) {
        let blocks = pem::blocks(text.as_bytes()).map_err(|error| field("vcek", error))?;
        return Ok(blocks.into_iter().map(|block| block.der).collect());
    }
    Ok(vec![Octets::Text(text.to_owned()).base64("vcek")?])
}
