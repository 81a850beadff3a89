//! `treering policy`: look over, propose, approve, activate.

mod lint;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{Approval, Policy, PolicyType, V1};
use treering_tlog::hash::Hash;

use crate::client::Registered;
use crate::clock::{Clock, SystemClock};
use crate::verifier::AppraisalPolicy;

use super::connect::Connect;
use super::files;
use super::provenance::{Signing, leaf, print};

const EXAMPLES: &str = "\
Examples, where … stands for who signs and how the service is reached (each command's own help has it all):
  Before anything else, without a service:
    treering policy lint --kind mapping manifest.toml
  The way of a policy, each step an entry of the log: by its author, by each approver, by an operator:
    treering policy propose --kind mapping --name spiffe://bank.example/payments/api --file manifest.toml …
    treering policy approve --policy <the leaf hash that it printed> …
    treering policy activate --policy <the same> …

Reference values (`treering provenance reference`) are approved and activated in the same way.";

/// Look over, propose, approve and activate policies
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// How evidence is appraised
    Appraisal,
    /// A mapping manifest; its name is the workload identifier
    Mapping,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Look for contradictions in a policy, and for what is more lenient than the default
    Lint(lint::Args),
    /// Register a policy; nothing changes by it yet
    Propose {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        signing: Signing,
        /// What it is about
        #[arg(long)]
        kind: Kind,
        /// Its name: versions of one policy share it
        #[arg(long, value_name = "NAME")]
        name: String,
        /// The policy, TOML; an appraisal policy may be deterministic CBOR
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The leaf hash of the policy that it replaces, hex
        #[arg(long, value_name = "HEX")]
        predecessor: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Consent to exactly this policy
    Approve {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        signing: Signing,
        /// The policy's leaf hash, hex
        #[arg(long, value_name = "HEX")]
        policy: String,
        /// The leaf hash of the activation in force that it replaces, hex; none if nothing is in force
        #[arg(long, value_name = "HEX")]
        predecessor: Option<String>,
        /// For how many days the consent holds
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        days: u64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Bring an approved policy into force
    Activate {
        #[command(flatten)]
        connect: Connect,
        /// The policy's leaf hash, hex
        #[arg(long, value_name = "HEX")]
        policy: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let now = SystemClock.now();
    let optional = |text: &Option<String>| text.as_deref().map(leaf).transpose();
    match &args.command {
        Command::Lint(args) => lint::run(args),
        Command::Propose { connect, signing, kind, name, file, predecessor, json } => {
            let body = files::read(file)?;
            let content = Policy {
                v: V1,
                policy_type: match kind {
                    Kind::Appraisal => PolicyType::Appraisal,
                    Kind::Mapping => PolicyType::Mapping,
                },
                name: name.clone(),
                media_type: AppraisalPolicy::media_type(&body).to_owned(),
                body: Bytes(body),
                predecessor: optional(predecessor)?,
            };
            let signer = signing.signer()?;
            let client = connect.client()?;
            print(&client.register_content(&signing.registrant(&signer), &content, now).await?, *json)
        }
        Command::Approve { connect, signing, policy, predecessor, days, json } => {
            let content = Approval {
                v: V1,
                policy: leaf(policy)?,
                predecessor: optional(predecessor)?,
                not_before: now,
                not_after: now.saturating_add(days.saturating_mul(24 * 60 * 60)),
            };
            let signer = signing.signer()?;
            let client = connect.client()?;
            print(&client.register_content(&signing.registrant(&signer), &content, now).await?, *json)
        }
        Command::Activate { connect, policy, json } => {
            let logged = connect.client()?.activate(&Hash::from(leaf(policy)?)).await?;
            print(&Registered { leaf: logged.leaf.into(), index: logged.index }, *json)
        }
    }
}
