//! What to do about a check that does not hold, in a line.

pub(super) const HINT_INPUT: &str =
    "Check the file named above; `treering appraise --help` shows what each option takes.";

pub(super) fn hint(check: &str) -> &'static str {
    match check {
        "endorsement" => {
            "Give the certificate of the key that signed it (--endorsements FILE: VCEK, VLEK), or for a TPM name the key or its root in the policy."
        }
        "chain" => {
            "Give the certificates of its issuers: --endorsements FILE (for a VLEK AMD's ASVK, of the same generation)."
        }
        "root" => {
            "Only the vendors' roots that are built in are trusted; for a simulated platform name its root: --simulated-root FILE."
        }
        "validity" => "Appraise for the instant at which the report was made: --at 2025-06-01T00:00:00Z.",
        "revocation" => {
            "Give what the vendor says of its certificates at that time: --crl FILE, or `treering collateral fetch` and --collateral DIR."
        }
        "signature" => {
            "The key that is endorsed did not sign this: take the certificate that belongs to it, or it is not genuine."
        }
        "tcb-binding" | "chip-binding" | "signing-key" => {
            "Fetch the VCEK for this chip id and reported TCB from AMD's KDS; if it is the right one, the report is not genuine."
        }
        "reference-value" => "If this image is meant, have its measurement vouched for: --reference FILE.",
        "debug" | "migration" | "guest-policy" => {
            "Launch the guest with another policy; its owner sets these bits."
        }
        "tcb-floor" | "mitigations" | "platform" | "tcb-order" => {
            "Update or reconfigure the host, or change the policy."
        }
        "collateral" | "freshness" => {
            "Fetch the vendor's collateral of that time (`treering collateral fetch`), or give it: --collateral FILE."
        }
        "canonical" => {
            "Something was added or changed that nobody signed: take the evidence as the platform gave it."
        }
        "tcb-level" | "tcb-status" | "advisories" => {
            "Update BIOS, microcode and TDX module, or allow the status in the policy."
        }
        "td-attributes" | "service-td" => "Launch the TD with other attributes, or name them in the policy.",
        "event-log" | "event-data" | "boot-log" => {
            "Take the log of this boot, complete: another one was given, or it was changed."
        }
        "secure-boot" => {
            "Boot with secure boot and give the whole event log, or say require_secure_boot = false in the policy."
        }
        "key-attributes" => {
            "Quote with an attestation key: restricted, and under a root with a certificate for that purpose."
        }
        "machine" => "Name the machine in the policy.",
        "timestamp" => "Appraise for the instant in the document: --at.",
        "platform-key" => "Name the platform's key in the policy: [[cca.platform_key]].",
        "platform-reference" => "Have the firmware's components vouched for: --reference FILE.",
        "quote-key" => {
            "Name the attestation key or its root in the policy: [[tpm.attestation_key]], [[tpm.root]]."
        }
        "pcr-digest" => "The registers are of another time or bank than the quote: quote again.",
        "runtime-binding" | "paravisor-level" => "Take the HCL report of this boot from the vTPM.",
        "issuer-key" | "age" => "Add or renew the issuer's keys in [[external]], or ask the Verifier again.",
        "components" => "Name the components in the policy: [composite.components].",
        _ => "See docs/verifier.md for what this check reads and why.",
    }
}

/// What a key of the policy asks, or a check: for those that the baseline does not ask.
pub(super) fn unasked(key: &str) -> &str {
    const WORDS: &[(&str, &str)] = &[
        ("require_reference_value", "what runs (reference values)"),
        ("require_platform_reference", "the platform's firmware (reference values)"),
        ("require_tcb_floor", "a floor of the TCB"),
        ("tcb.statuses", "an up-to-date TCB"),
        ("signing_keys", "that the key names the chip (a VLEK does not)"),
        ("vmpl", "the privilege level (VMPL)"),
        ("require_secure_boot", "secure boot"),
        ("max_age_s", "that it was made just now"),
        ("require_crl", "revocation"),
        ("require_revocation", "revocation"),
        ("revocation", "revocation"),
        ("allow_protected_pcie", "that the device is not in Protected PCIe mode"),
        ("report_data", "for whom it was made (--report-data)"),
    ];
    WORDS.iter().find(|(end, _)| key.ends_with(end)).map_or(key, |(_, words)| words)
}
