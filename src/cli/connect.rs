//! How a subcommand reaches a service.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::client::{Client, Identity};
use crate::keys;

use super::files;

/// Where the service is, and who calls
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Connect {
    /// The service, such as https://identity.bank.example
    #[arg(long, value_name = "URL")]
    pub(super) url: String,
    /// The CA of the service's TLS certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: PathBuf,
    /// Your client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(super) client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(super) client_key: Option<PathBuf>,
}

impl Connect {
    pub(super) fn client(&self) -> Result<Client> {
        let identity = match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            _ => None,
        };
        Ok(Client::new(&self.url, &files::read(&self.tls_ca)?, identity.as_ref())?)
    }
}

/// A client certificate and its key.
pub(super) fn identity(certificate: &Path, key: &Path) -> Result<Identity> {
    Ok(Identity { certificate: files::read(certificate)?, key: keys::read_secret(key)? })
}
