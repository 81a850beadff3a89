//! Where vendors publish what, and in what form it is served.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::fetch::Response;
use crate::verifier::{Collateral, CollateralError, SigningKey, Wanted};

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
}

impl Default for Vendors {
    fn default() -> Self {
        Self {
            amd_kds: "https://kdsintf.amd.com".to_owned(),
            intel_pcs: "https://api.trustedservices.intel.com".to_owned(),
            intel_certificates: "https://certificates.trustedservices.intel.com".to_owned(),
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
        }
    }
}

/// The snapshot in a response: what was asked for, and the chain that Intel serves in a header beside it.
pub(super) fn snapshot(wanted: &Wanted, response: &Response) -> Result<Collateral, CollateralError> {
    let body = match wanted {
        Wanted::AmdCrl { .. } | Wanted::IntelPckCrl { .. } | Wanted::IntelRootCrl => {
            Collateral::read_crl(&response.body)?
        }
        _ => Collateral::read(&response.body)?,
    };
    match &response.issuer_chain {
        Some(chain) => body.merged(Collateral::read(&percent_decoded(chain))?),
        None => Ok(body),
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
    }

    #[test]
    fn headers_are_decoded() {
        assert_eq!(percent_decoded("a%20b%0A%2"), b"a b\n%2");
        assert_eq!(percent_decoded("%zz%"), b"%zz%");
    }
}
