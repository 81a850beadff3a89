//! Names: trust domains, workload identifiers and the URIs of the roles.
//!
//! In scope: strict parsing (draft-ietf-wimse-identifier, SPIFFE-ID section 2): a name that is not canonical is
//! refused, never normalised, so that lookup, revocation and audit compare bytes.
//! Out of scope: what a name may do (`mapper`, `governance`).

use std::fmt;

/// The longest workload identifier, in octets (WIMSE identifier, section 3: implementations support 2,048).
pub const MAX_IDENTIFIER_BYTES: usize = 2048;
/// The longest trust domain name, in octets (SPIFFE-ID section 2.1).
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The scheme is neither `spiffe` nor `wimse`.
    #[error("a workload identifier starts with spiffe:// or wimse://, got `{0}`")]
    Scheme(String),
    /// A trust domain has other characters than `a-z 0-9 . - _`, or is empty or too long.
    #[error("a trust domain is 1 to {MAX_TRUST_DOMAIN_BYTES} of a-z, 0-9, '.', '-' and '_', got `{0}`")]
    TrustDomain(String),
    /// A path segment is empty, `.` or `..`, or has a character outside `a-z A-Z 0-9 . - _`.
    #[error(
        "a path segment is one or more of a-z, A-Z, 0-9, '.', '-' and '_', and not '.' or '..', got `{0}`"
    )]
    Segment(String),
    /// There is no path: that would name the trust domain itself.
    #[error("a workload identifier needs a path, got `{0}`")]
    NoPath(String),
    /// Longer than [`MAX_IDENTIFIER_BYTES`].
    #[error("a workload identifier has at most {MAX_IDENTIFIER_BYTES} octets, got {0}")]
    TooLong(usize),
}

/// A trust domain, such as `prod.bank.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Parses a trust domain name.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if name.is_empty() || name.len() > MAX_TRUST_DOMAIN_BYTES || !name.bytes().all(allowed) {
            return Err(NameError::TrustDomain(name.chars().take(80).collect()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI under which a role of this trust domain signs statements.
    pub fn role_uri(&self, role: &str) -> String {
        format!("spiffe://{}/treering/{role}", self.0)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workload identifier: a stable URI around which relying parties write their policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadIdentifier {
    uri: String,
    domain: TrustDomain,
}

impl WorkloadIdentifier {
    /// Parses a `spiffe://` or `wimse://` URI; what is not canonical is refused.
    pub fn parse(uri: &str) -> Result<Self, NameError> {
        if uri.len() > MAX_IDENTIFIER_BYTES {
            return Err(NameError::TooLong(uri.len()));
        }
        let rest = uri
            .strip_prefix("spiffe://")
            .or_else(|| uri.strip_prefix("wimse://"))
            .ok_or_else(|| NameError::Scheme(uri.chars().take(80).collect()))?;
        let (domain, path) = rest.split_once('/').ok_or_else(|| NameError::NoPath(uri.to_owned()))?;
        let domain = TrustDomain::parse(domain)?;
        for segment in path.split('/') {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(allowed) {
                return Err(NameError::Segment(segment.chars().take(80).collect()));
            }
        }
        Ok(Self { uri: uri.to_owned(), domain })
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The trust domain in it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }
}

impl fmt::Display for WorkloadIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_canonical_names() {
        for uri in ["spiffe://bank.example/payments/api", "wimse://a/b", "spiffe://a_b-c.d/X.Y_z-1"] {
            let id = WorkloadIdentifier::parse(uri).unwrap();
            assert_eq!(id.as_str(), uri);
        }
    }

    /// The families of counter-examples of specs/wimse: canonicalisation, hierarchy, origin.
    #[test]
    fn refuses_what_would_need_normalising() {
        for uri in [
            "",
            "spiffe://",
            "spiffe:///x",
            "spiffe://bank.example",
            "spiffe://bank.example/",
            "spiffe://Bank.example/x",
            "SPIFFE://bank.example/x",
            "https://bank.example/x",
            "spiffe://bank.example:443/x",
            "spiffe://u@bank.example/x",
            "spiffe://bank.example/x/",
            "spiffe://bank.example//x",
            "spiffe://bank.example/./x",
            "spiffe://bank.example/a/../x",
            "spiffe://bank.example/%78",
            "spiffe://bank.example/x?y",
            "spiffe://bank.example/x#y",
            "spiffe://bank.example/x y",
            "spiffe://bänk.example/x",
        ] {
            assert!(WorkloadIdentifier::parse(uri).is_err(), "{uri}");
        }
        let long = format!("spiffe://a/{}", "x".repeat(MAX_IDENTIFIER_BYTES));
        assert!(matches!(WorkloadIdentifier::parse(&long), Err(NameError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn what_parses_is_itself(uri in "\\PC{0,80}") {
            if let Ok(id) = WorkloadIdentifier::parse(&uri) {
                prop_assert_eq!(id.as_str(), uri);
            }
        }
    }
}
