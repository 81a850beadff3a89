//! Evidence that a program makes: for platforms whose evidence comes by the vendor's own tools.
//!
//! The program gets the value to be carried, 64 octets in hex, as its only argument, and prints a CMW (RFC 9999) of
//! evidence and endorsements, in any of its forms. What it says on standard error goes to ours.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use data_encoding::HEXLOWER;

use crate::attester::{Attestation, Attester, AttesterError, CRL_TYPE, EvidenceItem};
use crate::verifier::{Collateral, Evidence, known_type};
use crate::wire::read_cmw;

/// The most that is read from a program: what the service takes in one request.
const MAX_OUTPUT_BYTES: usize = 2 * 1024 * 1024;

/// How often it is asked whether a program has ended, once it has closed its output.
const ENDING: Duration = Duration::from_millis(20);

/// A program that attests.
pub(super) struct Program {
    path: PathBuf,
    within: Duration,
}

/// What came of running it.
enum Ran {
    /// What it printed, and whether it ended well.
    Ended(Vec<u8>, bool),
    /// It did not end in time, and was ended.
    Hung,
}

impl Program {
    /// A program that is given this long.
    pub(super) fn new(path: PathBuf, within: Duration) -> Self {
        Self { path, within }
    }

    fn run(&self, report_data: &[u8; 64]) -> std::io::Result<Ran> {
        let mut command = Command::new(&self.path);
        command.arg(HEXLOWER.encode(report_data)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (send, receive) = mpsc::channel();
        let stdout = child.stdout.take();
        // Read beside, since a program that hangs keeps its output open. What this one started may do so after its end:
        // the thread is left to it.
        std::thread::spawn(move || {
            let limit = u64::try_from(MAX_OUTPUT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
            let mut output = Vec::new();
            // The pipe is closed after it: who prints more is told so by the system.
            let read = stdout.map_or(Ok(0), |from| from.take(limit).read_to_end(&mut output));
            // Nobody listens any more where the time is up.
            drop(send.send(read.map(|_| output)));
        });
        let Ok(output) = receive.recv_timeout(self.within) else {
            child.kill()?;
            child.wait()?;
            return Ok(Ran::Hung);
        };
        let output = output?;
        let mut left = self.within;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Ran::Ended(output, status.success()));
            }
            let Some(less) = left.checked_sub(ENDING) else {
                child.kill()?;
                child.wait()?;
                return Ok(Ran::Hung);
            };
            left = less;
            std::thread::sleep(ENDING);
        }
    }
}

impl Attester for Program {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let content = |reason: String| AttesterError::Content { path: self.path.clone(), reason };
        let ran = self.run(report_data);
        let ran = ran.map_err(|source| AttesterError::File { path: self.path.clone(), source })?;
        let Ran::Ended(output, well) = ran else {
            let seconds = self.within.as_secs();
            let more = "give it more with --program-timeout, or see what it waits for";
            return Err(content(format!("it did not end within {seconds} s, and was ended; {more}")));
        };
        if output.len() > MAX_OUTPUT_BYTES {
            return Err(content(format!("it prints more than {MAX_OUTPUT_BYTES} octets")));
        }
        if !well {
            return Err(content("it failed".to_owned()));
        }
        let (evidence, collateral) = read_cmw(&output).map_err(content)?;
        attestation(&evidence, &collateral).map_err(content)
    }
}

fn attestation(evidence: &Evidence, collateral: &Collateral) -> Result<Attestation, String> {
    let item = |media_type: &str, bytes: &[u8]| {
        let media_type = known_type(media_type).ok_or_else(|| format!("no Verifier takes {media_type}"))?;
        Ok::<_, String>(EvidenceItem { media_type, bytes: bytes.to_vec() })
    };
    let crl = |bytes: &Vec<u8>| Ok(EvidenceItem { media_type: CRL_TYPE, bytes: bytes.clone() });
    let documents = collateral.documents().iter().map(|one| item(&one.media_type, &one.bytes));
    Ok(Attestation {
        evidence: evidence
            .items()
            .iter()
            .map(|one| item(one.media_type(), one.bytes()))
            .collect::<Result<_, _>>()?,
        endorsements: collateral.certificates().to_vec(),
        documents: collateral.crls().iter().map(crl).chain(documents).collect::<Result<_, _>>()?,
    })
}
