//! Where an auditor's subcommand reads a log from: a folder, or the service.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::audit::LocalSource;
use crate::client::{Client, RemoteSource};

use super::{connect, files};

/// Where a log is read from
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// The folder of a stopped log
    #[arg(long, value_name = "DIR", conflicts_with = "url", required_unless_present = "url")]
    data: Option<PathBuf>,
    /// The service, instead of a folder
    #[arg(long, value_name = "URL", requires = "tls_ca")]
    url: Option<String>,
    /// The CA of the service's TLS certificate, PEM
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The auditor's client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// A log that is open for reading.
pub(super) enum Opened {
    Local(LocalSource),
    Remote(Box<RemoteSource>),
}

impl From {
    pub(super) fn open(&self) -> Result<Opened> {
        match (&self.data, &self.url, &self.tls_ca) {
            (Some(data), _, _) => {
                let source = LocalSource::open(data);
                Ok(Opened::Local(source.with_context(|| format!("open the log in {}", data.display()))?))
            }
            (None, Some(url), Some(tls_ca)) => {
                let identity = match (&self.client_cert, &self.client_key) {
                    (Some(certificate), Some(key)) => Some(connect::identity(certificate, key)?),
                    _ => None,
                };
                let client = Client::new(url, &files::read(tls_ca)?, identity.as_ref())?;
                Ok(Opened::Remote(Box::new(RemoteSource(client))))
            }
            _ => bail!("name the log's folder (--data) or the service (--url and --tls-ca)"),
        }
    }
}
