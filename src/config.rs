//! The configuration file: TOML, unknown keys refused, units in the names, secrets by path and never by value.
//!
//! Paths are relative to the folder of the file. `docs/samples/treering.toml` is parsed by a test.

mod collateral;
mod issuers;
mod network;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use treering_provenance::content::{Content as _, RegistrationPolicy, V1};
use treering_provenance::cose::Algorithm;
use treering_provenance::statement::MAX_STATEMENT_BYTES;
use treering_provenance::trust::Release;

use crate::http::ClientRole;

pub use collateral::CollateralSettings;
pub use issuers::{Anchor, Issuer};
pub use network::Http;

/// The largest configuration file read.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not the TOML that is wanted.
    #[error("{path}: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// Well-formed, and yet not allowed.
    #[error("{0}")]
    Rule(String),
}

/// The whole configuration of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The trust domain whose workloads get credentials, such as `prod.bank.example`.
    pub trust_domain: String,
    /// The log's origin (C2SP tlog-checkpoint): its name for ever, such as `log.bank.example/2026`.
    pub origin: String,
    /// The name of this service in the binding value (TACRA's relying-party id); attesters are configured with it.
    pub rp_id: String,
    /// The folder of the log.
    pub data_dir: PathBuf,
    /// The folder of the private keys.
    pub keys_dir: PathBuf,
    /// The network side.
    pub http: Http,
    /// The log and its witnesses.
    #[serde(default)]
    pub log: LogSettings,
    /// What is issued.
    pub credentials: Credentials,
    /// Hardware roots beside those of the vendors.
    #[serde(default)]
    pub hardware: Hardware,
    /// What vendors publish, kept here.
    #[serde(default)]
    pub collateral: CollateralSettings,
    /// Approval of policies.
    pub governance: Governance,
    /// Where the witnesses of the witness policy are reached.
    #[serde(default, rename = "witness")]
    pub witnesses: Vec<Witness>,
    /// Who may do what over the API, by client certificate.
    #[serde(default, rename = "client")]
    pub clients: Vec<Client>,
    /// Third parties whose statements are registered. They go into the registration policy at index 0 when the log
    /// is created; later changes to this list need a new registration policy.
    #[serde(default, rename = "issuer")]
    pub issuers: Vec<Issuer>,
}

/// The log and its witnesses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// When a credential may leave; without it `witnessed` if there is a witness policy, else `committed`.
    pub release: Option<Release>,
    /// A C2SP tlog-policy file that names the witnesses' keys and the quorum.
    pub witness_policy: Option<PathBuf>,
    /// How long a release waits for the quorum before it is refused.
    #[serde(default = "default_witness_timeout_s")]
    pub witness_timeout_s: u64,
    /// Entries that may wait for the sequencer; more are answered with 503.
    #[serde(default = "default_pool_entries")]
    pub pool_entries: usize,
}

impl LogSettings {
    /// When a credential may leave.
    pub fn release(&self) -> Release {
        let by_witnesses =
            if self.witness_policy.is_some() { Release::Witnessed } else { Release::Committed };
        self.release.unwrap_or(by_witnesses)
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            release: None,
            witness_policy: None,
            witness_timeout_s: default_witness_timeout_s(),
            pool_entries: default_pool_entries(),
        }
    }
}

/// What is issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The CA certificate, PEM.
    pub ca_certificate: PathBuf,
    /// Its private key (P-256, PKCS#8 in PEM).
    pub ca_key: PathBuf,
    /// No credential lives longer than this, whatever a mapping manifest says.
    pub max_ttl_s: u64,
    /// Octets of evidence that costs nothing to present (forged, unreadable, or made for somebody else) that are logged
    /// with their refusals in a minute; more is answered with 429. Genuine evidence made for this service is not under
    /// this budget.
    #[serde(default = "default_max_refused_bytes_per_minute")]
    pub max_refused_bytes_per_minute: u64,
    /// Embed the inclusion paths of the appraisal and the mapping too, so that a relying party proves offline that
    /// all three statements are in the log; about 100 octets more.
    #[serde(default = "default_true")]
    pub embed_parents: bool,
}

/// Hardware roots beside those of the vendors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The root certificates of simulated platforms, and the public keys of those that have none (Arm CCA), PEM. For
    /// trials: it makes a trust domain whose name starts with `simulated.` mandatory, and every credential that rests
    /// on it says so.
    pub simulated_root: Option<PathBuf>,
}

/// Approval of policies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Governance {
    /// How many approvers must sign before a policy can be activated.
    pub threshold: u64,
    /// The `iss` of the approvers; each must be an issuer too.
    pub approvers: Vec<String>,
}

/// Where a witness is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its name in the witness policy.
    pub name: String,
    /// Its submission prefix.
    pub url: String,
}

/// A client and what it may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// A name for logs.
    pub name: String,
    /// Its certificate, PEM: exactly this certificate is the client.
    pub certificate: PathBuf,
    /// What it may do.
    pub roles: Vec<ClientRole>,
}

impl Config {
    /// Reads and checks a configuration file; its paths become relative to the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let io_error = |source| ConfigError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io_error)?.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::Rule(format!(
                "{}: larger than {MAX_CONFIG_BYTES} octets",
                path.display()
            )));
        }
        let text = fs::read_to_string(path).map_err(io_error)?;
        let mut config =
            Self::parse(&text).map_err(|message| ConfigError::Syntax { path: path.to_owned(), message })?;
        config.rebase(path.parent().unwrap_or(Path::new(".")));
        config.check()?;
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The registration policy that a new log begins with.
    pub fn registration_policy(&self) -> Result<RegistrationPolicy, ConfigError> {
        let issuers: Result<Vec<_>, _> = self.issuers.iter().map(Issuer::registered).collect();
        let issuers = issuers?;
        let mut algs = vec![Algorithm::EdDsa.id(), Algorithm::Es256.id()];
        if issuers.iter().any(issuers::may_sign_es384) {
            algs.push(Algorithm::Es384.id());
        }
        let policy = RegistrationPolicy {
            v: V1,
            origin: self.origin.clone(),
            issuers,
            algs,
            max_statement_bytes: u64::try_from(MAX_STATEMENT_BYTES).unwrap_or(u64::MAX),
            approvals_threshold: self.governance.threshold,
            approvers: self.governance.approvers.clone(),
        };
        policy.check().map_err(|error| ConfigError::Rule(error.to_string()))?;
        Ok(policy)
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|error| ConfigError::Rule(error.to_string()))
    }

    fn rebase(&mut self, base: &Path) {
        let mut paths = vec![
            &mut self.data_dir,
            &mut self.keys_dir,
            &mut self.http.tls_certificate,
            &mut self.http.tls_key,
            &mut self.http.client_ca,
            &mut self.credentials.ca_certificate,
            &mut self.credentials.ca_key,
        ];
        paths.extend(self.log.witness_policy.as_mut());
        paths.extend(self.hardware.simulated_root.as_mut());
        paths.extend(self.collateral.dir.as_mut());
        paths.push(&mut self.collateral.tls_ca);
        paths.extend(self.clients.iter_mut().map(|client| &mut client.certificate));
        for path in paths {
            *path = base.join(&*path);
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let rule = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(ConfigError::Rule(message.to_owned())) }
        };
        rule(
            self.hardware.simulated_root.is_none() || self.trust_domain.starts_with("simulated."),
            "hardware.simulated_root is set: the trust domain must start with `simulated.`, so that no relying party \
             takes its credentials for real ones",
        )?;
        rule(
            !self.collateral.fetch || self.collateral.dir.is_some(),
            "collateral.fetch is set and there is no collateral.dir: name the folder where it is kept",
        )?;
        rule(
            self.log.release() == Release::Committed || self.log.witness_policy.is_some(),
            "log.release is `witnessed` and there is no log.witness_policy: name one, or release at `committed`",
        )?;
        rule(
            self.witnesses.is_empty() || self.log.witness_policy.is_some(),
            "there is a [[witness]] and no log.witness_policy: name the policy, or leave the witness out",
        )?;
        rule(
            self.log.witness_timeout_s < self.http.request_timeout_s,
            "log.witness_timeout_s must be less than http.request_timeout_s: else a request ends before its quorum",
        )?;
        rule(
            self.http.request_timeout_s < 300,
            "http.request_timeout_s must be less than 300: a connection on which no request begins for so long is closed",
        )?;
        rule(self.http.write_timeout_s >= 1, "http.write_timeout_s must be at least 1")?;
        rule(self.governance.threshold >= 1, "governance.threshold must be at least 1")?;
        rule(
            usize::try_from(self.governance.threshold).is_ok_and(|k| k <= self.governance.approvers.len()),
            "governance.threshold is larger than the number of approvers",
        )?;
        rule(
            self.governance
                .approvers
                .iter()
                .all(|name| self.issuers.iter().any(|issuer| &issuer.iss == name)),
            "every approver must be an [[issuer]] too: its key is there",
        )?;
        rule(self.credentials.max_ttl_s >= 60, "credentials.max_ttl_s must be at least 60")?;
        self.registration_policy().map(drop)
    }
}

const fn default_witness_timeout_s() -> u64 {
    10
}

const fn default_pool_entries() -> usize {
    16_384
}

const fn default_max_refused_bytes_per_minute() -> u64 {
    1024 * 1024
}

const fn default_true() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../docs/samples/treering.toml");

    #[test]
    fn the_sample_is_a_configuration() {
        let config = Config::parse(SAMPLE).unwrap();
        config.check().unwrap();
        let again = Config::parse(&config.to_toml().unwrap()).unwrap();
        assert_eq!(again.origin, config.origin);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = Config::parse(&format!("colour = \"red\"\n{SAMPLE}")).unwrap_err();
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn rules_are_checked() {
        let sample = || Config::parse(SAMPLE).unwrap();
        let mut config = sample();
        config.hardware.simulated_root = Some("ark.pem".into());
        assert!(config.check().unwrap_err().to_string().contains("simulated."));
        let mut config = sample();
        config.log.witness_policy = None;
        assert!(config.check().unwrap_err().to_string().contains("witness_policy"));
        let mut config = sample();
        config.http.request_timeout_s = 300;
        assert!(config.check().unwrap_err().to_string().contains("less than 300"));
        let mut config = sample();
        config.governance.threshold = 0;
        assert!(config.check().is_err());
        config.governance.threshold = 99;
        assert!(config.check().is_err());
        let mut config = sample();
        config.governance.approvers.push("https://nobody.example".into());
        assert!(config.check().is_err());
    }
    #[test]
    fn an_issuer_has_a_key_or_an_anchor() {
        let mut config = Config::parse(SAMPLE).unwrap();
        // As logs that were made before there were anchors have it.
        assert_eq!(config.registration_policy().unwrap().algs, [-8, -7]);
        let ci = config.issuers.iter_mut().find(|issuer| issuer.kinds != ["approval"]).unwrap();
        ci.key = None;
        let refused = |config: &Config| config.check().unwrap_err().to_string();
        assert!(refused(&config).contains("want a key, or an [[issuer.anchor]]"));
        let ci = config.issuers.iter_mut().find(|issuer| issuer.key.is_none()).unwrap();
        ci.anchors = vec![Anchor { certificate: "no PEM".to_owned(), name: None }];
        assert!(refused(&config).contains("is not one in PEM"));

        let (mut params, key) = (rcgen::CertificateParams::default(), rcgen::KeyPair::generate().unwrap());
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        let ci = config.issuers.iter_mut().find(|issuer| issuer.key.is_none()).unwrap();
        (ci.anchors, ci.high_s) = (vec![Anchor { certificate, name: None }], true);
        let policy = config.registration_policy().unwrap();
        let ci = policy.issuers.iter().find(|issuer| issuer.high_s).unwrap();
        assert_eq!((&ci.anchors[0].name, &policy.algs), (&ci.iss, &vec![-8, -7, -35]));
        let again = Config::parse(&config.to_toml().unwrap()).unwrap();
        assert_eq!(again.registration_policy().unwrap(), policy);
    }
}
