//! Reads statements for an auditor, and believes none of them before it is checked: its place under a signed
//! checkpoint, its signature by a key that is known to be its issuer's, its content by the commitment in it.

use treering_provenance::content::{AnyContent, RegistrationPolicy, TrustAnchors};
use treering_provenance::envelope::{EnvelopeError, Plaintext};
use treering_provenance::issuer::{IssuerError, KnownIssuer};
use treering_provenance::statement::{Body, Kind, Statement};
use treering_provenance::trust::Trust;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::Hash;
use treering_tlog::inclusion;
use treering_tlog::note::Note;

use crate::governance::rules;

use super::{Keyring, Source, TraceError};

/// A statement that was found, checked and opened.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) index: u64,
    pub(super) statement: Statement,
    pub(super) content: AnyContent,
}

/// What an auditor reads with.
pub(super) struct Reader<'a, S> {
    source: &'a S,
    keyring: &'a Keyring,
    trust: &'a Trust,
    checkpoint: Checkpoint,
    cosigners: Vec<(String, u64)>,
    third_parties: Vec<ThirdParty>,
    founding: Option<(RegistrationPolicy, TrustAnchors)>,
}

/// An issuer of the registration policy.
struct ThirdParty {
    iss: String,
    kinds: Vec<Kind>,
    known: KnownIssuer,
}

impl<'a, S: Source> Reader<'a, S> {
    /// Takes the source's checkpoint, verifies it under the trust file, and learns the issuers' keys from the first
    /// two entries under it.
    pub(super) async fn new(
        source: &'a S,
        trust: &'a Trust,
        keyring: &'a Keyring,
    ) -> Result<Self, TraceError> {
        let (checkpoint, cosigners) = checkpoint(&source.checkpoint().await?, trust)?;
        let mut reader =
            Self { source, keyring, trust, checkpoint, cosigners, third_parties: Vec::new(), founding: None };
        reader.learn().await?;
        Ok(reader)
    }

    /// The checkpoint that everything is checked under.
    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The witnesses that cosigned it, and when.
    pub(super) fn cosigners(&self) -> &[(String, u64)] {
        &self.cosigners
    }

    /// Where it reads from.
    pub(super) fn source(&self) -> &'a S {
        self.source
    }

    /// The registration policy of index 0 and the trust anchors of index 1.
    pub(super) fn founding(&self) -> Result<&(RegistrationPolicy, TrustAnchors), TraceError> {
        let missing = || TraceError::Entry { index: 0, reason: "the log has no founding entries".to_owned() };
        self.founding.as_ref().ok_or_else(missing)
    }

    /// The statement with this leaf hash.
    pub(super) async fn open(&self, leaf: &Hash) -> Result<Opened, TraceError> {
        let index = self.index_of(leaf).await?.ok_or_else(|| TraceError::Missing(leaf.to_hex()))?;
        let statement = self.included(index).await?;
        if statement.leaf() != *leaf {
            let reason = "the entry there has another leaf hash".to_owned();
            return Err(TraceError::Entry { index, reason });
        }
        self.check(index, &statement)?;
        let content = self.typed(index, &statement).await?;
        Ok(Opened { index, statement, content })
    }

    /// The index of this leaf hash under the checkpoint, as the source says; `None` if no entry has it.
    pub(super) async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, TraceError> {
        let found = self.source.index_of(leaf).await?;
        Ok(found.filter(|index| *index < self.checkpoint.size()))
    }

    /// Checks that it was signed by who may: one of our roles by the trust file, a third party by the registration
    /// policy; for this kind in either case; and that it is meant for this log.
    fn check(&self, index: u64, statement: &Statement) -> Result<(), TraceError> {
        let checked = match role_key(self.trust, statement) {
            Some(_) => check_role(self.trust, statement),
            None => self.check_third_party(statement).and_then(|()| check_audience(self.trust, statement)),
        };
        checked.map_err(|reason| TraceError::Entry { index, reason })
    }

    /// The content, which must be of a type that this program knows, and of the statement's kind.
    pub(super) async fn typed(&self, index: u64, statement: &Statement) -> Result<AnyContent, TraceError> {
        let wrong = |reason: String| TraceError::Entry { index, reason };
        let parse = |media_type: &str, body: &[u8]| {
            let parsed = AnyContent::parse(media_type, body).map_err(|error| wrong(error.to_string()))?;
            parsed.ok_or_else(|| TraceError::UnknownType { index, media_type: media_type.to_owned() })
        };
        let content = match statement.body() {
            Body::Public { content_type, bytes } => parse(content_type.unwrap_or_default(), bytes)?,
            Body::Hashed { .. } => {
                let plaintext = self.plaintext(index, statement).await?;
                parse(plaintext.media_type(), plaintext.body())?
            }
        };
        if statement.kind() != Some(content.kind()) {
            return Err(wrong(format!("holds content of kind {}", content.kind())));
        }
        Ok(content)
    }

    /// Confidential content, opened, if the key for it was granted.
    pub(super) async fn plaintext(&self, index: u64, statement: &Statement) -> Result<Plaintext, TraceError> {
        let not_opened = |reason: String| TraceError::NotOpened { index, reason };
        if self.keyring.is_empty() {
            return Err(not_opened("no auditor's key was given".to_owned()));
        }
        let wrong = |reason: String| TraceError::Entry { index, reason };
        let sealed = self.source.content(index, &statement.leaf()).await?;
        let sealed = sealed.ok_or_else(|| wrong("its content is missing, without a tombstone".to_owned()))?;
        self.keyring.open(statement, &sealed).map_err(|error| match error {
            EnvelopeError::NoKey(_) => not_opened("its key was not granted".to_owned()),
            error => wrong(error.to_string()),
        })
    }

    /// The statement at an index, which is proved to be under the checkpoint.
    pub(super) async fn included(&self, index: u64) -> Result<Statement, TraceError> {
        let wrong = |reason: String| TraceError::Entry { index, reason };
        let entry = self.source.entry(index).await?;
        let statement = Statement::parse(&entry).map_err(|error| wrong(error.to_string()))?;
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        let path = self.source.inclusion(index, size).await?;
        inclusion::verify(&statement.leaf(), index, size, &path, root)
            .map_err(|error| wrong(format!("not under the checkpoint: {error}")))?;
        Ok(statement)
    }

    /// A third party by the registration policy may sign its kinds.
    fn check_third_party(&self, statement: &Statement) -> Result<(), String> {
        let refused = || unknown_key(statement);
        let kind = statement.kind().ok_or_else(refused)?;
        let mut parties = self.third_parties.iter();
        let party = parties.find(|party| party.iss == statement.issuer() && party.kinds.contains(&kind));
        // It was registered about when it was signed, or not at all.
        let signed = statement.issued_at().unwrap_or_default();
        let when = signed.saturating_sub(rules::MAX_SKEW_S)..=signed.saturating_add(rules::MAX_SKEW_S);
        party.ok_or_else(refused)?.known.check(statement, when).map(drop).map_err(|error| match error {
            IssuerError::UnknownKey => refused(),
            other => other.to_string(),
        })
    }

    async fn learn(&mut self) -> Result<(), TraceError> {
        let policy = match self.first_entry(0).await? {
            AnyContent::RegistrationPolicy(policy) => policy,
            other => return Err(unexpected(0, &other)),
        };
        let anchors = match self.first_entry(1).await? {
            AnyContent::TrustAnchors(anchors) => anchors,
            other => return Err(unexpected(1, &other)),
        };
        for issuer in &policy.issuers {
            let known = issuer.known();
            let known = known.map_err(|error| TraceError::Entry { index: 0, reason: error.to_string() })?;
            self.third_parties.push(ThirdParty {
                iss: issuer.iss.clone(),
                kinds: issuer.kinds.clone(),
                known,
            });
        }
        self.founding = Some((policy, anchors));
        Ok(())
    }

    /// One of the two founding entries, which a role of the trust file must have signed.
    async fn first_entry(&self, index: u64) -> Result<AnyContent, TraceError> {
        let statement = self.included(index).await?;
        Ok(self.open(&statement.leaf()).await?.content)
    }
}

/// Checks that a role of the trust file signed a statement, one that may sign its kind, and that it is meant for this
/// log.
pub(super) fn check_role(trust: &Trust, statement: &Statement) -> Result<(), String> {
    let key = role_key(trust, statement).ok_or_else(|| unknown_key(statement))?;
    statement.check_signature(key).map_err(|error| error.to_string())?;
    check_audience(trust, statement)
}

fn check_audience(trust: &Trust, statement: &Statement) -> Result<(), String> {
    if statement.audience() == Some(trust.origin()) {
        Ok(())
    } else {
        Err("meant for another log".to_owned())
    }
}

fn unknown_key(statement: &Statement) -> String {
    let kind = statement.kind().map_or("unknown", Kind::as_str);
    format!("signed by a key that may not sign kind {kind} as `{}`", statement.issuer())
}

/// The key of one of our roles that may sign this statement.
fn role_key<'a>(
    trust: &'a Trust,
    statement: &Statement,
) -> Option<&'a treering_provenance::cose::VerifyingKey> {
    trust.issuer_key(statement.issuer(), statement.kind()?, statement.kid()?)
}

/// Verifies a checkpoint: the log's signature, and the witnesses' quorum where the trust file asks for one.
fn checkpoint(note: &[u8], trust: &Trust) -> Result<(Checkpoint, Vec<(String, u64)>), TraceError> {
    let bad = |reason: String| TraceError::Checkpoint(reason);
    let note = Note::parse(note).map_err(|error| bad(error.to_string()))?;
    if let Some(policy) = trust.policy() {
        let witnessed = policy.verify(&note).map_err(|error| bad(error.to_string()))?;
        return Ok((witnessed.checkpoint().clone(), witnessed.cosigners().to_vec()));
    }
    note.verify(std::slice::from_ref(trust.log_key())).map_err(|error| bad(error.to_string()))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| bad(error.to_string()))?;
    if checkpoint.origin() != trust.origin() {
        return Err(bad(format!("origin is `{}`, want `{}`", checkpoint.origin(), trust.origin())));
    }
    Ok((checkpoint, Vec::new()))
}

/// An entry that holds something else than what leads to it says.
pub(super) fn unexpected(index: u64, content: &AnyContent) -> TraceError {
    TraceError::Entry { index, reason: format!("holds content of kind {}", content.kind()) }
}
