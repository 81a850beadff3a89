//! Which octets of a quote (DCAP), of its certificates and of the collateral each check reads. Offsets of a body are
//! from its beginning: octet 48 of a quote, 54 in version 5.

use super::quote::Tee;

pub(in crate::verifier) fn octets(tee: Tee, check: &str) -> Option<&'static str> {
    of_both(check).or_else(|| match tee {
        Tee::Tdx => of_td(check),
        Tee::Sgx => of_enclave(check),
    })
}

fn of_both(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => {
            "0x00..0x02 VERSION; 0x02..0x04 key type; 0x04..0x08 TEE type; 0x0c..0x1c QE vendor; body type"
        }
        "canonical" => "every length after the body; the PEM text of the certificates; the end of the quote",
        "root" => "the last certificate in the quote: its SHA-256",
        "collateral" => {
            "the PCK certificate: FMSPC in 1.2.840.113741.1.13.1; documents, CRLs and certificates given"
        }
        "validity" => "the certificates: notBefore and notAfter of each",
        "freshness" => "thisUpdate and nextUpdate of the CRLs, issueDate and nextUpdate of the documents",
        "collateral-signature" => {
            "tcbInfo and enclaveIdentity as received; their signatures; the signer's certificate"
        }
        "chain" => "the certificates in the quote: tbsCertificate and signature of each, as received",
        "revocation" => "the CRLs: tbsCertList and signature, serial numbers",
        "qe-report" => {
            "after the attestation key: the QE's report of 384 octets, its signature; the PCK certificate"
        }
        "attestation-key" => "the QE's report: REPORTDATA; the attestation key; the QE's authentication data",
        "qe-identity" => {
            "the QE's report: MISCSELECT, ATTRIBUTES, MRSIGNER, ISVPRODID, ISVSVN; enclaveIdentity"
        }
        "signature" => "header and body, what is signed; after the length: R, S and the attestation key",
        "allowed-platform" => "the PCK certificate: FMSPC in 1.2.840.113741.1.13.1",
        "tcb-status" | "advisories" => "tcbLevels of tcbInfo and of enclaveIdentity",
        "tcb-evaluation" => "tcbEvaluationDataNumber of tcbInfo and of enclaveIdentity",
        "platform" => "the PCK certificate: configuration in 1.2.840.113741.1.13.1.7",
        "machine" => "the PCK certificate: PPID in 1.2.840.113741.1.13.1.1",
        _ => return None,
    })
}

fn of_td(check: &str) -> Option<&'static str> {
    Some(match check {
        "tcb-level" => {
            "body 0x000..0x010 TEE_TCB_SVN; 0x248..0x258 TEE_TCB_SVN2; the PCK certificate: CPUSVN, PCESVN; tcbLevels"
        }
        "tdx-module" => {
            "body 0x000..0x010 TEE_TCB_SVN; 0x040..0x070 MRSIGNERSEAM; 0x070..0x078 SEAMATTRIBUTES; tdxModuleIdentities"
        }
        "debug" => "body 0x078..0x080 ATTRIBUTES bits 0 and 4 to 6",
        "migration" => "body 0x078..0x080 ATTRIBUTES bit 29",
        "td-attributes" => "body 0x078..0x080 ATTRIBUTES",
        "xfam" => "body 0x080..0x088 XFAM",
        "service-td" => "body 0x258..0x288 MRSERVICETD; in TDX 1.5ex the hash of those bound now",
        "module-pins" => "body 0x010..0x040 MRSEAM; 0x040..0x070 MRSIGNERSEAM",
        "owner" => "body 0x0b8..0x0e8 MRCONFIGID; 0x0e8..0x118 MROWNER; 0x118..0x148 MROWNERCONFIG",
        "event-log" => "body 0x148..0x208 RTMR0 to RTMR3; register and digest of every event",
        "event-data" | "events" => "digest and data of every event",
        "secure-boot" => "the event log: the variable SecureBoot in RTMR0",
        "reference-value" => "body 0x010..0x070, 0x088..0x208: the registers that the reference value names",
        _ => return None,
    })
}

fn of_enclave(check: &str) -> Option<&'static str> {
    Some(match check {
        "tcb-level" => "the PCK certificate: CPUSVN, PCESVN; tcbLevels",
        "debug" => "body 0x030..0x038 ATTRIBUTES.FLAGS bit 1",
        "attributes" => {
            "body 0x030..0x040 ATTRIBUTES; 0x020..0x030 ISVEXTPRODID; 0x0c0..0x100 CONFIGID; 0x104..0x106 CONFIGSVN; \
             0x130..0x140 ISVFAMILYID"
        }
        "isv-svn" => "body 0x102..0x104 ISVSVN",
        "reference-value" => {
            "body 0x040..0x060 MRENCLAVE; 0x080..0x0a0 MRSIGNER; 0x100..0x104 ISVPRODID, ISVSVN; the fields of KSS"
        }
        _ => return None,
    })
}
