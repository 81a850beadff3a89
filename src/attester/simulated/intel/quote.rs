//! Quotes: what a TD or an enclave says, signed by a quoting enclave (Intel's DCAP documents, versions 3, 4 and 5).

use sha2::{Digest, Sha256};

use super::{IntelModel, IntelPlatform};
use crate::attester::AttesterError;

/// Who made the quoting enclave: Intel.
const VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// ISVPRODID and ISVSVN of the quoting enclaves of TDs and of enclaves.
pub(super) const TD_QE: (u16, u16) = (2, 4);
pub(super) const ENCLAVE_QE: (u16, u16) = (1, 8);
/// MRSIGNER of the simulated quoting enclaves.
pub(super) const QE_SIGNER: [u8; 32] = *b"signer of simulated enclaves\0\0\0\0";
/// What the quoting enclave adds to what its report is over.
const QE_AUTHENTICATION: [u8; 32] = [0x1f; 32];
/// ATTRIBUTES of an ordinary TD: SEPT_VE_DISABLE.
pub(super) const ORDINARY_TD_ATTRIBUTES: u64 = 1 << 28;

/// Which version a TD's quotes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TdVersion {
    /// Version 4, a report of TDX 1.0.
    Four,
    /// Version 5, a report of TDX 1.5.
    Five,
    /// Version 5, an extended report of TDX 1.5.
    FiveExtended,
}

/// A trust domain, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Td {
    /// Of its quotes.
    pub version: TdVersion,
    /// Security versions of the TDX module: its own, its major version, and that of the microcode.
    pub tee_tcb_svn: [u8; 16],
    /// The TDX module.
    pub mrseam: [u8; 48],
    /// ATTRIBUTES.
    pub attributes: u64,
    /// XFAM.
    pub xfam: u64,
    /// What was built: the firmware.
    pub mrtd: [u8; 48],
    /// MRCONFIGID, MROWNER and MROWNERCONFIG.
    pub owner: [[u8; 48]; 3],
    /// RTMR0 to RTMR3.
    pub rtmrs: [[u8; 48]; 4],
    /// The security versions by now, after an update of the module under the running TD; version 5 only.
    pub current_tcb_svn: [u8; 16],
    /// The service TD that was bound first; version 5 only.
    pub service_td: [u8; 48],
    /// The one that is bound now; in extended reports only.
    pub current_service_td: [u8; 48],
}

impl Td {
    /// An ordinary TD of this firmware.
    pub const fn of(mrtd: [u8; 48]) -> Self {
        let mut tee_tcb_svn = [0; 16];
        tee_tcb_svn[0] = 5;
        tee_tcb_svn[1] = 1;
        Self {
            version: TdVersion::Five,
            tee_tcb_svn,
            mrseam: [0x5e; 48],
            attributes: ORDINARY_TD_ATTRIBUTES,
            xfam: 0x0006_02e7,
            mrtd,
            owner: [[0; 48]; 3],
            rtmrs: [[0; 48]; 4],
            current_tcb_svn: tee_tcb_svn,
            service_td: [0; 48],
            current_service_td: [0; 48],
        }
    }

    /// Header and body of its quote.
    pub fn signed_octets(&self, report_data: &[u8; 64]) -> Vec<u8> {
        let (version, body) = match self.version {
            TdVersion::Four => (4, None),
            // Type 3 is the report of TDX 1.5, of 648 octets.
            TdVersion::Five => (5, Some((3_u16, 648_u32))),
            // Type 4 goes on with what a service TD may have changed.
            TdVersion::FiveExtended => (5, Some((4_u16, 885_u32))),
        };
        let mut out = header(version, 0x81);
        if let Some((kind, octets)) = body {
            out.extend(kind.to_le_bytes());
            out.extend(octets.to_le_bytes());
        }
        out.extend(self.tee_tcb_svn);
        out.extend(self.mrseam);
        // MRSIGNERSEAM and SEAMATTRIBUTES of Intel's modules.
        out.extend([0; 48 + 8]);
        out.extend(little_endian(self.attributes));
        out.extend(little_endian(self.xfam));
        out.extend(self.mrtd);
        out.extend(self.owner.concat());
        out.extend(self.rtmrs.concat());
        out.extend(report_data);
        if body.is_some() {
            out.extend(self.current_tcb_svn);
            out.extend(self.service_td);
        }
        if self.version == TdVersion::FiveExtended {
            // VMID, TD_ID and DEV_INFO; the hash and attributes of the first service TD; the first CPUSVN, TEE_TCB_SVN, FMSPC.
            out.extend([0; 1 + 32 + 48]);
            out.extend(self.service_td);
            out.extend([0; 8 + 16 + 16 + 12]);
            out.extend(self.current_service_td);
            out.extend([0; 8]);
        }
        out
    }
}

/// An enclave, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclave {
    /// What was built.
    pub mrenclave: [u8; 32],
    /// Who signed it.
    pub mrsigner: [u8; 32],
    /// The product, by its signer.
    pub isv_prod_id: u16,
    /// Its security version.
    pub isv_svn: u16,
    /// ATTRIBUTES: FLAGS and XFRM.
    pub attributes: (u64, u64),
    /// CONFIGID, of enclaves with KSS.
    pub config_id: [u8; 64],
}

impl Enclave {
    /// An ordinary enclave.
    pub const fn of(mrenclave: [u8; 32], mrsigner: [u8; 32]) -> Self {
        // INIT and MODE64BIT; x87 and SSE.
        let attributes = (0x05, 0x03);
        Self { mrenclave, mrsigner, isv_prod_id: 1, isv_svn: 1, attributes, config_id: [0; 64] }
    }

    /// Header and body of its quote.
    pub fn signed_octets(&self, model: &IntelModel, report_data: &[u8; 64]) -> Vec<u8> {
        let mut out = header(3, 0);
        out.extend(self.report(model.cpu_svn, report_data));
        out
    }

    fn report(&self, cpu_svn: [u8; 16], report_data: &[u8; 64]) -> Vec<u8> {
        let mut out = cpu_svn.to_vec();
        out.extend([0; 4 + 28]);
        out.extend(little_endian(self.attributes.0));
        out.extend(little_endian(self.attributes.1));
        out.extend(self.mrenclave);
        out.extend([0; 32]);
        out.extend(self.mrsigner);
        out.extend([0; 32]);
        out.extend(self.config_id);
        out.extend(self.isv_prod_id.to_le_bytes());
        out.extend(self.isv_svn.to_le_bytes());
        out.extend([0; 60]);
        out.extend(report_data);
        out
    }
}

/// The enclave that signs quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotingEnclave(pub Enclave);

impl QuotingEnclave {
    /// That of TDs.
    pub const fn of_td() -> Self {
        Self::of(TD_QE)
    }

    /// That of enclaves.
    pub const fn of_enclave() -> Self {
        Self::of(ENCLAVE_QE)
    }

    const fn of((isv_prod_id, isv_svn): (u16, u16)) -> Self {
        let enclave = Enclave::of([0x0e; 32], QE_SIGNER);
        Self(Enclave { isv_prod_id, isv_svn, attributes: (0x15, 0xe7), ..enclave })
    }
}

/// As Intel's registers are written down.
fn little_endian(value: u64) -> [u8; 8] {
    let mut octets = value.to_be_bytes();
    octets.reverse();
    octets
}

fn header(version: u16, tee: u32) -> Vec<u8> {
    let mut out = version.to_le_bytes().to_vec();
    // ECDSA with P-256.
    out.extend(2_u16.to_le_bytes());
    out.extend(tee.to_le_bytes());
    // Security versions of QE and PCE, which no version of DCAP fills any more.
    out.extend([0; 4]);
    out.extend(VENDOR);
    out.extend([0; 20]);
    out
}

/// A quote of a header and body, under these certificates.
pub(super) fn assemble(
    platform: &IntelPlatform,
    signed: &[u8],
    enclave: &QuotingEnclave,
    chain: [&[u8]; 3],
) -> Result<Vec<u8>, AttesterError> {
    let too_long = |_| AttesterError::Report("too long for a quote".to_owned());
    // The uncompressed point without its first octet.
    let point = platform.attestation_key.point().get(1..).unwrap_or_default();
    let over: [u8; 32] = Sha256::new().chain_update(point).chain_update(QE_AUTHENTICATION).finalize().into();
    let mut report_data = [0; 64];
    report_data.iter_mut().zip(over).for_each(|(to, from)| *to = from);
    let report = enclave.0.report(platform.model.cpu_svn, &report_data);

    let mut certified = report.clone();
    certified.extend(platform.pck_key.sign_fixed(&report)?);
    certified.extend(u16::try_from(QE_AUTHENTICATION.len()).unwrap_or(u16::MAX).to_le_bytes());
    certified.extend(QE_AUTHENTICATION);
    // A chain in PEM, ended as a text in C.
    let mut pem: Vec<u8> =
        chain.iter().flat_map(|der| super::super::store::pem("CERTIFICATE", der).into_bytes()).collect();
    pem.push(0);
    certified.extend(5_u16.to_le_bytes());
    certified.extend(u32::try_from(pem.len()).map_err(too_long)?.to_le_bytes());
    certified.extend(pem);

    let mut data = platform.attestation_key.sign_fixed(signed)?;
    data.extend(point);
    // From version 4 on, the QE's report is certification data itself.
    if signed.first().is_some_and(|version| *version > 3) {
        data.extend(6_u16.to_le_bytes());
        data.extend(u32::try_from(certified.len()).map_err(too_long)?.to_le_bytes());
    }
    data.extend(certified);
    let length = u32::try_from(data.len()).map_err(too_long)?;
    Ok([signed, &length.to_le_bytes(), &data].concat())
}
