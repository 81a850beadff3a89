//! Where vendors publish what, and in what form it is served.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::fetch::{Question, Response};
use crate::verifier::{
    self, Collateral, CollateralError, Document, OCSP_RESPONSE, OcspQuestion, OcspReply, SigningKey, Wanted,
};

/// The addresses of the vendors' services, or of mirrors of them. Evidence never chooses one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vendors {
    /// AMD's Key Distribution Service.
    pub amd_kds: String,
    /// Intel's Provisioning Certification Service, version 4.
    pub intel_pcs: String,
    /// Where Intel keeps its root's revocation list.
    pub intel_certificates: String,
    /// Where AWS keeps the revocation list of the root of Nitro Enclaves.
    pub aws_nitro_crl: String,
    /// And those of its regions: `{region}` becomes the region, wherever it stands.
    pub aws_nitro_regional_crl: String,
    /// Where NVIDIA keeps the revocation lists of its authorities.
    pub nvidia_crl: String,
    /// NVIDIA's responder of OCSP.
    pub nvidia_ocsp: String,
}

impl Default for Vendors {
    fn default() -> Self {
        Self {
            amd_kds: "https://kdsintf.amd.com".to_owned(),
            intel_pcs: "https://api.trustedservices.intel.com".to_owned(),
            intel_certificates: "https://certificates.trustedservices.intel.com".to_owned(),
            aws_nitro_crl: "https://aws-nitro-enclaves-crl.s3.amazonaws.com".to_owned(),
            aws_nitro_regional_crl: "https://crl-{region}-aws-nitro-enclaves.s3.{region}.amazonaws.com"
                .to_owned(),
            nvidia_crl: "https://crl.ndis.nvidia.com".to_owned(),
            nvidia_ocsp: "https://ocsp.ndis.nvidia.com".to_owned(),
        }
    }
}

impl Vendors {
    /// The URL of what is wanted.
    pub(super) fn url(&self, wanted: &Wanted) -> String {
        let key = |key: &SigningKey| key.name().to_ascii_lowercase();
        match wanted {
            Wanted::AmdVcek { generation, hardware_id, tcb } => {
                let fmc = tcb.fmc.map(|fmc| format!("fmcSPL={fmc:02}&")).unwrap_or_default();
                format!(
                    "{}/vcek/v1/{}/{}?{fmc}blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
                    self.amd_kds,
                    generation.name(),
                    HEXLOWER.encode(hardware_id),
                    tcb.bootloader,
                    tcb.tee,
                    tcb.snp,
                    tcb.microcode,
                )
            }
            Wanted::AmdChain { generation, key: of } => {
                format!("{}/{}/v1/{}/cert_chain", self.amd_kds, key(of), generation.name())
            }
            Wanted::AmdCrl { generation, key: of } => {
                format!("{}/{}/v1/{}/crl", self.amd_kds, key(of), generation.name())
            }
            Wanted::IntelTcbInfo { tee, fmspc } => {
                format!("{}/{tee}/certification/v4/tcb?fmspc={}", self.intel_pcs, HEXLOWER.encode(fmspc))
            }
            Wanted::IntelQeIdentity { tee } => {
                format!("{}/{tee}/certification/v4/qe/identity", self.intel_pcs)
            }
            Wanted::IntelPckCrl { ca } => {
                format!("{}/sgx/certification/v4/pckcrl?ca={ca}&encoding=der", self.intel_pcs)
            }
            Wanted::IntelRootCrl => format!("{}/IntelSGXRootCA.der", self.intel_certificates),
            Wanted::NitroCrl { region: None, id, .. } => format!("{}/crl/{id}.crl", self.aws_nitro_crl),
            Wanted::NitroCrl { region: Some(region), id, .. } => {
                format!("{}/crl/{id}.crl", self.aws_nitro_regional_crl.replace("{region}", region))
            }
            Wanted::NvidiaCrl { file, .. } => format!("{}/crl/{file}.crl", self.nvidia_crl),
            Wanted::NvidiaOcsp(_) => format!("{}/", self.nvidia_ocsp),
        }
    }

    /// What is asked for something that is wanted.
    pub(super) fn question(&self, wanted: &Wanted, etag: Option<&str>) -> Question {
        let posted = match wanted {
            Wanted::NvidiaOcsp(question) => Some((OCSP_REQUEST, ocsp_request(question))),
            _ => None,
        };
        // An answer to a question that is posted has no ETag to be asked by.
        let etag = etag.filter(|_| posted.is_none()).map(str::to_owned);
        Question { url: self.url(wanted), etag, posted }
    }
}

/// `OCSPRequest ::= SEQUENCE { SEQUENCE { SEQUENCE OF SEQUENCE { CertID } } }` (RFC 6960 section 4.1.1): one certificate,
/// no signature, and no nonce, since the answer is kept.
fn ocsp_request(question: &OcspQuestion) -> Vec<u8> {
    let algorithm = der(0x30, &[&SHA1[..], &[0x05, 0x00]]);
    let (name, key) = (der(0x04, &[&question.issuer_name]), der(0x04, &[&question.issuer_key]));
    let id = der(0x30, &[&algorithm, &name, &key, &der(0x02, &[&question.serial])]);
    let list = der(0x30, &[&der(0x30, &[&id])]);
    der(0x30, &[&der(0x30, &[&list])])
}

/// An element of DER; all that is in a request has less than 128 octets: a serial number has at most 20.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX).min(0x7f);
    [&[tag, length], content.as_slice()].concat()
}

/// Media type of an OCSP request (RFC 6960 appendix C.1).
const OCSP_REQUEST: &str = "application/ocsp-request";
/// The object identifier of SHA-1, as an element.
const SHA1: [u8; 7] = [0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// The snapshot in a response: what was asked for, and the chain that Intel serves in a header beside it; none where
/// the vendor has nothing to say about it.
pub(super) fn snapshot(wanted: &Wanted, response: &Response) -> Result<Option<Collateral>, CollateralError> {
    let body = match wanted {
        Wanted::NvidiaOcsp(question) => return answer(question, &response.body),
        Wanted::AmdCrl { .. }
        | Wanted::IntelPckCrl { .. }
        | Wanted::IntelRootCrl
        | Wanted::NitroCrl { .. }
        | Wanted::NvidiaCrl { .. } => {
            let read = Collateral::read_crl(&response.body)?;
            if let Some(other) = read.crls().iter().find(|der| !is_crl(der)) {
                let text = format!("{} octets that are no CRL", other.len());
                return Err(CollateralError::Document(text));
            }
            read
        }
        _ => Collateral::read(&response.body)?,
    };
    match &response.issuer_chain {
        Some(chain) => body.merged(Collateral::read(&percent_decoded(chain))?).map(Some),
        None => Ok(Some(body)),
    }
}

/// An answer by OCSP, if it is one about the certificate that was asked about.
fn answer(question: &OcspQuestion, body: &[u8]) -> Result<Option<Collateral>, CollateralError> {
    match verifier::read_ocsp_reply(body).map_err(CollateralError::Document)? {
        OcspReply::Answers(serials) if serials.contains(&question.serial) => {
            let document = Document { media_type: OCSP_RESPONSE.to_owned(), bytes: body.to_vec() };
            Collateral::default().with_documents(vec![document]).map(Some)
        }
        OcspReply::Answers(_) => Err(CollateralError::Document("an answer about something else".to_owned())),
        OcspReply::Refused => Ok(None),
        OcspReply::Trouble => Err(CollateralError::Document("the responder has trouble".to_owned())),
    }
}

/// Text with `%XX` (RFC 3986 section 2.1), as Intel writes PEM into a header.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|pair| data_encoding::HEXUPPER_PERMISSIVE.decode(pair).ok());
        if let (b'%', Some([octet])) = (first, hex.as_deref()) {
            out.push(*octet);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// Whether octets are a revocation list in DER.
pub(super) fn is_crl(bytes: &[u8]) -> bool {
    use x509_cert::der::Decode as _;
    let list: Result<x509_cert::crl::CertificateList, _> = x509_cert::crl::CertificateList::from_der(bytes);
    list.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::{Generation, Tcb};

    #[test]
    fn urls_are_those_of_the_vendors() {
        let tcb = Tcb { fmc: None, bootloader: 4, tee: 0, snp: 23, microcode: 213 };
        let vcek = Wanted::AmdVcek { generation: Generation::Milan, hardware_id: vec![0xab; 64], tcb };
        assert_eq!(
            Vendors::default().url(&vcek),
            format!(
                "https://kdsintf.amd.com/vcek/v1/Milan/{}?blSPL=04&teeSPL=00&snpSPL=23&ucodeSPL=213",
                "ab".repeat(64)
            )
        );
        let turin = Wanted::AmdVcek {
            generation: Generation::Turin,
            hardware_id: vec![1; 8],
            tcb: Tcb { fmc: Some(1), ..tcb },
        };
        assert!(Vendors::default().url(&turin).contains("?fmcSPL=01&blSPL=04"));
        let crl = Wanted::AmdCrl { generation: Generation::Genoa, key: SigningKey::Vlek };
        assert_eq!(Vendors::default().url(&crl), "https://kdsintf.amd.com/vlek/v1/Genoa/crl");
        let tcb = Wanted::IntelTcbInfo { tee: "tdx", fmspc: [0, 0x80, 0x6f, 5, 0, 0] };
        assert!(Vendors::default().url(&tcb).ends_with("/tdx/certification/v4/tcb?fmspc=00806f050000"));
        let list = |region: Option<&str>| Wanted::NitroCrl {
            region: region.map(str::to_owned),
            id: "ab4960cc-7d63-42bd-9e9f-59338cb67f84".to_owned(),
            authority: None,
        };
        let id = "crl/ab4960cc-7d63-42bd-9e9f-59338cb67f84.crl";
        let root = format!("https://aws-nitro-enclaves-crl.s3.amazonaws.com/{id}");
        assert_eq!(Vendors::default().url(&list(None)), root);
        let regional = format!("https://crl-eu-west-1-aws-nitro-enclaves.s3.eu-west-1.amazonaws.com/{id}");
        assert_eq!(Vendors::default().url(&list(Some("eu-west-1"))), regional);
        let file = Wanted::NvidiaCrl { file: "l2-gh100".to_owned(), authority: None };
        assert_eq!(Vendors::default().url(&file), "https://crl.ndis.nvidia.com/crl/l2-gh100.crl");
    }

    /// About the boot ROM of a GPU of the vectors, as `openssl ocsp -no_nonce -issuer 2.pem -cert 1.pem -reqout` writes it.
    #[test]
    fn a_responder_is_asked_as_openssl_asks_it() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let (name, key) =
            ("25d92e964356717a4f5bf81f01cffdfc201020db", "2968cb162cd0779572a2791003e69eba0ccc0a94");
        let question = OcspQuestion {
            issuer_name: hex(name).try_into().unwrap(),
            issuer_key: hex(key).try_into().unwrap(),
            serial: hex("416a5fafcbd9fa5ca3"),
        };
        let asked = Vendors::default().question(&Wanted::NvidiaOcsp(question), Some("\"1\""));
        assert_eq!((asked.url.as_str(), asked.etag), ("https://ocsp.ndis.nvidia.com/", None));
        let (media_type, octets) = asked.posted.unwrap();
        assert_eq!(media_type, "application/ocsp-request");
        let want =
            format!("304a3048304630443042300906052b0e03021a05000414{name}0414{key}0209416a5fafcbd9fa5ca3");
        assert_eq!(HEXLOWER.encode(&octets), want);
    }

    #[test]
    fn headers_are_decoded() {
        assert_eq!(percent_decoded("a%20b%0A%2"), b"a b\n%2");
        assert_eq!(percent_decoded("%zz%"), b"%zz%");
    }
}
