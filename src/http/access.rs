//! Who calls: client certificates, and the roles that the configuration gives them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Service;
use super::peers::Network;
use super::problem::Problem;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientRole {
    /// Reads sealed content and the keys that were granted.
    Auditor,
    /// Activates policies, makes grants.
    Operator,
    /// Registers confidential statements: content keys and content upload.
    Registrant,
}

/// The other end of a connection: where it calls from, and the SHA-256 of its certificate, if it showed one that our
/// client CA signed.
#[derive(Debug, Clone)]
pub struct Peer {
    network: Network,
    certificate: Option<[u8; 32]>,
}

impl Peer {
    /// The peer in this network with these certificates.
    pub fn of(network: Network, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let certificate = certificates.and_then(<[_]>::first).map(|leaf| Sha256::digest(leaf).into());
        Self { network, certificate }
    }

    /// Where it calls from.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The SHA-256 of its certificate.
    pub fn certificate(&self) -> Option<[u8; 32]> {
        self.certificate
    }
}

/// A client that the configuration knows.
#[derive(Debug, Clone)]
pub struct KnownClient {
    /// Its name, for logs.
    pub name: String,
    /// The SHA-256 of its certificate.
    pub certificate: [u8; 32],
    /// What it may do.
    pub roles: Vec<ClientRole>,
}

/// A caller with one of the roles that a route asks for.
#[derive(Debug, Clone)]
pub(super) struct Authorised {
    /// The client's name.
    pub(super) name: String,
}

/// Finds the caller among the known clients.
fn authorise(parts: &Parts, service: &Service, role: ClientRole) -> Result<Authorised, Problem> {
    let peer = parts.extensions.get::<Peer>().and_then(Peer::certificate);
    let Some(certificate) = peer else {
        return Err(Problem::unauthenticated());
    };
    service
        .clients
        .iter()
        .find(|client| client.certificate == certificate && client.roles.contains(&role))
        .map(|client| Authorised { name: client.name.clone() })
        .ok_or_else(|| Problem::forbidden(role))
}

macro_rules! role_extractor {
    ($(#[$doc:meta])* $name:ident, $role:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(super) struct $name(pub(super) Authorised);

        impl FromRequestParts<Service> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
                authorise(parts, service, $role).map(Self)
            }
        }
    };
}

role_extractor!(
    /// A caller that may read content.
    Auditor,
    ClientRole::Auditor
);
role_extractor!(
    /// A caller that may activate policies and make grants.
    Operator,
    ClientRole::Operator
);
role_extractor!(
    /// A caller that may register confidential statements.
    Registrant,
    ClientRole::Registrant
);
