//! What Intel publishes of a platform: TCB information, identities of quoting enclaves, CRLs; in the form of its
//! Provisioning Certification Service, version 4.

use data_encoding::HEXLOWER;

use super::quote::{ENCLAVE_QE, QE_SIGNER, TD_QE};
use super::{IntelModel, IntelPlatform, certificates};
use crate::attester::{AttesterError, CRL_TYPE, ENCLAVE_IDENTITY_TYPE, EvidenceItem, TCB_INFO_TYPE};

/// Collateral is current for thirty days, as Intel's.
const CURRENT_S: u64 = 30 * 86_400;

/// A certificate that a CRL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The PCK's.
    Pck,
    /// That of the PCK's issuer.
    Issuer,
    /// That of the key which signs documents.
    Signer,
}

/// What Intel says of a TCB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelStatus {
    /// By Intel's names, such as `UpToDate`.
    pub status: &'static str,
    /// When the level was published, Unix seconds.
    pub date: u64,
    /// Advisories that it is subject to.
    pub advisories: Vec<String>,
}

impl IntelStatus {
    /// Of this name and date, subject to nothing.
    pub const fn of(status: &'static str, date: u64) -> Self {
        Self { status, date, advisories: Vec::new() }
    }
}

/// Collateral, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelCollateral {
    /// The family of processors that it is of.
    pub fmspc: [u8; 6],
    /// From when, and until when, it is current.
    pub current: (u64, u64),
    /// The same of the CRLs.
    pub crls_current: (u64, u64),
    /// The number of the evaluation.
    pub evaluation_number: u32,
    /// Least security versions of the one level that there is.
    pub cpu_svn: [u8; 16],
    /// Least security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// What is said of that level.
    pub platform: IntelStatus,
    /// What is said of the quoting enclaves.
    pub quoting_enclave: IntelStatus,
    /// What is said of the TDX module.
    pub module: IntelStatus,
    /// What is said of the one before it, if anything is.
    pub older_module: Option<IntelStatus>,
    /// Who signs TDX modules; Intel's are signed by zero.
    pub module_signer: [u8; 48],
    /// Who signs quoting enclaves.
    pub quoting_enclave_signer: [u8; 32],
    /// Certificates that are on CRLs.
    pub revoked: Vec<Revoked>,
}

impl IntelCollateral {
    pub(super) fn ordinary(model: IntelModel, made: u64) -> Self {
        let current = (made, made.saturating_add(CURRENT_S));
        let up_to_date = IntelStatus::of("UpToDate", made);
        Self {
            fmspc: model.fmspc,
            current,
            crls_current: current,
            evaluation_number: 18,
            cpu_svn: model.cpu_svn,
            pce_svn: model.pce_svn,
            platform: up_to_date.clone(),
            quoting_enclave: up_to_date.clone(),
            module: up_to_date,
            older_module: None,
            module_signer: [0; 48],
            quoting_enclave_signer: QE_SIGNER,
            revoked: Vec::new(),
        }
    }

    fn dates(&self) -> String {
        let (from, until) = self.current;
        let number = self.evaluation_number;
        format!(
            r#""issueDate":"{}","nextUpdate":"{}","tcbEvaluationDataNumber":{number}"#,
            date(from),
            date(until)
        )
    }

    fn tcb_info(&self, tdx: bool) -> String {
        let hex = |octets: &[u8]| HEXLOWER.encode(octets);
        let (id, dates) = (if tdx { "TDX" } else { "SGX" }, self.dates());
        let level = |svns: &[u8]| {
            let each: Vec<String> = svns.iter().map(|svn| format!(r#"{{"svn":{svn}}}"#)).collect();
            each.join(",")
        };
        let components = level(&self.cpu_svn);
        let mut tcb = format!(r#""sgxtcbcomponents":[{components}],"pcesvn":{}"#, self.pce_svn);
        let mut module = String::new();
        if tdx {
            tcb = format!(r#"{tcb},"tdxtcbcomponents":[{}]"#, level(&[0; 16]));
            let signer = hex(&self.module_signer);
            let identity = format!(
                r#""mrsigner":"{signer}","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF""#
            );
            let levels = [(5, Some(&self.module)), (4, self.older_module.as_ref())];
            let levels = levels.into_iter().filter_map(|(svn, of)| Some((svn, of?)));
            let levels: Vec<String> =
                levels.map(|(svn, of)| format!(r#"{{"tcb":{{"isvsvn":{svn}}},{}}}"#, status(of))).collect();
            module = format!(
                r#""tdxModule":{{{identity}}},"tdxModuleIdentities":[{{"id":"TDX_01",{identity},"tcbLevels":[{}]}}],"#,
                levels.join(",")
            );
        }
        format!(
            r#"{{"id":"{id}","version":3,{dates},"fmspc":"{}","pceId":"0000","tcbType":0,{module}"tcbLevels":[{{"tcb":{{{tcb}}},{}}}]}}"#,
            hex(&self.fmspc),
            status(&self.platform)
        )
    }

    fn identity(&self, tdx: bool) -> String {
        let (id, enclave) = if tdx { ("TD_QE", TD_QE) } else { ("QE", ENCLAVE_QE) };
        format!(
            r#"{{"id":"{id}","version":2,{},"miscselect":"00000000","miscselectMask":"FFFFFFFF","attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":"{}","isvprodid":{},"tcbLevels":[{{"tcb":{{"isvsvn":{}}},{}}}]}}"#,
            self.dates(),
            HEXLOWER.encode(&self.quoting_enclave_signer),
            enclave.0,
            enclave.1,
            status(&self.quoting_enclave)
        )
    }
}

fn status(status: &IntelStatus) -> String {
    let advisories: Vec<String> = status.advisories.iter().map(|id| format!(r#""{id}""#)).collect();
    format!(
        r#""tcbDate":"{}","tcbStatus":"{}","advisoryIDs":[{}]"#,
        date(status.date),
        status.status,
        advisories.join(",")
    )
}

fn date(unix: u64) -> String {
    let seconds = i64::try_from(unix).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Signs it, and hands out what a relying party gets.
pub(super) fn publish(
    platform: &IntelPlatform,
    collateral: &IntelCollateral,
) -> Result<Vec<EvidenceItem>, AttesterError> {
    let [_, issuer, pck, signer] = platform.serials;
    let on = |revoked: Revoked, serial: [u8; 20]| collateral.revoked.contains(&revoked).then_some(serial);
    let of_root: Vec<[u8; 20]> =
        [on(Revoked::Issuer, issuer), on(Revoked::Signer, signer)].into_iter().flatten().collect();
    let of_issuer: Vec<[u8; 20]> = on(Revoked::Pck, pck).into_iter().collect();
    let (from, until) = collateral.crls_current;
    let crls = [
        certificates::crl((true, &platform.root_key), &of_root, from, until)?,
        certificates::crl((false, &platform.issuer_key), &of_issuer, from, until)?,
    ];
    let mut items: Vec<EvidenceItem> =
        crls.into_iter().map(|bytes| EvidenceItem { media_type: CRL_TYPE, bytes }).collect();
    for tdx in [true, false] {
        items.push(sign(platform, TCB_INFO_TYPE, &collateral.tcb_info(tdx))?);
        items.push(sign(platform, ENCLAVE_IDENTITY_TYPE, &collateral.identity(tdx))?);
    }
    Ok(items)
}

pub(super) fn sign(
    platform: &IntelPlatform,
    media_type: &'static str,
    body: &str,
) -> Result<EvidenceItem, AttesterError> {
    let key = if media_type == TCB_INFO_TYPE { "tcbInfo" } else { "enclaveIdentity" };
    let signature = HEXLOWER.encode(&platform.signing_key.sign_fixed(body.as_bytes())?);
    let bytes = format!(r#"{{"{key}":{body},"signature":"{signature}"}}"#).into_bytes();
    Ok(EvidenceItem { media_type, bytes })
}
