use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::*;
use crate::attester::recorded;

const NOW: u64 = 1_772_323_200;

fn platform() -> Arc<Platform> {
    Arc::new(Platform::generate(Processor::Milan, Processor::Milan.ordinary_tcb(), NOW).unwrap())
}

fn extension_ids(certificate: &Certificate) -> Vec<(String, bool)> {
    let extensions = certificate.tbs_certificate().extensions().unwrap();
    extensions.iter().map(|extension| (extension.extn_id.to_string(), extension.critical)).collect()
}

fn attribute_ids(name: &x509_cert::name::Name) -> Vec<(String, u8)> {
    name.iter().map(|attribute| (attribute.oid.to_string(), attribute.value.to_der().unwrap()[0])).collect()
}

/// The certificates have the form of AMD's: whoever reads those reads these.
#[test]
fn a_simulated_vcek_has_the_form_of_a_real_one() {
    let real = Certificate::from_der(&recorded::milan().unwrap().endorsements[0]).unwrap();
    let platform = platform();
    let simulated = Certificate::from_der(&platform.certificates()[2]).unwrap();
    assert_eq!(extension_ids(&simulated), extension_ids(&real));
    assert_eq!(
        simulated.signature_algorithm().to_der().unwrap(),
        real.signature_algorithm().to_der().unwrap()
    );
    let (simulated, real) = (simulated.tbs_certificate(), real.tbs_certificate());
    assert_eq!(simulated.serial_number(), real.serial_number());
    assert_eq!(simulated.version(), real.version());
    assert_eq!(
        simulated.subject_public_key_info().algorithm.to_der().unwrap(),
        real.subject_public_key_info().algorithm.to_der().unwrap()
    );
    for (one, other) in [(simulated.subject(), real.subject()), (simulated.issuer(), real.issuer())] {
        assert_eq!(attribute_ids(one), attribute_ids(other));
        assert_ne!(one.to_der().unwrap(), other.to_der().unwrap(), "the names must differ from AMD's");
    }
}

#[test]
fn certificates_are_canonical_der() {
    for processor in [Processor::Milan, Processor::Genoa, Processor::Turin] {
        let platform = Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap();
        for der in platform.certificates() {
            assert_eq!(&Certificate::from_der(der).unwrap().to_der().unwrap(), der);
        }
    }
}

#[test]
fn a_report_says_what_was_launched() {
    let platform = platform();
    for report_version in [3, 5] {
        let launch = Launch { vmpl: 1, report_version, ..Launch::of_image(b"image") };
        let bytes = platform.guest(launch).unwrap().report_bytes(&[7; 64]).unwrap();
        let report = AttestationReport::from_bytes(&bytes).unwrap();
        assert_eq!(report.to_bytes().unwrap(), bytes);
        assert_eq!((report.version, report.vmpl, report.report_data), (report_version, 1, [7; 64]));
        assert_eq!(report.measurement, launch.measurement);
        assert_eq!(report.chip_id, platform.chip_id());
    }
    let launch = Launch { report_version: 4, ..Launch::of([0; 48]) };
    platform.guest(launch).unwrap().report_bytes(&[0; 64]).unwrap_err();
}

#[test]
fn a_saved_platform_is_the_same_platform() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("platform");
    let platform = platform();
    platform.save(&folder).unwrap();
    for key in ["ark.key", "ask.key", "vcek.key"] {
        let mode = std::fs::metadata(folder.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let loaded = Platform::load(&folder).unwrap();
    assert_eq!(loaded.certificates(), platform.certificates());
    assert_eq!(loaded.revocation_list(), platform.revocation_list());
    assert_eq!(loaded.chip_id(), platform.chip_id());
    assert_eq!(loaded.report_key.public_point(), platform.report_key.public_point());
    platform.save(&folder).unwrap_err();

    // One of before there were lists in such folders has one all the same, of the same dates.
    std::fs::remove_file(folder.join("ark.crl")).unwrap();
    let dates = |platform: &Platform| {
        let list: x509_cert::crl::CertificateList =
            x509_cert::crl::CertificateList::from_der(platform.revocation_list()).unwrap();
        (list.tbs_cert_list.this_update, list.tbs_cert_list.next_update)
    };
    assert_eq!(dates(&Platform::load(&folder).unwrap()), dates(&platform));

    std::fs::write(folder.join("platform.json"), b"{}").unwrap();
    assert!(matches!(Platform::load(&folder), Err(AttesterError::Content { .. })));
    assert!(matches!(Platform::load(dir.path()), Err(AttesterError::File { .. })));
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?}", platform());
    assert!(shown.contains("Milan") && !shown.contains("key"), "{shown}");
}
