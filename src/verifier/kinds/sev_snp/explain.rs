//! Which octets of a report (ABI, "ATTESTATION_REPORT") and of its certificates each check reads.

pub(super) fn octets(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => "length; 0x000..0x004 VERSION",
        "canonical" => {
            "0x000..0x4a0, all; 0x008..0x010 POLICY bit 17 and 26 up; 0x048..0x04c KEY_INFO bit 5 up; \
             0x2d0..0x2e8 and 0x318..0x330, the padding of R and S; 0x330..0x4a0"
        }
        "signature-algorithm" => "0x034..0x038 SIGNATURE_ALGO",
        "endorsement" => {
            "the VEK certificate: extensions 1.3.6.1.4.1.3704.1.{2, 3.1, 3.2, 3.3, 3.8, 3.9, 4, 5}, its key"
        }
        "chain" => {
            "the certificates of VEK, issuer and root: tbsCertificate and signature of each, as received"
        }
        "root" => "the certificate of the root: its SHA-256",
        "validity" => "the certificates: notBefore and notAfter of each",
        "revocation" => "the CRLs: tbsCertList and signature, thisUpdate, nextUpdate, serial numbers",
        "signing-key" => "0x048..0x04c KEY_INFO bits 2 to 4; the VEK certificate: common name",
        "signature" => {
            "0x000..0x2a0, what is signed; 0x2a0..0x2d0 R and 0x2e8..0x318 S; the VEK certificate: its key"
        }
        "generation" => "0x188 CPUID_FAM_ID and 0x189 CPUID_MOD_ID; the VEK certificate: extension .2",
        "tcb-binding" => {
            "0x180..0x188 REPORTED_TCB; the VEK certificate: extensions .3.1, .3.2, .3.3, .3.8, .3.9"
        }
        "chip-binding" => "0x1a0..0x1e0 CHIP_ID; the VEK certificate: extension .4",
        "allowed-key" => "the VEK certificate: common name",
        "allowed-generation" => "the certificate of the root",
        "tcb-order" => {
            "0x038..0x040 CURRENT_TCB; 0x180..0x188 REPORTED_TCB; 0x1e0..0x1e8 COMMITTED_TCB; \
             0x1e8..0x1eb and 0x1ec..0x1ef, the firmware's versions"
        }
        "tcb-floor" => {
            "0x1e0..0x1e8 COMMITTED_TCB; the VEK certificate: extensions .3.1, .3.2, .3.3, .3.8, .3.9"
        }
        "mitigations" => "0x1f8..0x200 LAUNCH_MIT_VECTOR; 0x200..0x208 CURRENT_MIT_VECTOR",
        "debug" => "0x008..0x010 POLICY bit 19",
        "migration" => "0x008..0x010 POLICY bit 18; 0x160..0x180 REPORT_ID_MA",
        "vmpl" => "0x030..0x034 VMPL",
        "guest-policy" => "0x008..0x010 POLICY",
        "platform" => "0x040..0x048 PLATFORM_INFO",
        "machine" => "0x1a0..0x1e0 CHIP_ID",
        "id-block" => {
            "0x0e0..0x110 ID_KEY_DIGEST; 0x110..0x140 AUTHOR_KEY_DIGEST; 0x048..0x04c KEY_INFO bit 0"
        }
        "reference-value" => {
            "0x090..0x0c0 MEASUREMENT; 0x0c0..0x0e0 HOST_DATA; 0x010..0x020 FAMILY_ID; 0x020..0x030 IMAGE_ID"
        }
        _ => return None,
    })
}
