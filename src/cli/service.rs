//! Puts a service together from its configuration: log, witnesses, ledger, roles, routes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest, Sha256};
use treering_log::publisher::{BoxFuture, CosignError, Cosigned, Cosigner, Publisher, Timing};
use treering_log::{Config as LogConfig, Log, Sealer};
use treering_provenance::content::AnyContent;
use treering_provenance::cose::KeySet;
use treering_provenance::trust::{Release, TrustFile, TrustedIssuer};
use treering_tlog::hash::Hash;
use treering_tlog::policy::Policy;
use treering_witness::client::{CallError, WitnessClient};

use crate::authority::{Authority, CaFiles};
use crate::binding::Challenger;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::governance::{self, Genesis, Registrar};
use crate::http::{Inner, KnownClient, Refusals, Service};
use crate::ident::TrustDomain;
use crate::issuance::{Issuer, Rules};
use crate::keys::{KeyStore, Role};
use crate::ledger::{HeadSealer, Ledger, ReleaseRule};
use crate::verifier::{self, HardwareRoots, fingerprint};

/// How long one call to a witness may take.
const WITNESS_CALL: Duration = Duration::from_secs(5);

/// A service that can serve, and what must be stopped with it.
pub(super) struct Assembled {
    pub(super) service: Service,
    pub(super) log: Log,
    pub(super) publisher: Option<Publisher>,
}

/// The ledger of a configuration, with its log opened; `create` begins a new log.
pub(super) fn open_ledger(config: &Config, create: bool) -> Result<(Ledger, HeadSealer)> {
    let keys = KeyStore::at(&config.keys_dir);
    let trust_domain = TrustDomain::parse(&config.trust_domain)?;
    let sealer = HeadSealer::load(&keys, &config.origin, &trust_domain)?;
    let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| SystemClock.now());
    let mut settings = LogConfig::new(&config.data_dir, clock);
    settings.create = create;
    settings.pool_entries = config.log.pool_entries;
    let sealing: Arc<dyn Sealer> = Arc::new(HeadSealer::load(&keys, &config.origin, &trust_domain)?);
    // Where there are witnesses the log signs nothing before they were asked: a restored backup would fork it.
    let held = config.log.witness_policy.is_some() && !create;
    let log = if held { Log::open_held(settings, sealing) } else { Log::open(settings, sealing) }
        .with_context(|| format!("open the log in {}", config.data_dir.display()))?;
    let release = ReleaseRule {
        at: config.log.release(),
        timeout: Duration::from_secs(config.log.witness_timeout_s),
        embed_parents: config.credentials.embed_parents,
    };
    let ledger = Ledger::new(log, &keys, &keys.master()?, &config.origin, trust_domain, release)?;
    Ok((ledger, sealer))
}

/// The hardware roots that a configuration trusts.
pub(super) fn hardware_roots(config: &Config) -> Result<HardwareRoots> {
    let Some(path) = &config.hardware.simulated_root else { return Ok(HardwareRoots::vendors()) };
    let pem = fs::read(path).with_context(|| format!("read the simulated root {}", path.display()))?;
    let pins = pinned(&pem).with_context(|| format!("{}", path.display()))?;
    Ok(HardwareRoots::with_simulated(pins))
}

/// What a file of simulated platforms' roots pins: certificates, and the public keys of platforms that have no
/// certificate (Arm CCA).
pub(super) fn pinned(pem: &[u8]) -> Result<Vec<[u8; 32]>> {
    use rustls::pki_types::pem::{PemObject as _, SectionKind};
    let mut pins = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        match section? {
            (SectionKind::Certificate | SectionKind::PublicKey, der) => pins.push(fingerprint(&der)),
            (other, _) => bail!("neither a certificate nor a public key: {other:?}"),
        }
    }
    if pins.is_empty() {
        bail!("there is no certificate and no public key, PEM");
    }
    Ok(pins)
}

/// The roots that evidence may rest on, for the trust anchors.
fn named_roots(roots: &HardwareRoots) -> Vec<(String, [u8; 32], bool)> {
    let vendors = verifier::vendor_roots().map(|(name, pin)| (name, pin, false));
    vendors.chain(roots.simulated().map(|root| ("simulated".to_owned(), *root, true))).collect()
}

/// What the founding entries of this configuration's log say.
pub(super) fn genesis<'a>(config: &Config, sealer: &'a HeadSealer) -> Result<Genesis<'a>> {
    let ca = &config.credentials.ca_certificate;
    let pem = fs::read(ca).with_context(|| format!("read the CA certificate {}", ca.display()))?;
    let policy = config.log.witness_policy.as_ref().map(|path| {
        fs::read_to_string(path).with_context(|| format!("read the witness policy {}", path.display()))
    });
    Ok(Genesis {
        registration: config.registration_policy()?,
        rp_id: config.rp_id.clone(),
        log_vkey: sealer.log_key().to_string(),
        receipt_key: sealer.receipt_key(),
        ca: pem_rfc7468::decode_vec(&pem).with_context(|| format!("{} is not PEM", ca.display()))?.1,
        hardware_roots: named_roots(&hardware_roots(config)?),
        witness_policy: policy.transpose()?,
    })
}

/// Configuration and keys must be those that the log began with: what relying parties and auditors judge by is in the
/// log, and a file that says otherwise would be believed by nobody but this process.
fn check_founding(config: &Config, ledger: &Ledger, sealer: &HeadSealer) -> Result<()> {
    let genesis = genesis(config, sealer)?;
    let differs = |entry: u64, what: &str| {
        anyhow::anyhow!(
            "{what} in the configuration or the keys differ from entry {entry} of the log: restore what was changed; \
             a change of them by the log comes with a later version"
        )
    };
    match ledger.read(0)?.content()? {
        AnyContent::RegistrationPolicy(policy) if policy == genesis.registration => {}
        _ => return Err(differs(0, "issuers, approvers or the threshold")),
    }
    match ledger.read(1)?.content()? {
        AnyContent::TrustAnchors(anchors) if anchors == governance::trust_anchors(ledger, &genesis)? => {
            Ok(())
        }
        _ => Err(differs(1, "keys, roots, the CA, rp_id or the witness policy")),
    }
}

/// The trust file of a relying party, from the trust anchors in the log.
pub(super) fn trust_file(ledger: &Ledger, release: Release) -> Result<TrustFile> {
    let AnyContent::TrustAnchors(anchors) = ledger.read(1)?.content()? else {
        bail!("entry 1 of the log holds no trust anchors");
    };
    let pem = |der: &[u8]| pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der);
    let kinds = |role: Role| match role {
        Role::Authority => vec!["issuance", "abandoned"],
        Role::Governance => vec!["activation"],
        Role::Ledger => vec!["policy", "trust-anchor", "key", "grant"],
        Role::Mapper => vec!["mapping"],
        Role::Verifier => vec!["appraisal", "collateral", "refusal"],
        Role::Log | Role::Receipt => vec![],
    };
    let mut issuers = Vec::new();
    for role in &anchors.roles {
        let known = Role::ALL.into_iter().find(|known| ledger.role_uri(*known) == role.iss);
        let kinds: Result<_, _> =
            known.map(kinds).unwrap_or_default().iter().map(|kind| kind.parse()).collect();
        issuers.push(TrustedIssuer { iss: role.iss.clone(), kinds: kinds?, keys: vec![role.key.clone()] });
    }
    let ca: Result<_, _> = anchors.ca.iter().map(|der| pem(&der.0)).collect();
    Ok(TrustFile {
        v: 1,
        origin: anchors.origin,
        trust_domain: anchors.trust_domain,
        log_vkey: anchors.log_vkey,
        receipt_keys: anchors.receipt_keys,
        issuers,
        ca: ca?,
        policy: anchors.witness_policy,
        release,
    })
}

/// Puts the service together and starts to publish to the witnesses.
pub(super) async fn assemble(config: &Config, metrics: PrometheusHandle) -> Result<Assembled> {
    let (ledger, sealer) = open_ledger(config, false)?;
    check_founding(config, &ledger, &sealer)?;
    let ledger = Arc::new(ledger);
    let log = ledger.log().clone();
    let publisher = publish(config, &log).await?;
    let keys = KeyStore::at(&config.keys_dir);
    let ca = CaFiles { certificate: &config.credentials.ca_certificate, key: &config.credentials.ca_key };
    let issuer = Issuer::new(
        Arc::clone(&ledger),
        Authority::load(&ca, ledger.trust_domain().clone())?,
        Challenger::new(&keys.master()?.derive("challenge")),
        hardware_roots(config)?,
        super::collateral::collaterals(&config.collateral)?,
        Rules {
            rp_id: config.rp_id.clone(),
            max_ttl_s: config.credentials.max_ttl_s,
            max_refused_bytes_per_minute: config.credentials.max_refused_bytes_per_minute,
        },
    );
    let registrar = Registrar::new(Arc::clone(&ledger))?;
    let trust = trust_file(&ledger, config.log.release())?.to_json()?;
    let service = Service::new(Inner {
        registrar,
        issuer,
        clients: clients(config)?,
        clock: Arc::new(SystemClock),
        receipt_keys: KeySet(vec![sealer.receipt_key().clone()]),
        trust: trust.into_bytes(),
        metrics,
        refusals: Refusals::new(config.http.refused_registrations_per_second),
        request_timeout: Duration::from_secs(config.http.request_timeout_s),
        publishing: publisher.as_ref().map(Publisher::state),
        ledger,
    });
    Ok(Assembled { service, log, publisher })
}

fn clients(config: &Config) -> Result<Vec<KnownClient>> {
    let client = |client: &crate::config::Client| -> Result<KnownClient> {
        let path = &client.certificate;
        let pem =
            fs::read(path).with_context(|| format!("read the client certificate {}", path.display()))?;
        let (_, der) =
            pem_rfc7468::decode_vec(&pem).with_context(|| format!("{} is not PEM", path.display()))?;
        let certificate = Sha256::digest(&der).into();
        Ok(KnownClient { name: client.name.clone(), certificate, roles: client.roles.clone() })
    };
    config.clients.iter().map(client).collect()
}

async fn publish(config: &Config, log: &Log) -> Result<Option<Publisher>> {
    let Some(path) = &config.log.witness_policy else { return Ok(None) };
    let policy = read_witness_policy(path)?;
    let mut cosigners: Vec<Arc<dyn Cosigner>> = Vec::new();
    for witness in &config.witnesses {
        cosigners.push(Arc::new(self::witness(&witness.name, &witness.url)?));
    }
    let publisher = Publisher::spawn(log.clone(), policy, cosigners, Timing::default()).await;
    Ok(Some(publisher.context("ask the witnesses what they have seen of this log")?))
}

/// Reads a C2SP tlog-policy file.
pub(super) fn read_witness_policy(path: &Path) -> Result<Policy> {
    let text = fs::read(path).with_context(|| format!("read the witness policy {}", path.display()))?;
    let policy =
        Policy::parse(&text).with_context(|| format!("{} is not a C2SP tlog-policy", path.display()))?;
    if !policy.needs_witnesses() {
        bail!(
            "{} asks for no witness: leave log.witness_policy out, and release at `committed`",
            path.display()
        );
    }
    Ok(policy)
}

/// Witnesses on the network are reached through the system's roots.
fn web_roots() -> Result<Arc<rustls::ClientConfig>> {
    Ok(Arc::new(crate::client::tls_config(&super::files::system_roots()?, None)?))
}

/// The witness of a name at an address.
pub(super) fn witness(name: &str, url: &str) -> Result<RemoteWitness> {
    let tls = url.starts_with("https://").then(web_roots).transpose()?;
    Ok(RemoteWitness { name: name.to_owned(), client: WitnessClient::new(url, tls, WITNESS_CALL)? })
}

/// A witness over HTTP, as the log's publisher wants it.
pub(super) struct RemoteWitness {
    name: String,
    client: WitnessClient,
}

fn cosign_error(error: CallError) -> CosignError {
    match error {
        CallError::Conflict { size } => CosignError::Conflict { size },
        CallError::Refused { status, body } => CosignError::Refused { status, message: body },
        other => CosignError::Unreachable(other.to_string()),
    }
}

impl Cosigner for RemoteWitness {
    fn name(&self) -> &str {
        &self.name
    }

    fn add_checkpoint<'a>(
        &'a self,
        old_size: u64,
        proof: &'a [Hash],
        note: &'a [u8],
    ) -> BoxFuture<'a, Result<Cosigned, CosignError>> {
        Box::pin(async move {
            let lines = self.client.add_checkpoint(old_size, proof, note).await.map_err(cosign_error)?;
            Ok(Cosigned { lines })
        })
    }

    fn latest<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, CosignError>> {
        Box::pin(async move { self.client.latest(origin).await.map_err(cosign_error) })
    }
}
