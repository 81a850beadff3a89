//! A report that AMD hardware made once, with its certificate: genuine, and bound to nothing of ours. Origin and
//! licence: `recorded/NOTICE`.

use data_encoding::HEXUPPER;

use super::{Attestation, AttesterError, EvidenceItem, SNP_REPORT};

const REPORT: &str = include_str!("recorded/report_milan.hex");
const VCEK: &[u8] = include_bytes!("recorded/vcek_milan.der");

/// An instant at which its certificates are valid (they are from April 2023 to April 2030): 2026-03-01T00:00:00Z.
pub const INSTANT: u64 = 1_772_323_200;

/// The report, version 2, of an EPYC "Milan", and its VCEK certificate. AMD's own certificates are left to the
/// Verifier, which has them.
pub fn milan() -> Result<Attestation, AttesterError> {
    let bytes = HEXUPPER.decode(REPORT.trim().as_bytes());
    let bytes = bytes.map_err(|error| AttesterError::Report(error.to_string()))?;
    let evidence = vec![EvidenceItem { media_type: SNP_REPORT, bytes }];
    Ok(Attestation { evidence, endorsements: vec![VCEK.to_vec()], ..Attestation::default() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_recorded_report_is_whole() {
        let attestation = super::milan().unwrap();
        assert_eq!(attestation.evidence[0].bytes.len(), 1184);
        assert_eq!(attestation.endorsements[0].len(), 1360);
    }
}
