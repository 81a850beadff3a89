//! `treering provenance`: what CI, vendors and testers say about a workload.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::json;
use treering_provenance::bytes::{Bytes, Leaf};
use treering_provenance::content::{ProvenanceType, ReferenceValue, ReferenceValues, V1, WorkloadProvenance};
use treering_provenance::cose::Ed25519Signer;
use treering_tlog::hash::Hash;

use crate::client::{Registered, Registrant};
use crate::clock::{Clock, SystemClock};
use crate::keys;
use crate::verifier::{MEASUREMENT, SUBMOD_SNP};

use super::connect::Connect;
use super::{files, output};

const EXAMPLES: &str = "\
Examples, where … stands for who signs and how the service is reached (each command's own help has it all):
  How an image was built:
    treering provenance add --kind build --workload payments-api --file build.intoto.jsonl \\
        --media-type application/vnd.in-toto+json …
  What it measures to, and the statement that says how it came about:
    treering provenance reference --workload payments-api --value 'payments-api 1.4.2=<SHA-384, hex>' \\
        --provenance <leaf hash of the build> …";

const ADD_EXAMPLES: &str = "\
Examples:
  CI registers how the image was built, and what is in it:
    treering provenance add --kind build --workload payments-api --file build.intoto.jsonl \\
        --media-type application/vnd.in-toto+json --subject <sha256 of the image> \\
        --iss https://ci.bank.example --signing-key issuers/ci.pem --origin log.bank.example/2026 \\
        --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --client-cert clients/ci.pem --client-key clients/ci.key
  Prints the leaf hash, by which reference values name it.";

const REFERENCE_EXAMPLES: &str = "\
Examples:
  What CI measured, and the statements that say how it came about:
    treering provenance reference --workload payments-api --value 'payments-api 1.4.2=<SHA-384, hex>' \\
        --provenance <leaf hash of the build> --provenance <leaf hash of the SBOM> \\
        --iss https://ci.bank.example --signing-key issuers/ci.pem --origin log.bank.example/2026 \\
        --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --client-cert clients/ci.pem --client-key clients/ci.key
  Then `treering policy approve` and `treering policy activate`, by the leaf hash that it prints.";

/// Register provenance and reference values of workloads
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// How it was built (SLSA, in-toto)
    Build,
    /// Results of compliance tests
    Compliance,
    /// What it is made of (SPDX, CycloneDX)
    Sbom,
    /// A vendor's statement
    Vendor,
}

/// Who signs, for which log
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Signing {
    /// The issuer's name, as the registration policy has it
    #[arg(long, value_name = "URI")]
    iss: String,
    /// The issuer's key: Ed25519, PKCS#8 in PEM
    #[arg(long = "signing-key", value_name = "FILE")]
    key: PathBuf,
    /// For an issuer that is known by certificates: the key's own, then those between it and the trust anchor, PEM
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// The log's origin
    #[arg(long, value_name = "ORIGIN")]
    origin: String,
}

impl Signing {
    pub(super) fn signer(&self) -> Result<Ed25519Signer> {
        let signer = Ed25519Signer::from_seed(&keys::read_ed25519(&self.key)?.to_bytes())?;
        Ok(match &self.certificates {
            Some(path) => signer.with_certificates(files::certificates(&files::read(path)?)),
            None => signer,
        })
    }

    pub(super) fn registrant<'a>(&'a self, signer: &'a Ed25519Signer) -> Registrant<'a> {
        Registrant { issuer: &self.iss, signer, origin: &self.origin }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register a document about a workload
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        signing: Signing,
        /// What the document is
        #[arg(long)]
        kind: Kind,
        /// The workload's name
        #[arg(long, value_name = "NAME")]
        workload: String,
        /// The document
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Its media type
        #[arg(long, value_name = "TYPE")]
        media_type: String,
        /// SHA-256 or SHA-384 of what it is about, hex
        #[arg(long, value_name = "HEX")]
        subject: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Register a workload's reference values; like a policy, they count once approved and activated
    #[command(after_help = REFERENCE_EXAMPLES)]
    Reference {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        signing: Signing,
        /// The set's name, by which mapping manifests name it
        #[arg(long, value_name = "NAME")]
        workload: String,
        /// A name and what it measures to: a launch measurement, or several registers as NAME=REGISTER:HEX,REGISTER:HEX
        #[arg(long, value_name = "NAME=HEX", required = true)]
        value: Vec<String>,
        /// The kind of evidence that carries the values, such as sev-snp or tdx
        #[arg(long, value_name = "KIND", default_value = SUBMOD_SNP)]
        tee: String,
        /// The leaf hash of a provenance statement, hex
        #[arg(long, value_name = "HEX")]
        provenance: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let now = SystemClock.now();
    match &args.command {
        Command::Add { connect, signing, kind, workload, file, media_type, subject, json } => {
            let content = WorkloadProvenance {
                v: V1,
                workload: workload.clone(),
                provenance_type: match kind {
                    Kind::Build => ProvenanceType::Build,
                    Kind::Compliance => ProvenanceType::Compliance,
                    Kind::Sbom => ProvenanceType::Sbom,
                    Kind::Vendor => ProvenanceType::Vendor,
                },
                media_type: media_type.clone(),
                body: Bytes(files::read(file)?),
                subjects: subject.iter().map(|text| Ok(Bytes(hex(text)?))).collect::<Result<_>>()?,
            };
            let signer = signing.signer()?;
            let client = connect.client()?;
            print(&client.register_content(&signing.registrant(&signer), &content, now).await?, *json)
        }
        Command::Reference { connect, signing, workload, value, tee, provenance, json } => {
            let content = ReferenceValues {
                v: V1,
                workload: workload.clone(),
                values: value.iter().map(|text| reference(tee, text)).collect::<Result<_>>()?,
                provenance: provenance.iter().map(|text| leaf(text)).collect::<Result<_>>()?,
            };
            let signer = signing.signer()?;
            let client = connect.client()?;
            print(&client.register_content(&signing.registrant(&signer), &content, now).await?, *json)
        }
    }
}

fn hex(text: &str) -> Result<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).with_context(|| format!("`{text}` is not hex"))
}

/// A leaf hash, hex.
pub(super) fn leaf(text: &str) -> Result<Leaf> {
    let hash = Hash::from_slice(&hex(text)?).with_context(|| format!("`{text}` is not a leaf hash"))?;
    Ok(Leaf::from(hash))
}

/// `NAME=HEX` for the register `measurement`, or `NAME=REGISTER:HEX,REGISTER:HEX`.
fn reference(tee: &str, text: &str) -> Result<ReferenceValue> {
    let Some((name, measured)) = text.rsplit_once('=') else {
        bail!("`{text}` is not NAME=HEX or NAME=REGISTER:HEX,…");
    };
    let mut registers = BTreeMap::new();
    for part in measured.split(',') {
        let (register, octets) = part.split_once(':').unwrap_or((MEASUREMENT, part));
        if registers.insert(register.to_owned(), Bytes(hex(octets)?)).is_some() {
            bail!("`{text}` names the register {register} twice");
        }
    }
    Ok(ReferenceValue { tee: tee.to_owned(), name: name.to_owned(), registers })
}

/// Prints where a statement was registered.
pub(super) fn print(registered: &Registered, json: bool) -> Result<ExitCode> {
    let leaf = registered.leaf.to_hex();
    if json {
        output::json(&json!({ "leaf": leaf, "index": registered.index }))?;
    } else {
        output::line(format!("entry {} leaf {leaf}", registered.index));
    }
    Ok(ExitCode::SUCCESS)
}
