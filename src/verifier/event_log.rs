//! Event logs of the TCG (PC Client Platform Firmware Profile, "crypto agile log format"): what was measured, in order.
//!
//! A log is hearsay. What makes it evidence is that its digests, extended one after another, give a register that
//! hardware signed ([`EventLog::replay`]); and that proves the digests alone. The data beside a digest is proven only
//! where the digest is over it: [`Event::proof`] computes it again, and says for each event what can be believed of it.
//! In scope: the octets, the replay, and the proof. Out of scope: which registers are signed (`kinds`), and what an
//! event means for a policy.
//!
//! The layout is that of TPM event logs and of the CCEL table of TDX (UEFI 2.10 section 38.4) alike. Only the index
//! differs: a PCR there, here 0 for MRTD and 1 to 4 for RTMR0 to RTMR3.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// Events in one log: a server with a few disks has about 200, GRUB adds one for every command.
pub(super) const MAX_EVENTS: usize = 8192;
/// Digests of one event: banks of a TPM.
const MAX_ALGORITHMS: usize = 5;

/// Octets of the SHA-1 digest in the first event, which has the older layout.
const FIRST_DIGEST_BYTES: usize = 20;
const SPEC_ID: &[u8] = b"Spec ID Event03\0";
/// Of NO_ACTION events that say in which locality a TPM was started.
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";

/// Event types (TCG PC Client Platform Firmware Profile, section 10.4.1).
#[allow(dead_code, reason = "names for every kind that reads logs, and not each needs each")]
pub(super) mod kind {
    pub(in crate::verifier) const NO_ACTION: u32 = 0x3;
    pub(in crate::verifier) const SEPARATOR: u32 = 0x4;
    pub(in crate::verifier) const ACTION: u32 = 0x5;
    pub(in crate::verifier) const EVENT_TAG: u32 = 0x6;
    pub(in crate::verifier) const S_CRTM_VERSION: u32 = 0x8;
    pub(in crate::verifier) const IPL: u32 = 0xd;
    pub(in crate::verifier) const EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
    pub(in crate::verifier) const EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
    pub(in crate::verifier) const EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
    pub(in crate::verifier) const EFI_GPT_EVENT: u32 = 0x8000_0006;
    pub(in crate::verifier) const EFI_ACTION: u32 = 0x8000_0007;
    pub(in crate::verifier) const EFI_VARIABLE_BOOT2: u32 = 0x8000_000c;
    pub(in crate::verifier) const EFI_GPT_EVENT2: u32 = 0x8000_000d;
    pub(in crate::verifier) const EFI_HCRTM_EVENT: u32 = 0x8000_0010;
    pub(in crate::verifier) const EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;
}

/// Why octets are not an event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum EventLogError {
    /// They end within an event.
    #[error("event {0} is cut short")]
    CutShort(usize),
    /// The first event is not the one that says what the log is.
    #[error("the first event is not a Spec ID event of version 3")]
    SpecId,
    /// It names no algorithm, too many, one twice, or one with a wrong length.
    #[error("the Spec ID event names no algorithms, or too many, or one wrongly")]
    Algorithms,
    /// An event has other digests than the algorithms that the log has.
    #[error("event {0} does not have one digest of each algorithm")]
    Digests(usize),
    /// Too many events.
    #[error("an event log has at most {MAX_EVENTS} events")]
    TooMany,
    /// Something that is neither events nor the filling after them.
    #[error("the filling after {0} events is neither all zeros nor all ones")]
    Filling(usize),
}

/// A digest algorithm that is known here (TCG Algorithm Registry). SHA-1 and others may be in a log, and prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// TPM_ALG_ID.
    pub(super) const fn id(self) -> u16 {
        match self {
            Self::Sha256 => 0xb,
            Self::Sha384 => 0xc,
            Self::Sha512 => 0xd,
        }
    }

    /// Octets of a digest.
    pub(super) const fn octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of parts one after another.
    pub(super) fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            parts.iter().fold(D::new(), D::chain_update).finalize().to_vec()
        }
        match self {
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }
}

/// A log that was read; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventLog<'a> {
    /// TPM_ALG_ID and octets of each digest, in the order of the Spec ID event.
    pub(super) algorithms: Vec<(u16, usize)>,
    /// The events after the first.
    pub(super) events: Vec<Event<'a>>,
    /// How many octets the events have; the rest is filling.
    #[allow(dead_code, reason = "a TPM's log has no filling; whether it may, its kind decides")]
    pub(super) length: usize,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event<'a> {
    /// The register: a PCR, or in a CCEL 0 for MRTD and 1 to 4 for RTMR0 to RTMR3.
    pub(super) index: u32,
    /// The event type, see [`kind`].
    pub(super) kind: u32,
    /// TPM_ALG_ID and digest.
    pub(super) digests: Vec<(u16, &'a [u8])>,
    /// What stands beside the digest.
    pub(super) data: &'a [u8],
}

/// What a digest that was extended proves of the data beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof<'a> {
    /// All of it: the digest is over it.
    Whole,
    /// This part of it.
    Part(&'a [u8]),
    /// Nothing: the digest of this type of event is over something that is not in the log, such as an image.
    None,
    /// Not extended at all: such an event is a remark.
    Remark,
    /// The data of this type of event is what its digest must be over, and it is not: somebody changed it.
    Mismatch,
}

impl<'a> EventLog<'a> {
    /// Reads a log. After the events there may be filling up to the size of the table, all zeros or all ones.
    pub(super) fn read(octets: &'a [u8]) -> Result<Self, EventLogError> {
        let mut input = Input { rest: octets, event: 0 };
        let algorithms = read_first(&mut input)?;
        let mut events = Vec::new();
        loop {
            input.event = events.len().saturating_add(1);
            if is_filling(input.rest) {
                break;
            }
            if events.len() >= MAX_EVENTS {
                return Err(EventLogError::TooMany);
            }
            match read_event(&mut input, &algorithms) {
                Ok(event) => events.push(event),
                // What begins as filling, and goes on as something else, is not an event cut short.
                Err(_) if input.rest.starts_with(&[0xff; 8]) || input.rest.starts_with(&[0; 8]) => {
                    return Err(EventLogError::Filling(events.len()));
                }
                Err(error) => return Err(error),
            }
        }
        let length = octets.len().saturating_sub(input.rest.len());
        Ok(Self { algorithms, events, length })
    }

    /// The register that these events give, from zeros; `None` if the log has no digests of this algorithm.
    pub(super) fn replay(&self, algorithm: Algorithm, index: u32) -> Option<Vec<u8>> {
        if !self.algorithms.iter().any(|(id, _)| *id == algorithm.id()) {
            return None;
        }
        let mut register = vec![0; algorithm.octets()];
        let locality = if index == 0 { self.startup_locality() } else { None };
        if let (Some(locality), Some(last)) = (locality, register.last_mut()) {
            *last = locality;
        }
        for event in self.events.iter().filter(|event| event.index == index) {
            if event.kind != kind::NO_ACTION {
                register = algorithm.digest(&[&register, event.digest(algorithm)?]);
            }
        }
        Some(register)
    }

    /// Whether any event extends this register.
    pub(super) fn extends(&self, index: u32) -> bool {
        self.events.iter().any(|event| event.index == index && event.kind != kind::NO_ACTION)
    }

    /// The locality in which a TPM was started, which PCR 0 begins with instead of zero.
    pub(super) fn startup_locality(&self) -> Option<u8> {
        let mut remarks =
            self.events.iter().filter(|event| event.kind == kind::NO_ACTION && event.index == 0);
        remarks.find_map(|event| match event.data.strip_prefix(STARTUP_LOCALITY) {
            Some([locality]) => Some(*locality),
            _ => None,
        })
    }
}

impl<'a> Event<'a> {
    /// The digest of this algorithm.
    pub(super) fn digest(&self, algorithm: Algorithm) -> Option<&'a [u8]> {
        self.digests.iter().find(|(id, _)| *id == algorithm.id()).map(|(_, digest)| *digest)
    }

    /// What of the data the digests prove: every digest whose algorithm is known must agree.
    pub(super) fn proof(&self) -> Proof<'a> {
        if self.kind == kind::NO_ACTION {
            return Proof::Remark;
        }
        let covers = |part: &[u8]| {
            let mut known =
                Algorithm::ALL.into_iter().filter_map(|one| Some((one, self.digest(one)?))).peekable();
            known.peek().is_some() && known.all(|(one, digest)| one.digest(&[part]) == digest)
        };
        if covers(self.data) {
            return Proof::Whole;
        }
        match self.kind {
            kind::SEPARATOR
            | kind::ACTION
            | kind::S_CRTM_VERSION
            | kind::EFI_VARIABLE_DRIVER_CONFIG
            | kind::EFI_GPT_EVENT
            | kind::EFI_GPT_EVENT2
            | kind::EFI_ACTION
            | kind::EFI_VARIABLE_BOOT2
            | kind::EFI_VARIABLE_AUTHORITY
            | kind::EFI_HCRTM_EVENT => Proof::Mismatch,
            // The value alone is digested, not the variable's name.
            kind::EFI_VARIABLE_BOOT => match self.variable() {
                Some((_, value)) if covers(value) => Proof::Part(value),
                _ => Proof::Mismatch,
            },
            kind::IPL => self.grub_text().filter(|text| covers(text)).map_or(Proof::None, Proof::Part),
            _ => Proof::None,
        }
    }

    /// Name (UCS-2) and value of a UEFI_VARIABLE_DATA: GUID, two lengths, name, value, and nothing more.
    pub(super) fn variable(&self) -> Option<(&'a [u8], &'a [u8])> {
        let after_guid = self.data.get(16..)?;
        let (name_length, rest) = after_guid.split_first_chunk::<8>()?;
        let (value_length, rest) = rest.split_first_chunk::<8>()?;
        let name_length = usize::try_from(u64::from_le_bytes(*name_length)).ok()?.checked_mul(2)?;
        let (name, value) = rest.split_at_checked(name_length)?;
        (usize::try_from(u64::from_le_bytes(*value_length)).ok()? == value.len()).then_some((name, value))
    }

    /// What GRUB digests of its own events: what follows the first word, which says what it is, without the zero at
    /// the end (`grub_cmd: linux /vmlinuz`, `kernel_cmdline: ...`).
    fn grub_text(&self) -> Option<&'a [u8]> {
        let text = self.data.strip_suffix(&[0]).unwrap_or(self.data);
        let at = text.windows(2).position(|two| two == b": ")?;
        text.get(at.checked_add(2)?..)
    }
}

/// Whether nothing but filling is left: none, all zeros or all ones.
fn is_filling(rest: &[u8]) -> bool {
    rest.iter().all(|octet| *octet == 0) || rest.iter().all(|octet| *octet == 0xff)
}

/// What is left to read.
struct Input<'a> {
    rest: &'a [u8],
    event: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, octets: usize) -> Result<&'a [u8], EventLogError> {
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(EventLogError::CutShort(self.event))?;
        self.rest = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, EventLogError> {
        let octets = self.take(2)?;
        Ok(octets.iter().rev().fold(0, |value, octet| (value << 8) | u16::from(*octet)))
    }

    fn u32(&mut self) -> Result<u32, EventLogError> {
        let octets = self.take(4)?;
        Ok(octets.iter().rev().fold(0, |value, octet| (value << 8) | u32::from(*octet)))
    }

    fn counted(&mut self) -> Result<&'a [u8], EventLogError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| EventLogError::CutShort(self.event))?)
    }
}

/// The first event (TCG_PCClientPCREvent with a TCG_EfiSpecIDEvent): which digests the others have.
fn read_first(input: &mut Input<'_>) -> Result<Vec<(u16, usize)>, EventLogError> {
    let (_index, kind) = (input.u32()?, input.u32()?);
    let digest = input.take(FIRST_DIGEST_BYTES)?;
    let data = input.counted()?;
    let Some(rest) = data.strip_prefix(SPEC_ID) else { return Err(EventLogError::SpecId) };
    if kind != kind::NO_ACTION || digest.iter().any(|octet| *octet != 0) {
        return Err(EventLogError::SpecId);
    }
    let mut spec = Input { rest, event: 0 };
    // Platform class, version and errata, width of a UINTN: they change nothing in what follows.
    spec.take(8)?;
    let count = usize::try_from(spec.u32()?).map_err(|_| EventLogError::Algorithms)?;
    if count == 0 || count > MAX_ALGORITHMS {
        return Err(EventLogError::Algorithms);
    }
    let mut algorithms: Vec<(u16, usize)> = Vec::new();
    for _ in 0..count {
        let (id, octets) = (spec.u16()?, usize::from(spec.u16()?));
        let known = Algorithm::ALL.into_iter().find(|one| one.id() == id);
        let wrong = known.is_some_and(|one| one.octets() != octets);
        if wrong || octets == 0 || octets > 64 || algorithms.iter().any(|(other, _)| *other == id) {
            return Err(EventLogError::Algorithms);
        }
        algorithms.push((id, octets));
    }
    let vendor = spec.take(1)?.first().copied().unwrap_or_default();
    spec.take(usize::from(vendor))?;
    if spec.rest.is_empty() { Ok(algorithms) } else { Err(EventLogError::SpecId) }
}

/// One event of the newer layout (TCG_PCR_EVENT2).
fn read_event<'a>(input: &mut Input<'a>, algorithms: &[(u16, usize)]) -> Result<Event<'a>, EventLogError> {
    let begin = input.rest;
    let mut read = || {
        let (index, kind, count) = (input.u32()?, input.u32()?, input.u32()?);
        if usize::try_from(count) != Ok(algorithms.len()) {
            return Err(EventLogError::Digests(input.event));
        }
        let mut digests: Vec<(u16, &[u8])> = Vec::new();
        for _ in 0..count {
            let id = input.u16()?;
            let octets = algorithms.iter().find(|(known, _)| *known == id).map(|(_, octets)| *octets);
            let octets = octets.ok_or(EventLogError::Digests(input.event))?;
            if digests.iter().any(|(other, _)| *other == id) {
                return Err(EventLogError::Digests(input.event));
            }
            digests.push((id, input.take(octets)?));
        }
        Ok(Event { index, kind, digests, data: input.counted()? })
    };
    let event = read();
    if event.is_err() {
        input.rest = begin;
    }
    event
}

#[cfg(test)]
mod tests;
