//! The section `[http]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::Limits;

/// The network side.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's certificate chain, PEM.
    pub tls_certificate: PathBuf,
    /// The server's private key, PEM.
    pub tls_key: PathBuf,
    /// The CA that signs client certificates, PEM. Workloads need none.
    pub client_ca: PathBuf,
    /// Connections at a time.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 /64 at a time; 0 is no limit, as a load balancer that hides its
    /// clients' addresses needs it.
    #[serde(default)]
    pub max_connections_per_network: usize,
    /// How long one request may take.
    #[serde(default = "default_request_timeout_s")]
    pub request_timeout_s: u64,
    /// How long a client may take nothing of what it is sent before its connection is closed.
    #[serde(default = "default_write_timeout_s")]
    pub write_timeout_s: u64,
    /// Registrations of one network that may be refused each second in the long run, ten times as many after a pause;
    /// more are answered with 429. 0 is no limit. Registrations that are taken do not count.
    #[serde(default = "default_refused_registrations_per_second")]
    pub refused_registrations_per_second: u32,
}

impl Http {
    /// What clients may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            connections_per_network: self.max_connections_per_network,
            write_timeout: Duration::from_secs(self.write_timeout_s),
        }
    }

    /// With the usual limits.
    pub fn new(listen: SocketAddr, [tls_certificate, tls_key, client_ca]: [PathBuf; 3]) -> Self {
        Self {
            listen,
            tls_certificate,
            tls_key,
            client_ca,
            max_connections: default_max_connections(),
            max_connections_per_network: 0,
            request_timeout_s: default_request_timeout_s(),
            write_timeout_s: default_write_timeout_s(),
            refused_registrations_per_second: default_refused_registrations_per_second(),
        }
    }
}

const fn default_max_connections() -> usize {
    1024
}

const fn default_request_timeout_s() -> u64 {
    30
}

const fn default_write_timeout_s() -> u64 {
    30
}

/// A refusal takes one verification at most: far more than a client with a mistake in it needs, and little work.
const fn default_refused_registrations_per_second() -> u32 {
    100
}
