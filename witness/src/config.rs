//! The configuration file: TOML, unknown keys refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use treering_tlog::note::{KeyError, KeyType, VerifierKey};

use crate::rate::Rate;

/// The configuration of `treering-witness serve`; `docs/samples/witness.toml` is one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the witness: that of its key. Written twice so that a wrong key file is noticed.
    pub name: String,
    /// The private key, as `treering-witness init` writes it. Relative to the configuration file.
    pub key_file: PathBuf,
    /// An ML-DSA-44 key to cosign with as well, as `treering-witness init --ml-dsa` writes it. Relative to the configuration
    /// file.
    pub mldsa_key_file: Option<PathBuf>,
    /// Where to listen. Plain HTTP: loopback, or behind a proxy that speaks TLS. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// The state directory that `treering-witness init` made. Relative to the configuration file.
    pub state_dir: PathBuf,
    /// The logs to watch.
    #[serde(rename = "log", default)]
    pub logs: Vec<LogConfig>,
    /// Bounds on what clients may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Where proofs that a log has forked are kept. Relative to the configuration file.
    #[serde(default = "evidence_dir")]
    pub evidence_dir: PathBuf,
    /// Certificate authorities to believe for `https`, in PEM. Relative to the configuration file.
    pub ca_file: Option<PathBuf>,
    /// Other witnesses, for `compare`.
    #[serde(rename = "peer", default)]
    pub peers: Vec<PeerConfig>,
    /// For `mirror`.
    #[serde(default)]
    pub mirror: MirrorConfig,
}

fn evidence_dir() -> PathBuf {
    PathBuf::from("evidence")
}

/// Another witness.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its cosignature key.
    pub vkey: String,
    /// Its monitoring prefix: `/<hex SHA-256(origin)>/checkpoint` is below it.
    pub url: String,
}

/// The configuration of `treering-witness mirror`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorConfig {
    /// Where it remembers how far it has come. Relative to the configuration file.
    pub dir: PathBuf,
    /// Seconds between two looks at a log.
    pub every_s: u64,
    /// Seconds that one call may take; for `compare`, too.
    pub timeout_s: u64,
    /// Where to serve its metrics, if anywhere.
    pub listen: Option<SocketAddr>,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("mirror"), every_s: 10, timeout_s: 30, listen: None }
    }
}

/// One key of one log. Two with the same origin are two keys of one log, for its key rotation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The log's Ed25519 note key (type 0x01).
    pub vkey: String,
    /// The log's origin line, if it is not the name of its key.
    pub origin: Option<String>,
    /// Where its tiles are, for `mirror` and `compare`; a witness that serves does not ask for them.
    pub url: Option<String>,
}

/// Bounds on what clients may ask for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests that are read or worked on at once; one more is answered 503. Each holds at most one request body
    /// (about 131 kB).
    pub concurrent_requests_max: usize,
    /// Seconds that a client may take to send its request body.
    pub body_timeout_s: u64,
    /// Seconds that open requests have to finish after a stop signal.
    pub shutdown_timeout_s: u64,
    /// Requests a second that one log may have answered in the long run; one more is answered 429. Requests that the log
    /// has not signed do not count.
    pub log_per_second: u32,
    /// Requests that one log may have answered at once after a pause.
    pub log_burst: u32,
}

impl Limits {
    /// How often one log may ask.
    pub const fn rate(&self) -> Rate {
        Rate { per_second: self.log_per_second, burst: self.log_burst }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests_max: 512,
            body_timeout_s: 10,
            shutdown_timeout_s: 10,
            log_per_second: 500,
            log_burst: 1000,
        }
    }
}

impl Config {
    /// Parses a configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        if !(1..=MAX_CONCURRENT).contains(&config.limits.concurrent_requests_max) {
            return Err(ConfigError::Concurrency { actual: config.limits.concurrent_requests_max });
        }
        if config.limits.log_per_second == 0 || config.limits.log_burst == 0 {
            return Err(ConfigError::Rate);
        }
        if config.mirror.every_s == 0 || config.mirror.timeout_s == 0 {
            return Err(ConfigError::Mirror);
        }
        config.logs()?;
        config.peers()?;
        Ok(config)
    }

    /// Reads a configuration file; its relative paths are taken from the folder it is in.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.key_file = folder.join(&config.key_file);
        config.mldsa_key_file = config.mldsa_key_file.map(|file| folder.join(file));
        config.state_dir = folder.join(&config.state_dir);
        config.evidence_dir = folder.join(&config.evidence_dir);
        config.mirror.dir = folder.join(&config.mirror.dir);
        config.ca_file = config.ca_file.map(|file| folder.join(file));
        Ok(config)
    }

    /// The keys to trust, by origin.
    pub fn logs(&self) -> Result<BTreeMap<String, Vec<VerifierKey>>, ConfigError> {
        let mut logs: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for log in &self.logs {
            let key = VerifierKey::parse(&log.vkey)
                .map_err(|source| ConfigError::Vkey { vkey: log.vkey.clone(), source })?;
            if key.kind() != KeyType::Ed25519 {
                let source = KeyError::WrongType { actual: key.kind(), wanted: KeyType::Ed25519 };
                return Err(ConfigError::Vkey { vkey: log.vkey.clone(), source });
            }
            let origin = log.origin.clone().unwrap_or_else(|| key.name().to_owned());
            let keys = logs.entry(origin).or_default();
            if keys.contains(&key) {
                return Err(ConfigError::Duplicate { vkey: log.vkey.clone() });
            }
            keys.push(key);
        }
        if logs.is_empty() { Err(ConfigError::NoLog) } else { Ok(logs) }
    }
}

impl Config {
    /// Where the tiles of logs are, by origin; logs without an address are left out.
    pub fn urls(&self) -> BTreeMap<String, &str> {
        let of = |log: &LogConfig| {
            let key = VerifierKey::parse(&log.vkey).ok()?;
            Some(log.origin.clone().unwrap_or_else(|| key.name().to_owned()))
        };
        let located = self.logs.iter().filter_map(|log| Some((of(log)?, log.url.as_deref()?)));
        located.collect()
    }

    /// The keys and addresses of other witnesses.
    pub fn peers(&self) -> Result<Vec<(VerifierKey, &str)>, ConfigError> {
        let parse = |peer: &'_ PeerConfig| {
            let bad = |source| ConfigError::Vkey { vkey: peer.vkey.clone(), source };
            let key = VerifierKey::parse(&peer.vkey).map_err(bad)?;
            if key.kind() == KeyType::Ed25519 {
                return Err(bad(KeyError::WrongType { actual: key.kind(), wanted: KeyType::CosignatureV1 }));
            }
            Ok(key)
        };
        self.peers.iter().map(|peer| Ok((parse(peer)?, peer.url.as_str()))).collect()
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The bound on requests makes no sense.
    #[error("concurrent_requests_max is {actual}, want 1 to {MAX_CONCURRENT}")]
    Concurrency {
        /// Value found.
        actual: usize,
    },
    /// A key twice for one log.
    #[error("log key {vkey} is there twice")]
    Duplicate {
        /// The key.
        vkey: String,
    },
    /// A mirror that never pauses or never waits.
    #[error("every_s and timeout_s of the mirror are at least 1")]
    Mirror,
    /// No log to watch.
    #[error("no [[log]] is configured, want at least one")]
    NoLog,
    /// A rate of nothing.
    #[error("log_per_second and log_burst are at least 1")]
    Rate,
    /// The file cannot be read.
    #[error("configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The text is not such a configuration.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// A log's or a witness's key is refused.
    #[error("key {vkey:?}: {source}")]
    Vkey {
        /// The text found.
        vkey: String,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// With as many bodies of the greatest length the process needs about 550 MB.
const MAX_CONCURRENT: usize = 4096;
