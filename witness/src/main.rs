//! `treering-witness`: makes a witness's key and state, shows its public key, runs it.

mod cli;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use treering_witness::{
    bench, clock,
    config::Config,
    evidence::EvidenceDir,
    http,
    journal::JournalError,
    key,
    service::Witness,
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
        Command::Init { dir, name } => done(init(&dir, &name)),
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

fn init(dir: &Path, name: &str) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let key_file = dir.join("witness.key");
    let signer = key::create(&key_file, name)
        .map_err(|error| anyhow!("{error}\na witness is made once; to make another, name another folder"))?;
    if let Err(error) = StateDir::create(&dir.join("state"), signer.verifier()) {
        // Nobody has seen the key yet: without its state it is of no use.
        std::fs::remove_file(&key_file)?;
        bail!("{error}\na witness is made once; to make another, name another folder");
    }
    print(&signer.verifier().to_string())
}

fn vkey(config: Option<&Path>, key_file: Option<PathBuf>) -> Result<()> {
    let key_file = match (config, key_file) {
        (Some(config), _) => Config::read(config)?.key_file,
        (None, Some(key_file)) => key_file,
        (None, None) => bail!("name a configuration or a key file"),
    };
    print(&key::load(&key_file)?.verifier().to_string())
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
        http::serve(listener, witness, config.limits, metrics, stop).await.context("the server failed")
    });
    // Requests that outlived the time to stop have been promised nothing; a write under way is atomic.
    runtime.shutdown_background();
    served
}

fn open(config: &Config) -> Result<Witness> {
    let signer = key::load(&config.key_file).map_err(|error| {
        anyhow!("{error}\nmake a key with `treering-witness init`; if none but you could read this one, chmod 600 it")
    })?;
    if signer.name() != config.name {
        bail!("key file {} is of {:?}, want {:?}", config.key_file.display(), signer.name(), config.name);
    }
    let dir = StateDir::open(&config.state_dir, signer.verifier()).map_err(|error| advise(&error))?;
    Witness::open(
        signer,
        dir,
        config.logs()?,
        clock::system(),
        &config.limits,
        Some(EvidenceDir::new(&config.evidence_dir)),
    )
    .map_err(|error| advise(&error))
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
