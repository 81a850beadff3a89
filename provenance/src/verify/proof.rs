//! From a certificate's proof to the log and its witnesses.

use treering_tlog::{checkpoint::Checkpoint, inclusion, note::Note, policy::PolicyError};

use super::{LogPosition, Run, Stop, check, untrusted};
use crate::{
    proof::CredentialProof,
    receipt::{Included, Receipt},
    statement::{Kind, Statement, Verified},
    trust::{Release, Trust},
    x509,
};

/// Verifies the proof in a certificate whose issuer's signature holds.
pub(super) fn verify(run: &mut Run, leaf: &[u8], issuer_spki: &[u8], trust: &Trust) -> Result<(), Stop> {
    let bad_extension = |error: x509::X509Error| untrusted(check::PROOF_EXTENSION, error);
    let tbs = x509::split_certificate(leaf).map_err(bad_extension)?.tbs;
    let bytes = x509::proof(tbs).map_err(bad_extension)?;
    let bytes =
        bytes.ok_or_else(|| untrusted(check::PROOF_EXTENSION, "certificate has no proof of its logging"))?;
    let proof = CredentialProof::parse(bytes).map_err(|error| untrusted(check::PROOF_EXTENSION, error))?;
    run.pass(check::PROOF_EXTENSION, format!("one, in its place, {} bytes", bytes.len()));

    let statement = statement(run, &proof, trust)?;
    let stripped = x509::strip(tbs).map_err(bad_extension)?;
    if statement.cred() != Some(&x509::cred(issuer_spki, &stripped)) {
        return Err(untrusted(check::COMMITMENT, "the statement commits to another credential"));
    }
    run.pass(check::COMMITMENT, "the statement commits to this certificate");

    let (receipt, included) = receipt(run, &proof, &statement, trust)?;
    parents(run, &proof, &statement, (&receipt, &included))?;
    let witnessed = witnesses(run, &proof, &included, trust)?;
    run.log = Some(LogPosition {
        origin: trust.origin().to_owned(),
        index: included.index(),
        size: included.size(),
        root: included.root().to_base64(),
        entry_id: statement.entry_id(),
        issuer: statement.issuer().to_owned(),
        witnessed,
    });
    Ok(())
}

fn statement(run: &mut Run, proof: &CredentialProof, trust: &Trust) -> Result<Verified, Stop> {
    let refuse = |detail: String| untrusted(check::STATEMENT_SIGNATURE, detail);
    let statement = Statement::parse(&proof.statement).map_err(|error| refuse(error.to_string()))?;
    if statement.kind() != Some(Kind::Issuance) {
        return Err(refuse("the statement is not an issuance".to_owned()));
    }
    let kid = statement.kid().unwrap_or_default();
    let key = trust.issuer_key(statement.issuer(), Kind::Issuance, kid);
    let key =
        key.ok_or_else(|| refuse(format!("no trusted key of `{}` for issuances", statement.issuer())))?;
    let statement = statement.verify(key).map_err(|error| refuse(error.to_string()))?;
    run.pass(check::STATEMENT_SIGNATURE, format!("issuance signed by {}", statement.issuer()));
    match statement.audience() {
        Some(audience) if audience == trust.origin() => run.pass(check::AUDIENCE, audience),
        other => {
            let detail = format!("is `{}`, want `{}`", other.unwrap_or_default(), trust.origin());
            return Err(untrusted(check::AUDIENCE, detail));
        }
    }
    Ok(statement)
}

fn receipt(
    run: &mut Run,
    proof: &CredentialProof,
    statement: &Verified,
    trust: &Trust,
) -> Result<(Receipt, Included), Stop> {
    let refuse = |detail: String| untrusted(check::RECEIPT, detail);
    let receipt = Receipt::parse(&proof.receipt).map_err(|error| refuse(error.to_string()))?;
    let key = receipt.kid().and_then(|kid| trust.receipt_keys().find(kid));
    let key = key.ok_or_else(|| refuse("signed by no trusted receipt key".to_owned()))?;
    let included = receipt.verify_inclusion(key, trust.origin(), &statement.leaf());
    let included = included.map_err(|error| refuse(error.to_string()))?;
    run.pass(
        check::RECEIPT,
        format!("entry {} of {} in {}", included.index(), included.size(), trust.origin()),
    );
    Ok((receipt, included))
}

fn parents(
    run: &mut Run,
    proof: &CredentialProof,
    statement: &Statement,
    (receipt, included): (&Receipt, &Included),
) -> Result<(), Stop> {
    let refuse = |detail: String| untrusted(check::PARENTS, detail);
    let named = statement.parents();
    if proof.parents.is_empty() {
        run.skip(check::PARENTS, format!("{} named, their places are not embedded", named.len()));
        return Ok(());
    }
    let Some(main) = receipt.inclusions().first().filter(|_| named.len() == proof.parents.len()) else {
        return Err(refuse(format!("{} places, {} parents are named", proof.parents.len(), named.len())));
    };
    let mut indexes = Vec::new();
    for (leaf, path) in named.iter().zip(&proof.parents) {
        let parent = path.expand(main).map_err(|error| refuse(error.to_string()))?;
        let verified =
            inclusion::verify(&(*leaf).into(), parent.index, included.size(), &parent.path, included.root());
        verified.map_err(|error| refuse(error.to_string()))?;
        indexes.push(parent.index.to_string());
    }
    run.pass(check::PARENTS, format!("mapping and appraisal are entries {}", indexes.join(" and ")));
    Ok(())
}

/// The checkpoint that the receipt's origin, size and root amount to is signed by the log's own key, and by a quorum.
fn witnesses(
    run: &mut Run,
    proof: &CredentialProof,
    included: &Included,
    trust: &Trust,
) -> Result<Vec<(String, u64)>, Stop> {
    let refuse = |detail: String| untrusted(check::CHECKPOINT, detail);
    let checkpoint = Checkpoint::new(trust.origin(), included.size(), *included.root());
    let body = checkpoint.map_err(|error| refuse(error.to_string()))?.body();
    let note = Note::new(body, proof.signatures.clone()).map_err(|error| refuse(error.to_string()))?;
    note.verify(std::slice::from_ref(trust.log_key())).map_err(|error| refuse(error.to_string()))?;
    run.pass(check::CHECKPOINT, "the log's key signed the tree of the receipt");
    let Some(policy) = trust.policy() else {
        run.skip(check::WITNESSES, "the trust file names none: a forked log would not be noticed");
        return Ok(Vec::new());
    };
    match policy.verify(&note) {
        Ok(witnessed) => {
            let names: Vec<&str> = witnessed.cosigners().iter().map(|(name, _)| name.as_str()).collect();
            run.pass(
                check::WITNESSES,
                format!("quorum of {} reached by {}", policy.smallest_quorum(), names.join(", ")),
            );
            Ok(witnessed.cosigners().to_vec())
        }
        Err(error @ PolicyError::BelowQuorum { .. }) if trust.release() == Release::Committed => {
            run.skip(check::WITNESSES, format!("{error}; the trust file does not ask for it"));
            Ok(Vec::new())
        }
        Err(error) => Err(untrusted(check::WITNESSES, error)),
    }
}
