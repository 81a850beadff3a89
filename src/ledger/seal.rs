//! Signs tree heads: the C2SP checkpoint, and what all receipts of that checkpoint share (RFC 9942), each with a key
//! of its own.

use treering_log::{Seal, SealError, Sealer};
use treering_provenance::cose::{Signer, VerifyingKey};
use treering_provenance::receipt::{self, TreeHead};
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::Hash;
use treering_tlog::note::{Note, NoteSigner, VerifierKey};

use crate::ident::TrustDomain;
use crate::keys::{KeyError, KeyStore, Role};

/// The signer of tree heads.
pub struct HeadSealer {
    origin: String,
    /// The `iss` of receipts.
    issuer: String,
    note: NoteSigner,
    receipt: Box<dyn Signer>,
}

impl HeadSealer {
    /// The sealer with the log's and the receipts' keys.
    pub fn load(keys: &KeyStore, origin: &str, trust_domain: &TrustDomain) -> Result<Self, KeyError> {
        let note = NoteSigner::from_seed(origin, &keys.role(Role::Log)?.to_bytes()).map_err(|_| {
            KeyError::Format { path: "origin".into(), wanted: "name that a signed note allows" }
        })?;
        let receipt = keys.receipt_signer()?;
        Ok(Self {
            origin: origin.to_owned(),
            issuer: trust_domain.role_uri(Role::Receipt.name()),
            note,
            receipt,
        })
    }

    /// The key that verifies receipts.
    pub fn receipt_key(&self) -> &VerifyingKey {
        self.receipt.key()
    }
}

impl Sealer for HeadSealer {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn log_key(&self) -> VerifierKey {
        self.note.verifier().clone()
    }

    fn seal(&self, size: u64, root: &Hash, now_unix: u64) -> Result<Seal, SealError> {
        let failed = |error: &dyn std::fmt::Display| SealError(error.to_string());
        let checkpoint = Checkpoint::new(&self.origin, size, *root).map_err(|error| failed(&error))?;
        let body = checkpoint.body();
        let signature = self.note.sign(&body).map_err(|error| failed(&error))?;
        let note = Note::new(body, vec![signature]).map_err(|error| failed(&error))?;
        let head = TreeHead { origin: &self.origin, size, root: *root };
        let receipt =
            receipt::seal(&*self.receipt, &self.issuer, &head, now_unix).map_err(|error| failed(&error))?;
        Ok(Seal { note: note.to_bytes(), receipt })
    }
}
