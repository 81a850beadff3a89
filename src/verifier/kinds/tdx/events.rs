//! The logs of a TD: what was extended into its registers, and what of that can be believed.
//!
//! A log holds if its digests give the registers in the quote. That proves the digests, not what stands beside them:
//! data is believed only where the digest is over it, and data that contradicts its digest refuses the whole.
//! Two forms: the CCEL (UEFI 2.10 section 38.4.1), which the firmware writes, and the JSON of dstack, whose own events
//! in RTMR3 are digested as SHA-384(type || ":" || name || ":" || payload).

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha384};

use super::super::tpm::log::secure_boot as judged_secure_boot;
use super::Context;
use crate::verifier::checks::{Found, Outcome, fail, relaxed};
use crate::verifier::event_log::{Algorithm, EventLog, MAX_EVENTS, Proof};
use crate::verifier::evidence::EvidenceItem;

/// Media type of a CCEL event log: the octets of the table's log area, filling included or cut off. No type is
/// registered; this is the name we use, in the tree of the TCG, whose format it is.
pub const CCEL_TYPE: &str = "application/vnd.tcg.ccel";
/// Media type of dstack's event log: a JSON array of events, compact, keys in the order in which dstack writes them.
pub const RUNTIME_LOG_TYPE: &str = "application/vnd.dstack.event-log+json";

/// dstack's type of event for what it extends itself.
const RUNTIME_EVENT: u32 = 0x0800_0001;
const REGISTER_BYTES: usize = 48;
const REGISTERS: [&str; 4] = ["rtmr0", "rtmr1", "rtmr2", "rtmr3"];
/// How many of them firmware and boot loader always extend; the last is the system's, which may leave it.
const EXTENDED_AT_BOOT: usize = 3;
/// The index in a CCEL of RTMR0, into which the firmware measures what a TPM has in PCR 1 and 7 (UEFI 2.10, table 38-7).
const CCEL_RTMR0: u32 = 1;
/// Events whose text is repeated in the result, and octets of each: what a policy names is found beyond that too.
const MAX_CLAIMED: usize = 128;
const MAX_CLAIMED_BYTES: usize = 1024;

/// The logs that came along.
pub(super) struct Events {
    logs: Vec<Result<Log, String>>,
}

/// One log: its events, and the registers that they give, where they extend them.
struct Log {
    events: Vec<Extended>,
    registers: [Option<Vec<u8>>; 4],
    /// Whether the firmware enforced signatures, if the log says so.
    secure_boot: Option<bool>,
}

/// One event that was extended.
struct Extended {
    register: usize,
    digest: Vec<u8>,
    proven: Proven,
}

/// What of its data is proven.
enum Proven {
    /// These octets.
    Octets(Vec<u8>),
    Nothing,
    Contradicted,
}

/// One event of dstack's log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    imr: u32,
    event_type: u32,
    digest: String,
    event: String,
    event_payload: String,
}

/// A proven text, as a claim.
#[derive(Serialize)]
pub(super) struct EventClaim {
    register: &'static str,
    text: String,
}

impl Events {
    pub(super) fn read(supplements: &[&EvidenceItem]) -> Option<Self> {
        let read = |item: &&EvidenceItem| match item.media_type() {
            CCEL_TYPE => read_ccel(item.bytes()),
            _ => read_entries(item.bytes()),
        };
        let logs: Vec<_> = supplements.iter().map(read).collect();
        (!logs.is_empty()).then_some(Self { logs })
    }

    fn all(&self) -> Result<impl Iterator<Item = &Extended>, Found> {
        if self.logs.iter().any(Result::is_err) {
            return Err(Found::NotEvaluated("an event log could not be read"));
        }
        Ok(self.logs.iter().flatten().flat_map(|log| &log.events))
    }

    /// Whether the firmware enforced signatures: what a log says, and off where any says so.
    fn secure_boot(&self) -> Option<bool> {
        self.logs.iter().flatten().filter_map(|log| log.secure_boot).reduce(|one, other| one && other)
    }
}

fn read_ccel(octets: &[u8]) -> Result<Log, String> {
    let log = EventLog::read(octets).map_err(|error| format!("CCEL: {error}"))?;
    let mut extended = Vec::new();
    for event in &log.events {
        let proven = match event.proof() {
            Proof::Remark => continue,
            Proof::Whole => Proven::Octets(event.data.to_vec()),
            Proof::Part(part) => Proven::Octets(part.to_vec()),
            Proof::None => Proven::Nothing,
            Proof::Mismatch => Proven::Contradicted,
        };
        let digest = event.digest(Algorithm::Sha384).ok_or("CCEL: it has no SHA-384 digests")?.to_vec();
        // Index 0 is MRTD, which nothing extends after the build.
        let register = event.index.checked_sub(1).and_then(register_of);
        let register = register.ok_or_else(|| format!("CCEL: an event of register {}", event.index))?;
        extended.push(Extended { register, digest, proven });
    }
    let register = |index| log.extends(index).then(|| log.replay(Algorithm::Sha384, index)).flatten();
    let secure_boot = judged_secure_boot(log.events.iter().filter(|event| event.index == CCEL_RTMR0));
    Ok(Log { events: extended, registers: [1, 2, 3, 4].map(register), secure_boot })
}

fn register_of(index: u32) -> Option<usize> {
    usize::try_from(index).ok().filter(|index| *index < REGISTERS.len())
}

fn read_entries(octets: &[u8]) -> Result<Log, String> {
    let entries: Vec<Entry> =
        serde_json::from_slice(octets).map_err(|error| format!("event log: {error}"))?;
    if entries.len() > MAX_EVENTS {
        return Err(format!("event log: at most {MAX_EVENTS} events, got {}", entries.len()));
    }
    if serde_json::to_vec(&entries).ok().as_deref() != Some(octets) {
        return Err("event log: not compact JSON with the keys in their order".to_owned());
    }
    let events: Vec<Extended> = entries.iter().map(read_entry).collect::<Result<_, _>>()?;
    let mut registers = [const { None }; 4];
    for event in &events {
        if let Some(register) = registers.get_mut(event.register) {
            let before = register.take().unwrap_or_else(|| vec![0; REGISTER_BYTES]);
            *register = Some(Algorithm::Sha384.digest(&[&before, &event.digest]));
        }
    }
    // Of the firmware's events it has the digests alone.
    Ok(Log { events, registers, secure_boot: None })
}

fn read_entry(entry: &Entry) -> Result<Extended, String> {
    let register = register_of(entry.imr).ok_or_else(|| format!("event log: register {}", entry.imr))?;
    let hex = |text: &str| {
        HEXLOWER.decode(text.as_bytes()).map_err(|_| format!("event log: {text:?} is not hex in lower case"))
    };
    let (written, payload) = (hex(&entry.digest)?, hex(&entry.event_payload)?);
    if entry.event_type != RUNTIME_EVENT {
        if written.len() != REGISTER_BYTES {
            return Err("event log: an event without its digest".to_owned());
        }
        return Ok(Extended { register, digest: written, proven: Proven::Nothing });
    }
    let hash = Sha384::new()
        .chain_update(RUNTIME_EVENT.to_le_bytes())
        .chain_update(b":")
        .chain_update(entry.event.as_bytes())
        .chain_update(b":")
        .chain_update(&payload);
    let digest = hash.finalize().to_vec();
    let proven = if written.is_empty() || written == digest {
        Proven::Octets(format!("{}={}", entry.event, entry.event_payload).into_bytes())
    } else {
        Proven::Contradicted
    };
    Ok(Extended { register, digest, proven })
}

/// The registers in the quote are what each log gives, as far as it extends them.
pub(super) fn replayed(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let Some(events) = &context.events else {
        return if context.policy.require_event_log {
            fail("no event log came along, and the policy requires one")
        } else {
            Ok("none came along".to_owned())
        };
    };
    let quoted = [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3];
    let mut explained: Vec<&str> = Vec::new();
    for log in &events.logs {
        let log = log.as_ref().map_err(|reason| Found::Failed(reason.clone()))?;
        for ((name, given), quoted) in REGISTERS.into_iter().zip(&log.registers).zip(&quoted) {
            let Some(given) = given else { continue };
            if given != quoted {
                let hex = HEXLOWER.encode(given);
                return fail(format!("the log gives {hex} for {name}, which is not what the quote says"));
            }
            if !explained.contains(&name) {
                explained.push(name);
            }
        }
    }
    let needed = REGISTERS.into_iter().zip(&quoted).enumerate();
    let needed = needed.filter(|(at, (_, quoted))| *at < EXTENDED_AT_BOOT || **quoted != [0; REGISTER_BYTES]);
    let missing = needed.map(|(_, (name, _))| name).find(|name| !explained.contains(name));
    if let Some(missing) = missing.filter(|_| context.policy.require_event_log) {
        return fail(format!("the policy requires an event log, and this one does not give {missing}"));
    }
    Ok(format!(
        "it gives {}",
        if explained.is_empty() { "no register".to_owned() } else { explained.join(", ") }
    ))
}

/// What a log proves of the firmware: that it ran only what was signed. Whether there must be a log is for
/// `require_event_log` to say: a TD that was started without UEFI has none that could say so.
pub(super) fn secure_boot(context: &Context<'_>) -> Outcome {
    context.report()?;
    let Some(events) = &context.events else {
        return Ok("no event log came along: not judged".to_owned());
    };
    if replayed(context).is_err() || proven(context).is_err() {
        return Err(Found::NotEvaluated("the event log does not hold"));
    }
    let policy = context.policy;
    match (events.secure_boot(), policy.require_secure_boot) {
        (Some(true), _) => Ok("on, as the event log proves".to_owned()),
        (Some(false), true) => fail("off, as the event log proves"),
        (Some(false), false) => {
            relaxed("require_secure_boot", "off, as the event log proves; the policy does not require it")
        }
        (None, true) if policy.require_event_log => {
            fail("the policy requires it and an event log, and the log does not say")
        }
        (None, _) => Ok("the event log does not say".to_owned()),
    }
}

/// The same as a claim, if the logs hold.
pub(super) fn secure_boot_claim(context: &Context<'_>) -> Option<bool> {
    let holds = replayed(context).is_ok() && proven(context).is_ok();
    context.events.as_ref().filter(|_| holds)?.secure_boot()
}

/// Nothing contradicts its digest.
pub(super) fn proven(context: &Context<'_>) -> Outcome {
    let Some(events) = &context.events else { return Ok("no event log".to_owned()) };
    let (mut proven, mut unproven) = (0_usize, 0_usize);
    for event in events.all()? {
        match &event.proven {
            Proven::Octets(_) => proven = proven.saturating_add(1),
            Proven::Nothing => unproven = unproven.saturating_add(1),
            Proven::Contradicted => {
                let name = REGISTERS.get(event.register).copied().unwrap_or_default();
                let digest = HEXLOWER.encode(&event.digest);
                return fail(format!(
                    "the data of an event of {name} is not what its digest {digest} is over"
                ));
            }
        }
    }
    Ok(format!("digests prove the data of {proven} events; of {unproven} it is not proven, and not used"))
}

/// The events that the policy names are in the log: by their text, as far as it is proven, or by digest.
pub(super) fn required(context: &Context<'_>) -> Outcome {
    let wanted = &context.policy.required_events;
    if wanted.is_empty() {
        return Ok("the policy names none".to_owned());
    }
    let Some(events) = &context.events else {
        return fail("no event log came along, and the policy names events");
    };
    if replayed(context).is_err() || proven(context).is_err() {
        return Err(Found::NotEvaluated("the event log does not hold"));
    }
    let events: Vec<&Extended> = events.all()?.collect();
    let there = |text: &&String| {
        let digest = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        events
            .iter()
            .any(|event| digest.as_ref() == Some(&event.digest) || text_of(event) == Some(text.as_str()))
    };
    match wanted.iter().find(|text| !there(text)) {
        Some(missing) => fail(format!("no event {missing:?} is proven")),
        None => Ok(format!("all {} are there", wanted.len())),
    }
}

/// The proven text of an event, without the zero that ends a text in C.
fn text_of(event: &Extended) -> Option<&str> {
    let Proven::Octets(octets) = &event.proven else { return None };
    let text = octets.strip_suffix(&[0]).unwrap_or(octets);
    std::str::from_utf8(text).ok().filter(|_| is_text(text))
}

/// Whether octets are what is taken for the text of an event.
pub(super) fn is_text(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|octet| (0x20..0x7f).contains(octet) || *octet == b'\n')
}

/// The proven texts, if the logs hold.
pub(super) fn claims(context: &Context<'_>) -> Vec<EventClaim> {
    let (Some(events), Ok(_), Ok(_)) = (&context.events, replayed(context), proven(context)) else {
        return Vec::new();
    };
    let Ok(events) = events.all() else { return Vec::new() };
    let claim = |event: &Extended| {
        let text = text_of(event).filter(|text| text.len() <= MAX_CLAIMED_BYTES)?.to_owned();
        Some(EventClaim { register: REGISTERS.get(event.register).copied()?, text })
    };
    events.filter_map(claim).take(MAX_CLAIMED).collect()
}
