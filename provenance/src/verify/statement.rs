//! The verdict of a relying party on a registered statement, offline: whose it is, and that the log has it.

use ciborium::Value;

use super::{LogPosition, Run, Stop, Verdict, cannot_evaluate, check, untrusted};
use crate::{
    cose::Sign1,
    issuer::KnownIssuer,
    receipt::{Included, Receipt},
    statement::{MAX_STATEMENT_BYTES, Statement},
    trust::Trust,
};

/// Header parameter in which a transparent statement carries its receipts (RFC 9942).
const LABEL_RECEIPTS: i64 = 394;

/// What a relying party wants of a statement beside the trust file.
#[derive(Debug, Clone, Copy)]
pub struct StatementOptions<'a> {
    /// The issuer that it must be of.
    pub iss: &'a str,
    /// By what that issuer is known.
    pub known: &'a KnownIssuer,
    /// A receipt, where the statement carries none.
    pub receipt: Option<&'a [u8]>,
    /// The instant at which the issuer's certificates must have been valid, in Unix seconds; without it, the one at
    /// which the statement says that it was signed, which the log compared with its clock; now, if it says none.
    pub at: Option<u64>,
    /// Unix seconds.
    pub now: u64,
}

/// Verifies a signed or transparent statement (RFC 9943 section 7).
///
/// 1. It is no statement, or no receipt came with it: cannot evaluate. 2. It is of another issuer, or not signed by
///    this one's key, nor by a key that was certified for it then: untrusted. 3. It is meant for another log: untrusted.
///    4. No receipt shows, under a pinned key, that the log has it: untrusted.
pub fn verify_statement(bytes: &[u8], trust: &Trust, options: &StatementOptions<'_>) -> Verdict {
    let mut run = Run::empty();
    let result = verify(&mut run, bytes, trust, options);
    run.conclude(result)
}

fn verify(run: &mut Run, bytes: &[u8], trust: &Trust, options: &StatementOptions<'_>) -> Result<(), Stop> {
    let statement =
        Statement::parse_submission(bytes).map_err(|error| cannot_evaluate(check::STATEMENT, error))?;
    run.pass(check::STATEMENT, format!("entry id {}", statement.entry_id()));
    if statement.issuer() != options.iss {
        let detail = format!("is of `{}`, want `{}`", statement.issuer(), options.iss);
        return Err(untrusted(check::STATEMENT_SIGNATURE, detail));
    }
    let at = options.at.or(statement.issued_at()).unwrap_or(options.now);
    options.known.check(&statement, at..=at).map_err(|error| untrusted(check::STATEMENT_SIGNATURE, error))?;
    if statement.is_certified() {
        run.pass(check::STATEMENT_SIGNATURE, format!("by a key certified for {} at {at}", options.iss));
        run.skip(check::REVOCATION, "of the issuer's certificates: no status is asked for");
    } else {
        run.pass(check::STATEMENT_SIGNATURE, format!("by a key of {}", options.iss));
    }
    match statement.audience() {
        Some(audience) if audience != trust.origin() => {
            let detail = format!("is `{audience}`, want `{}`", trust.origin());
            return Err(untrusted(check::AUDIENCE, detail));
        }
        Some(audience) => run.pass(check::AUDIENCE, audience),
        None => run.skip(check::AUDIENCE, "the statement names no log"),
    }
    let included = receipt(bytes, &statement, trust, options.receipt)?;
    let (index, size) = (included.index(), included.size());
    run.pass(check::RECEIPT, format!("entry {index} of {size} in {}", trust.origin()));
    run.skip(
        check::WITNESSES,
        "a receipt is the log's word alone: compare its tree with a cosigned checkpoint",
    );
    run.skip(check::CONTENT, "what the payload says, and that the log kept to its policy, is not looked at");
    run.log = Some(LogPosition {
        origin: trust.origin().to_owned(),
        index,
        size,
        root: included.root().to_base64(),
        entry_id: statement.entry_id(),
        issuer: statement.issuer().to_owned(),
        witnessed: Vec::new(),
    });
    Ok(())
}

/// The first receipt that holds: one is enough (RFC 9943 section 7.1). Else why the last one does not.
fn receipt(
    bytes: &[u8],
    statement: &Statement,
    trust: &Trust,
    beside: Option<&[u8]>,
) -> Result<Included, Stop> {
    let message = Sign1::parse(bytes, MAX_STATEMENT_BYTES);
    let message = message.map_err(|error| cannot_evaluate(check::STATEMENT, error))?;
    let carried = message.unprotected_int(LABEL_RECEIPTS).and_then(Value::as_array);
    let carried = carried.into_iter().flatten().filter_map(Value::as_bytes).map(Vec::as_slice);
    let mut refused = cannot_evaluate(check::RECEIPT, "no receipt, in the statement or beside it");
    for bytes in beside.into_iter().chain(carried) {
        match holds(bytes, statement, trust) {
            Ok(included) => return Ok(included),
            Err(why) => refused = untrusted(check::RECEIPT, why),
        }
    }
    Err(refused)
}

fn holds(bytes: &[u8], statement: &Statement, trust: &Trust) -> Result<Included, String> {
    let receipt = Receipt::parse(bytes).map_err(|error| error.to_string())?;
    let key = receipt.kid().and_then(|kid| trust.receipt_keys().find(kid));
    let key = key.ok_or("signed by no trusted receipt key")?;
    receipt.verify_inclusion(key, trust.origin(), &statement.leaf()).map_err(|error| error.to_string())
}
