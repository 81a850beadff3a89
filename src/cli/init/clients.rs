//! The TLS side of a new ledger, and the first people and programs that may use it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer as Signer, KeyPair, KeyUsagePurpose, SanType,
};
use treering_provenance::cose::VerifyingKey;
use treering_provenance::grant::AuditorKey;
use zeroize::Zeroizing;

use crate::config::{Client, Issuer};
use crate::http::ClientRole;
use crate::ident::TrustDomain;
use crate::keys;

/// The life of TLS certificates that `init` makes.
const LIFETIME_S: u64 = 2 * 365 * 24 * 60 * 60;
const BACKDATE_S: u64 = 60;

/// The first clients and issuers.
pub(in crate::cli) struct Clients {
    pub(in crate::cli) known: Vec<Client>,
    pub(in crate::cli) issuers: Vec<Issuer>,
    pub(in crate::cli) approvers: Vec<String>,
}

/// Third parties beside the approvers: name, and what each may register.
const ISSUERS: [(&str, &[&str]); 2] =
    [("ci", &["workload-provenance", "reference-values"]), ("author", &["policy"])];
/// What approvers register.
const APPROVER_KINDS: &[&str] = &["approval"];
/// Clients that register nothing.
const OTHERS: [(&str, ClientRole); 2] =
    [("operator", ClientRole::Operator), ("auditor", ClientRole::Auditor)];

/// The `iss` of a third party that `init` makes.
pub(in crate::cli) fn issuer_uri(trust_domain: &str, name: &str) -> String {
    format!("https://{name}.{trust_domain}")
}

/// Makes the TLS CA, the server's certificate, clients' certificates, issuers' keys and the auditor's key.
pub(super) fn create(
    dir: &Path,
    trust_domain: &TrustDomain,
    host: &str,
    approvers: &[String],
    now: u64,
) -> Result<Clients> {
    let ca = TlsCa::create(dir, trust_domain, now)?;
    ca.server(dir, host, now)?;
    let mut known = Vec::new();
    let mut client = |name: &str, role| -> Result<()> {
        ca.client(dir, name, now)?;
        let certificate = PathBuf::from(format!("clients/{name}.pem"));
        known.push(Client { name: name.to_owned(), certificate, roles: vec![role] });
        Ok(())
    };
    for (name, role) in OTHERS {
        client(name, role)?;
    }
    let approving = approvers.iter().map(|name| (name.as_str(), APPROVER_KINDS));
    let mut issuers = Vec::new();
    for (name, kinds) in ISSUERS.into_iter().chain(approving) {
        // The name becomes a file's and a part of a URI.
        let plain =
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        ensure!(plain, "`{name}` is not a short name of letters, digits and hyphens");
        client(name, ClientRole::Registrant)?;
        let key = keys::generate_ed25519()?;
        keys::write_ed25519(&dir.join(format!("issuers/{name}.pem")), &key)?;
        let public = VerifyingKey::from_ed25519(key.verifying_key().as_bytes())?.to_cose_key()?;
        issuers.push(Issuer {
            iss: issuer_uri(trust_domain.as_str(), name),
            key: Some(BASE64URL_NOPAD.encode(&public)),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            public: false,
            high_s: false,
            anchors: Vec::new(),
        });
    }
    let auditor = AuditorKey::from_bytes(keys::random()?)?;
    keys::write_secret(&dir.join("auditor.key"), auditor.to_jwk()?.as_bytes())?;
    write(&dir.join("auditor.pub"), &auditor.public().to_jwk()?)?;
    let approvers = approvers.iter().map(|name| issuer_uri(trust_domain.as_str(), name)).collect();
    Ok(Clients { known, issuers, approvers })
}

/// The CA of the service's own TLS: another one than that of credentials.
struct TlsCa {
    signer: Signer<'static, KeyPair>,
}

impl TlsCa {
    fn create(dir: &Path, trust_domain: &TrustDomain, now: u64) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("Treering TLS of {trust_domain}"), now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        write(&dir.join("tls/ca.pem"), &certificate.pem())?;
        keys::write_secret(&dir.join("tls/ca.key"), Zeroizing::new(key.serialize_pem()).as_bytes())?;
        Ok(Self { signer: Signer::new(params, key) })
    }

    fn server(&self, dir: &Path, host: &str, now: u64) -> Result<()> {
        let mut params = params(host, now)?;
        params.subject_alt_names = vec![SanType::DnsName(host.try_into()?)];
        if host == "localhost" {
            params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
        }
        self.sign(dir, "tls/server", params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, dir: &Path, name: &str, now: u64) -> Result<()> {
        self.sign(dir, &format!("clients/{name}"), params(name, now)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        dir: &Path,
        name: &str,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.signer)?;
        write(&dir.join(format!("{name}.pem")), &certificate.pem())?;
        Ok(keys::write_secret(
            &dir.join(format!("{name}.key")),
            Zeroizing::new(key.serialize_pem()).as_bytes(),
        )?)
    }
}

fn params(name: &str, now: u64) -> Result<CertificateParams> {
    let time = |unix: u64| -> Result<time::OffsetDateTime> {
        Ok(time::OffsetDateTime::from_unix_timestamp(i64::try_from(unix)?)?)
    };
    let mut params = CertificateParams::default();
    params.not_before = time(now.saturating_sub(BACKDATE_S))?;
    params.not_after = time(now.saturating_add(LIFETIME_S))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
