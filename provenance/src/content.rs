//! Typed contents: what the payload of each kind of statement says.
//!
//! In scope: one struct per content, its CBOR form (a deterministic map with text keys and `v: 1`; the law is
//! `schemas/statements.cddl`), and the tie between kind, type and media type ([`Content`], [`AnyContent`]).
//! Out of scope: what contents mean (their readers decide), and kinds that have no content yet: their statements are
//! valid, and their contents are opaque here.

mod decision;
mod governance;
mod provenance;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};

pub use decision::{
    Abandoned, Appraisal, Binding, EvidenceItem, Grant, Issuance, Mapping, Refusal, VerifierId,
};
pub use governance::{
    Activation, Approval, HardwareRoot, IssuerAnchor, Policy, PolicyType, RegisteredIssuer,
    RegistrationPolicy, Role, TrustAnchors,
};
pub use provenance::{
    Collateral, CollateralItem, ProvenanceType, ReferenceValue, ReferenceValues, WorkloadProvenance,
};

use crate::{
    statement::Kind,
    strict::{self, StrictError},
};

/// The longest content: the largest SBOMs seen have a few MiB.
pub const MAX_CONTENT_BYTES: usize = 16 << 20;
/// The media type of the one policy that is public.
pub const REGISTRATION_POLICY_TYPE: &str = "application/vnd.treering.registration-policy+cbor";

/// Why a content was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not deterministic CBOR, or not the fields of the type.
    #[error(transparent)]
    Strict(#[from] StrictError),
    /// The media type is not the one of the type.
    #[error("media type is `{got}`, want `{want}`")]
    MediaType {
        /// As named.
        got: String,
        /// As the type wants.
        want: &'static str,
    },
    /// The content contradicts itself.
    #[error("{0}")]
    Invalid(String),
}

/// A content with its kind and media type.
pub trait Content: DeserializeOwned + Serialize {
    /// The kind of statement that carries it.
    const KIND: Kind;
    /// Its media type.
    const MEDIA_TYPE: &'static str;

    /// Checks what the field types cannot say.
    fn check(&self) -> Result<(), ContentError> {
        Ok(())
    }

    /// The deterministic encoding.
    fn to_cbor(&self) -> Result<Vec<u8>, ContentError> {
        self.check()?;
        let bytes = strict::to_vec(self)?;
        if bytes.len() > MAX_CONTENT_BYTES {
            return Err(StrictError::TooLong { got: bytes.len(), max: MAX_CONTENT_BYTES }.into());
        }
        Ok(bytes)
    }

    /// Decodes; only what [`Content::to_cbor`] writes is accepted.
    fn from_cbor(bytes: &[u8]) -> Result<Self, ContentError> {
        let content: Self = strict::from_slice(bytes, MAX_CONTENT_BYTES)?;
        content.check()?;
        Ok(content)
    }
}

macro_rules! contents {
    ($($variant:ident: $kind:ident, $media_type:expr;)*) => {
        $(impl Content for $variant {
            const KIND: Kind = Kind::$kind;
            const MEDIA_TYPE: &'static str = $media_type;

            fn check(&self) -> Result<(), ContentError> {
                self.validate()
            }
        })*

        /// Any content that has a type here.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum AnyContent {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant),)*
        }

        impl AnyContent {
            /// Decodes a content of this media type; `None` if no type here has it.
            pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Option<Self>, ContentError> {
                match media_type {
                    $(<$variant as Content>::MEDIA_TYPE => $variant::from_cbor(bytes).map(Self::$variant).map(Some),)*
                    _ => Ok(None),
                }
            }

            /// The kind of statement that carries it.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$kind,)*
                }
            }

            /// Every media type that has a type here, with its kind.
            pub const TYPES: &'static [(&'static str, Kind)] = &[$(($media_type, Kind::$kind),)*];
        }
    };
}

contents! {
    Abandoned: Abandoned, "application/vnd.treering.abandoned+cbor";
    Activation: Activation, "application/vnd.treering.activation+cbor";
    Appraisal: Appraisal, "application/vnd.treering.appraisal+cbor";
    Approval: Approval, "application/vnd.treering.approval+cbor";
    Collateral: Collateral, "application/vnd.treering.collateral+cbor";
    Grant: Grant, "application/vnd.treering.grant+cbor";
    Issuance: Issuance, "application/vnd.treering.issuance+cbor";
    Mapping: Mapping, "application/vnd.treering.mapping+cbor";
    Policy: Policy, "application/vnd.treering.policy+cbor";
    ReferenceValues: ReferenceValues, "application/vnd.treering.reference-values+cbor";
    Refusal: Refusal, "application/vnd.treering.refusal+cbor";
    RegistrationPolicy: Policy, REGISTRATION_POLICY_TYPE;
    TrustAnchors: TrustAnchor, "application/vnd.treering.trust-anchor+cbor";
    WorkloadProvenance: WorkloadProvenance, "application/vnd.treering.workload-provenance+cbor";
}

/// The format version of a content: always 1, and nothing else decodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(D::Error::custom(format_args!("content version is {other}, want 1"))),
        }
    }
}

/// A claim's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Claim {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
}

/// Business claims by name.
pub type Claims = BTreeMap<String, Claim>;

impl From<&str> for Claim {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The encoding of claims, as the claims extension of a certificate holds it.
pub fn claims_to_cbor(claims: &Claims) -> Result<Vec<u8>, StrictError> {
    strict::to_vec(claims)
}

/// Decodes what [`claims_to_cbor`] writes.
pub fn claims_from_cbor(bytes: &[u8], max_bytes: usize) -> Result<Claims, StrictError> {
    strict::from_slice(bytes, max_bytes)
}

fn want(holds: bool, problem: impl FnOnce() -> String) -> Result<(), ContentError> {
    if holds { Ok(()) } else { Err(ContentError::Invalid(problem())) }
}

fn period(from: u64, to: u64) -> Result<(), ContentError> {
    want(from <= to, || format!("period ends at {to}, before it begins at {from}"))
}
