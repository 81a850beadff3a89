//! What the program prints, and its exit codes.
#![expect(clippy::print_stderr, reason = "the one place beside `appraise` that prints")]

use std::io::Write as _;

use serde::Serialize;

/// The command could not do its work. Verdicts have codes of their own: 0, 1, 2.
pub(super) const FAILED: u8 = 3;
/// The service ended by itself: the log stopped, after a write that failed or a read that it rests on, and only opening
/// it again tells what the disk holds.
pub(super) const LOG_STOPPED: u8 = 4;

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Prints a line. Whoever closed the pipe has read enough: that ends the program quietly.
pub(super) fn line(text: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(i32::from(FAILED));
    }
}

/// Prints an error: what, and why, from the outside in.
pub(super) fn error(error: &anyhow::Error) {
    let mut said = error.to_string();
    eprintln!("error: {said}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors name their cause in their own words.
        if !said.ends_with(&cause) {
            eprintln!("  because: {cause}");
        }
        said = cause;
    }
}

/// Prints a remark beside the result.
pub(super) fn remark(text: impl std::fmt::Display) {
    eprintln!("{text}");
}
