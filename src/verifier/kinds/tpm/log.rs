//! The event log of a boot, judged by the registers that were quoted.
//!
//! Registers 0 to 7 are the firmware's (TCG PC Client Platform Firmware Profile, section 3.3.4): what the log says of
//! them must lead to what is quoted, all of it. The others go on being extended by whatever runs, which no firmware
//! log knows: their events are believed where they lead to the register, and else say nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::verifier::event_log::{Algorithm, Event, EventLog, Proof, kind};

/// The firmware's registers.
const FIRMWARE: std::ops::RangeInclusive<u8> = 0..=7;
/// Where the firmware measures how it verifies what it loads.
const SECURE_BOOT_PCR: u8 = 7;
/// Where GRUB measures the command line of the kernel.
const COMMAND_LINE_PCR: u8 = 8;
/// EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c, as it is in memory.
const GLOBAL_VARIABLE: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// What GRUB writes before the command line of the kernel.
const COMMAND_LINE: &[u8] = b"kernel_cmdline: ";

/// What the log of a boot proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::verifier::kinds) struct BootLog {
    pub(in crate::verifier::kinds) events: usize,
    /// Whether the firmware ran only what was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::verifier::kinds) secure_boot: Option<bool>,
    /// Of the kernel, as GRUB measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::verifier::kinds) kernel_command_line: Option<String>,
}

/// Judges a log by the registers of a bank.
pub(super) fn judge(octets: &[u8], bank: Algorithm, pcrs: &BTreeMap<u8, Vec<u8>>) -> Result<BootLog, String> {
    let log = EventLog::read(octets).map_err(|error| error.to_string())?;
    if log.length != octets.len() {
        return Err("octets follow the last event".to_owned());
    }
    if !log.algorithms.iter().any(|(id, _)| *id == bank.id()) {
        return Err("the log has no digests of the bank that is quoted".to_owned());
    }
    let leads = |index: u8| log.replay(bank, u32::from(index)).as_ref() == pcrs.get(&index);
    if let Some(index) = FIRMWARE.into_iter().find(|index| !leads(*index)) {
        return Err(format!("its events do not lead to what is quoted of pcr{index}"));
    }
    let believed: Vec<u8> = (0..super::quote::PCRS).filter(|index| leads(*index)).collect();
    let mut command_line = None;
    for (number, event) in (1_usize..).zip(&log.events) {
        let Some(index) = believed.iter().copied().find(|index| u32::from(*index) == event.index) else {
            continue;
        };
        if event.proof() == Proof::Mismatch {
            return Err(format!("event {number} says something else than its digest"));
        }
        if let (COMMAND_LINE_PCR, Some(text)) = (index, says_command_line(event)) {
            command_line = Some(text);
        }
    }
    let of_policy = log.events.iter().filter(|event| event.index == u32::from(SECURE_BOOT_PCR));
    Ok(BootLog {
        events: log.events.len(),
        secure_boot: secure_boot(of_policy),
        kernel_command_line: command_line,
    })
}

/// Whether the firmware ran only what was signed, as far as events of one register prove it. Measured again after a
/// change: on is only what was always on.
pub(in crate::verifier::kinds) fn secure_boot<'a>(
    events: impl IntoIterator<Item = &'a Event<'a>>,
) -> Option<bool> {
    events.into_iter().filter_map(says_secure_boot).reduce(|one, other| one && other)
}

/// The variable SecureBoot, where the digest proves all of the event.
fn says_secure_boot(event: &Event<'_>) -> Option<bool> {
    if event.kind != kind::EFI_VARIABLE_DRIVER_CONFIG || event.proof() != Proof::Whole {
        return None;
    }
    let (name, value) = event.variable()?;
    let named: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    (event.data.starts_with(&GLOBAL_VARIABLE) && name == named).then_some(value == [1])
}

/// The command line, where the digest proves it. The word before it is not in the digest: that it is a command line is
/// the log's word, that GRUB measured this text into this register is proven.
fn says_command_line(event: &Event<'_>) -> Option<String> {
    match event.proof() {
        Proof::Part(text) if event.kind == kind::IPL && event.data.starts_with(COMMAND_LINE) => {
            String::from_utf8(text.to_vec()).ok()
        }
        _ => None,
    }
}
