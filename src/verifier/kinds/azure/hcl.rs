//! The report of Azure's paravisor as a guest reads it from NV index 0x01400001: a header, the report of the TEE,
//! runtime data, zeros.
//!
//! Header and framing are signed by nobody. They are held to the one form they have, and left behind: evidence here
//! has what is signed and what is hashed.

const BYTES: usize = 2600;
const MAGIC: &[u8; 4] = b"HCLA";
const VERSIONS: [u32; 2] = [1, 2];
const REQUEST_TYPE: u32 = 2;
const REPORT_AT: usize = 0x20;
const RUNTIME_AT: usize = 0x4c0;
/// Octets of the head of the runtime data.
const RUNTIME_HEAD: usize = 20;
const RUNTIME_VERSION: u32 = 1;
const SHA256: u32 = 1;
/// Octets of a TDREPORT; the rest of the room for a report is zero.
const TD_REPORT_BYTES: usize = 1024;

/// What TEE a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verifier::kinds) enum Tee {
    SevSnp,
    Tdx,
}

/// A report cut apart.
pub(in crate::verifier::kinds) struct Hcl<'a> {
    pub(in crate::verifier::kinds) tee: Tee,
    /// The report of a SEV-SNP; of TDX a TDREPORT, which proves nothing outside its machine.
    pub(in crate::verifier::kinds) report: &'a [u8],
    pub(in crate::verifier::kinds) runtime: &'a [u8],
}

/// Cuts one apart; whatever has another form is refused.
pub(in crate::verifier::kinds) fn cut(octets: &[u8]) -> Result<Hcl<'_>, String> {
    if octets.len() != BYTES || !octets.starts_with(MAGIC) {
        return Err(format!("an HCL report has {BYTES} octets and begins with HCLA"));
    }
    let word = |at: usize| {
        octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let zero = |octets: &[u8]| octets.iter().all(|octet| *octet == 0);
    let range = |from: usize, to: usize| octets.get(from..to).unwrap_or_default();
    let number = |at: usize| usize::try_from(word(at)).unwrap_or(usize::MAX);
    if !VERSIONS.contains(&word(4)) || word(12) != REQUEST_TYPE || !zero(range(16, REPORT_AT)) {
        return Err("the header of the HCL report is not one that is known".to_owned());
    }
    let (size, runtime_size) = (number(RUNTIME_AT), number(0x4d0));
    let runtime_from = RUNTIME_AT + RUNTIME_HEAD;
    let runtime_to = runtime_from.saturating_add(runtime_size).min(BYTES);
    let sizes = [runtime_size.saturating_add(RUNTIME_HEAD) == size, number(8) == runtime_to];
    if !sizes.iter().all(|fits| *fits) || runtime_to.checked_sub(runtime_from) != Some(runtime_size) {
        return Err("the sizes in the HCL report contradict each other".to_owned());
    }
    if word(0x4c4) != RUNTIME_VERSION || word(0x4cc) != SHA256 || !zero(range(runtime_to, BYTES)) {
        return Err("the runtime data of the HCL report is not of the form that is known".to_owned());
    }
    let room = range(REPORT_AT, RUNTIME_AT);
    let (tee, report) = match word(0x4c8) {
        2 => (Tee::SevSnp, room),
        4 => (Tee::Tdx, room.get(..TD_REPORT_BYTES).unwrap_or_default()),
        other => return Err(format!("a report of type {other} in the HCL report, want 2 or 4")),
    };
    if room.get(report.len()..).is_some_and(|rest| !zero(rest)) {
        return Err("octets follow the report in the HCL report".to_owned());
    }
    Ok(Hcl { tee, report, runtime: range(runtime_from, runtime_to) })
}
