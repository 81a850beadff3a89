//! The section `[collateral]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::collateral::Vendors;

/// Collateral: what vendors publish, kept here, and whether they may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollateralSettings {
    /// The folder of the store; `treering collateral import` fills it. Without it there is none, and evidence brings
    /// its own collateral.
    pub dir: Option<PathBuf>,
    /// Whether vendors are asked for what is not in the store, or older than `refresh_s`.
    pub fetch: bool,
    /// Seconds after which a vendor is asked whether it has something newer.
    pub refresh_s: u64,
    /// Requests to one host of a vendor in a minute, at most.
    pub requests_per_minute: u32,
    /// The certificates that vendors' TLS rests on, PEM.
    pub tls_ca: PathBuf,
    /// Whether `http://` addresses are asked too: mirrors inside a machine room.
    pub allow_http: bool,
    /// The addresses of the vendors' services, or of mirrors of them.
    pub vendors: Vendors,
}

impl Default for CollateralSettings {
    fn default() -> Self {
        Self {
            dir: None,
            fetch: false,
            refresh_s: 86_400,
            requests_per_minute: 30,
            tls_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
            allow_http: false,
            vendors: Vendors::default(),
        }
    }
}
