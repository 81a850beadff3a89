//! `treering-witness`: makes a witness's key and state, shows its public key, runs it.

mod cli;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use treering_tlog::{cosignature::CosignSigner, note::VerifierKey};
use treering_witness::{
    bench, clock,
    config::Config,
    evidence::EvidenceDir,
    http,
    journal::JournalError,
    key::{self, KeyFileError},
    service::Witness,
    signers::Signers,
    store::{StateDir, StoreError},
};

/// A witness of transparency logs (C2SP tlog-witness).
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key (DIR/witness.key) and an empty state directory (DIR/state), and print the verifier key.
    Init {
        /// Folder to make them in.
        #[arg(long)]
        dir: PathBuf,
        /// Name of the witness: a schema-less URL, such as witness.example/w1.
        #[arg(long)]
        name: String,
        /// Make an ML-DSA-44 key, too (DIR/witness-mldsa.key), and print its verifier key on a second line.
        #[arg(long)]
        ml_dsa: bool,
    },
    /// Cosign checkpoints of the configured logs until SIGTERM or SIGINT.
    Serve {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// When ready, print one line of JSON to stdout: {"listening":"...","vkey":"..."}.
        #[arg(long)]
        json: bool,
    },
    /// Follow the logs that have a url: recompute their trees from the entries, hold them against every checkpoint, and keep
    /// evidence of a fork. Until SIGTERM or SIGINT; with --once exit 0 (verified), 1 (forked) or 2 (not verified).
    Mirror {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// One pass over each log.
        #[arg(long)]
        once: bool,
    },
    /// Compare what the configured peers have cosigned, with each other and with what the logs serve, and keep evidence of
    /// a fork. Exit 0 (all agree), 1 (a log has forked) or 2 (something could not be compared).
    Compare {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Work with evidence files.
    #[command(subcommand)]
    Evidence(Evidence),
    /// Measure: clients against a witness of its own, in a temporary folder on this machine.
    Bench {
        /// Clients, each with one connection and one request at a time.
        #[arg(long, default_value_t = 32)]
        clients: usize,
        /// Logs; at least as many as clients.
        #[arg(long, default_value_t = 1000)]
        origins: usize,
        /// Seconds to measure, after two of warming up.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Where to make the temporary folder: the disk to measure.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Print the figures as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the verifier key.
    Vkey {
        /// Configuration file.
        #[arg(long, required_unless_present = "key", conflicts_with = "key")]
        config: Option<PathBuf>,
        /// Key file.
        #[arg(long)]
        key: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Evidence {
    /// Check offline that a file proves that a log has forked. Exit 0 (proved), 1 (does not prove it) or 2 (cannot be
    /// evaluated).
    Verify {
        /// The file.
        #[arg(long)]
        evidence: PathBuf,
        /// A key of the log; may be given several times.
        #[arg(long, required = true)]
        log_vkey: Vec<String>,
        /// The log's origin line, if it is not the name of its key.
        #[arg(long)]
        origin: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Init { dir, name, ml_dsa } => done(init(&dir, &name, ml_dsa)),
        Command::Serve { config, json } => done(serve(&config, json)),
        Command::Mirror { config, once } => cli::mirror(&config, once),
        Command::Compare { config } => cli::compare(&config),
        Command::Evidence(Evidence::Verify { evidence, log_vkey, origin }) => {
            return cli::verify_evidence(&evidence, &log_vkey, origin.as_deref());
        }
        Command::Bench { clients, origins, seconds, dir, json } => {
            done(std::env::current_exe().context("find this program").and_then(|program| {
                cli::measure(&bench::Options { program, folder: dir, clients, origins, seconds }, json)
            }))
        }
        Command::Vkey { config, key } => done(vkey(config.as_deref(), key)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // What, then what to do; a backtrace helps no operator, whatever RUST_BACKTRACE says.
            #[expect(clippy::print_stderr, reason = "the last word of a command goes to its user")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn done(result: Result<()>) -> Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

fn init(dir: &Path, name: &str, ml_dsa: bool) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let once = "a witness is made once; to make another, name another folder";
    let (key_file, mldsa_file) = (dir.join("witness.key"), dir.join("witness-mldsa.key"));
    let signer = key::create(&key_file, name).map_err(|error| anyhow!("{error}\n{once}"))?;
    let made = || -> Result<Option<CosignSigner>> {
        let also = ml_dsa.then(|| key::create_mldsa(&mldsa_file, name)).transpose()?;
        if let Err(error) = StateDir::create(&dir.join("state"), signer.verifier()) {
            if also.is_some() {
                std::fs::remove_file(&mldsa_file)?;
            }
            return Err(error.into());
        }
        Ok(also)
    };
    let also = made().or_else(|error| {
        // Nobody has seen the key yet: without its state it is of no use.
        std::fs::remove_file(&key_file)?;
        Err(anyhow!("{error}\n{once}"))
    })?;
    print_vkeys([signer].iter().chain(also.as_ref()).map(CosignSigner::verifier))
}

fn vkey(config: Option<&Path>, key_file: Option<PathBuf>) -> Result<()> {
    match (config, key_file) {
        (Some(config), _) => print_vkeys(signers(&Config::read(config)?)?.verifiers()),
        (None, Some(key_file)) => print_vkeys([key::load(&key_file)?.verifier()].into_iter()),
        (None, None) => bail!("name a configuration or a key file"),
    }
}

fn print_vkeys<'a>(keys: impl Iterator<Item = &'a VerifierKey>) -> Result<()> {
    keys.map(ToString::to_string).try_for_each(|key| print(&key))
}

fn serve(path: &Path, json: bool) -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let config = Config::read(path)?;
    let witness = Arc::new(open(&config)?);
    let metrics = cli::metrics_recorder().context("cannot install metrics")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}; is another process there?", config.listen))?;
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listening = listener.local_addr()?;
        let vkey = witness.verifier().to_string();
        tracing::info!(%listening, vkey, "ready");
        if json {
            print(&serde_json::json!({ "listening": listening.to_string(), "vkey": vkey }).to_string())?;
        }
        let stop = async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::info!("stopping");
        };
        http::serve(listener, Arc::clone(&witness), config.limits, metrics, stop)
            .await
            .context("the server failed")
    });
    // Requests that outlived the time to stop have been promised nothing. Then the witness ends: what was begun is
    // committed, and the mark is synced.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(witness);
    served
}

fn open(config: &Config) -> Result<Witness> {
    let signers = signers(config)?;
    let dir = StateDir::open(&config.state_dir, signers.own()).map_err(|error| advise(&error))?;
    let evidence = Some(EvidenceDir::new(&config.evidence_dir));
    Witness::open(signers, dir, config.logs()?, clock::system(), &config.limits, evidence)
        .map_err(|error| advise(&error))
}

fn signers(config: &Config) -> Result<Signers> {
    let advise = |error: KeyFileError| {
        anyhow!(
            "{error}\nmake a key with `treering-witness init`; if none but you could read this one, chmod 600 it"
        )
    };
    let mut signers = Signers::from(key::load(&config.key_file).map_err(advise)?);
    if let Some(file) = &config.mldsa_key_file {
        signers = signers.and(key::load_mldsa(file).map_err(advise)?);
    }
    for key in signers.verifiers() {
        if key.name() != config.name {
            bail!("a key file is of {:?}, want {:?}", key.name(), config.name);
        }
    }
    Ok(signers)
}

/// Adds what to do.
fn advise(error: &StoreError) -> anyhow::Error {
    let advice = match error {
        StoreError::Journal(JournalError::Io { .. }) => "check the permissions and the disk",
        StoreError::Corrupt { .. } | StoreError::OldFormat { .. } | StoreError::Journal(_) => {
            "the witness does not start: it no longer knows what it has cosigned. Do not restore an old copy; \
             retire this witness and make a new one"
        }
        StoreError::NotByLog { .. } => {
            "keep the log's old key configured, as a second [[log]] of the same origin, until a checkpoint under the new \
             key has been cosigned"
        }
        StoreError::NoState { .. } => "is the volume mounted? A new one is made with `treering-witness init`",
        StoreError::OtherWitness { .. } => {
            "each key has a state directory of its own, made by `treering-witness init`"
        }
        StoreError::Locked { .. } => "stop the other process; two would cosign two histories",
        _ => "check the permissions and the disk",
    };
    anyhow!("{error}\n{advice}")
}

/// One line on stdout, out before anything else happens.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}
