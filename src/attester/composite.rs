//! Several Attesters as one: a confidential VM and its GPUs, each of which attests by itself to the same value.
//!
//! In scope: asking each and putting together what they hand over. Out of scope: whether they are in one machine, which
//! none of them says, and which components there must be (the appraisal policy names them).

use super::{Attestation, Attester, AttesterError};

/// Attesters whose evidence is handed over together. The first is the one in which the workload runs.
pub struct Composite(Vec<Box<dyn Attester>>);

impl Composite {
    /// Of these, in this order.
    pub fn new(parts: Vec<Box<dyn Attester>>) -> Self {
        Self(parts)
    }
}

impl Attester for Composite {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let mut all = Attestation::default();
        for part in &self.0 {
            let one = part.report(report_data)?;
            all.evidence.extend(one.evidence);
            all.endorsements.extend(one.endorsements);
            all.documents.extend(one.documents);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attester::EvidenceItem;

    /// Says what it was asked to carry, or nothing.
    struct Part(Option<&'static str>);

    impl Attester for Part {
        fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
            let media_type = self.0.ok_or_else(|| AttesterError::Report("it is busy".to_owned()))?;
            let item = EvidenceItem { media_type, bytes: report_data.to_vec() };
            Ok(Attestation {
                evidence: vec![item.clone()],
                endorsements: vec![media_type.into()],
                documents: vec![item],
            })
        }
    }

    fn of(parts: [Option<&'static str>; 2]) -> Composite {
        Composite::new(parts.map(|part| Box::new(Part(part)) as Box<dyn Attester>).into())
    }

    #[test]
    fn each_part_carries_the_one_value_in_order() {
        let all = of([Some("a/cpu"), Some("a/gpu")]).report(&[7; 64]).unwrap();
        let found: Vec<_> = all.items().collect();
        assert_eq!(found, [("a/cpu", vec![7; 64]), ("a/gpu", vec![7; 64])]);
        assert_eq!(all.endorsements, [b"a/cpu", b"a/gpu"]);
        assert_eq!(all.documents, all.evidence);
    }

    #[test]
    fn without_one_part_there_is_nothing() {
        let error = of([Some("a/cpu"), None]).report(&[7; 64]).unwrap_err();
        assert_eq!(error.to_string(), "it is busy");
    }
}
