//! Evidence with a TPM quote in it.

use std::sync::LazyLock;

use treering::{
    attester::simulated::tpm::{Quote, Tpm},
    verifier::{
        AZ_SNP, AZ_TDX, AppraisalPolicy, Collateral, Evidence, HardwareRoots, ReferenceValues, TCG_EVENT_LOG,
        TPM_QUOTE, Verifier, open_vtpm_json,
    },
};

use crate::{Input, edited};

/// 2026-07-01T00:00:00Z.
const NOW: u64 = 1_782_864_000;

/// A simulated TPM, a quote of it, and what it takes to appraise it.
struct Known {
    tpm: Tpm,
    quote: Quote,
    octets: Vec<u8>,
    collateral: Collateral,
    verifier: Verifier,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let tpm = Tpm::generate(NOW).unwrap();
    let quote = tpm.quote_with_public(&tpm.attest(&[7; 32])).unwrap();
    Known {
        octets: quote.to_bytes().unwrap(),
        collateral: Collateral::from_der(tpm.certificates().to_vec()).unwrap(),
        verifier: Verifier::new(HardwareRoots::with_simulated([tpm.root_fingerprint()])),
        quote,
        tpm,
    }
});

impl Known {
    fn is_authentic(&self, items: Vec<(&str, Vec<u8>)>) -> bool {
        let Ok(evidence) = Evidence::new(items) else { return false };
        let policy = AppraisalPolicy::baseline();
        let references = ReferenceValues::none();
        self.verifier.appraise(&evidence, &self.collateral, &policy, &references, NOW).is_authentic()
    }
}

/// TPM quotes, Azure's evidence, event logs and envelopes: any bytes, a genuine quote with changes (never authentic),
/// and one changed and signed again, which reaches what lies behind the signature.
pub fn vtpm_evidence(data: &[u8]) {
    let known = &*KNOWN;
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            let authentic = known.is_authentic(vec![(TPM_QUOTE, bytes.to_vec())]);
            assert!(!authentic || bytes == known.octets);
            for media_type in [AZ_SNP, AZ_TDX] {
                assert!(!known.is_authentic(vec![(media_type, bytes.to_vec())]));
            }
            known.is_authentic(vec![(TPM_QUOTE, known.octets.clone()), (TCG_EVENT_LOG, bytes.to_vec())]);
            if let Ok(opened) = open_vtpm_json(bytes) {
                for (media_type, octets) in opened.items {
                    assert!(!known.is_authentic(vec![(media_type.as_str(), octets)]));
                }
            }
        }
        Some(Input::Edits(edits)) => {
            if let Some(octets) = edited(&known.octets, edits) {
                assert!(!known.is_authentic(vec![(TPM_QUOTE, octets)]));
            }
            if let Some(attest) = edited(&known.quote.attest, edits) {
                let signature = known.tpm.sign(&attest).unwrap();
                let quote = Quote { attest, signature, ..known.quote.clone() };
                known.is_authentic(vec![(TPM_QUOTE, quote.to_bytes().unwrap())]);
            }
        }
        None => {}
    }
}

/// Inputs to begin with.
pub fn seeds() -> crate::Seeds {
    let known = &*KNOWN;
    let raw = |octets: &[u8]| [&[0], octets].concat();
    let hex = |octets: &[u8]| -> String { octets.iter().map(|octet| format!("{octet:02x}")).collect() };
    let registers: Vec<String> =
        known.quote.pcrs.values().map(|value| format!("\"{}\"", hex(value))).collect();
    let envelope = format!(
        r#"{{"tpm_quote":{{"message":"{}","signature":"{}","pcrs":[{}]}},"ak_public":"AAAA"}}"#,
        hex(&known.quote.attest),
        hex(&known.quote.signature),
        registers.join(",")
    );
    vec![
        ("vtpm_evidence", raw(&known.octets)),
        ("vtpm_evidence", raw(envelope.as_bytes())),
        ("vtpm_evidence", vec![1, 0, 0x20, 1]),
        ("vtpm_evidence", vec![1, 0, 0, 3, 0, 0x90, 0xff]),
    ]
}
