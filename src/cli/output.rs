//! What the program prints, and its exit codes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the one place beside `appraise` that prints")]

use serde::Serialize;

/// The command could not do its work. Verdicts have codes of their own: 0, 1, 2.
pub(super) const FAILED: u8 = 3;

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Prints a line for people.
pub(super) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Prints an error: what, and why, from the outside in.
pub(super) fn error(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// Prints a remark beside the result.
pub(super) fn remark(text: impl std::fmt::Display) {
    eprintln!("{text}");
}
