//! What to do about a check that does not hold, in a line.

pub(super) const HINT_INPUT: &str =
    "Check the file named above; `treering appraise --help` shows what each option takes.";

pub(super) fn hint(check: &str) -> &'static str {
    match check {
        "endorsement" => {
            "Give the certificate of the key that signed it: --endorsements FILE (VCEK or VLEK)."
        }
        "chain" => {
            "Give the certificate of its issuer, of the same generation: --endorsements FILE (AMD's ASK, or ASVK for a VLEK)."
        }
        "root" => {
            "Only AMD's roots are trusted; for a simulated platform name its root: --simulated-root FILE."
        }
        "validity" => "Appraise for the instant at which the report was made: --at 2025-06-01T00:00:00Z.",
        "revocation" => {
            "Give AMD's CRL of that time: --crl FILE (https://kdsintf.amd.com/vcek/v1/Milan/crl)."
        }
        "tcb-binding" | "chip-binding" | "signature" | "signing-key" => {
            "Fetch the VCEK for this chip id and reported TCB from AMD's KDS; if it is the right one, the report is not genuine."
        }
        "reference-value" => "If this image is meant, have its measurement vouched for: --reference FILE.",
        "debug" | "migration" | "guest-policy" => {
            "Launch the guest with another policy; its owner sets these bits."
        }
        "tcb-floor" | "mitigations" | "platform" | "tcb-order" => {
            "Update or reconfigure the host, or change the policy."
        }
        _ => "See docs/verifier.md for what this check reads and why.",
    }
}
