//! A ledger with its witness and its service, as `treering init` makes them and as operators run them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::sync::OnceCell;
use treering::client::{Client, Identity};
use treering::config::Config;
use treering::keys;
use treering_provenance::cose::{Ed25519Signer, Es256Signer, Signer};
use treering_provenance::trust::Trust;

use super::{Extra, Net, Process, Run, TREERING, cli, folder, genesis, witness_program};

const WITNESS: &str = "witness.it.example/one";
pub(crate) const TRUST_DOMAIN: &str = "simulated.it.example";

/// How a stage differs from what `treering init` makes.
#[derive(Default)]
pub(crate) struct Settings {
    /// Whether there is a witness.
    pub(crate) witness: bool,
    /// How long a release waits for it, if not as long as usual.
    pub(crate) witness_timeout_s: Option<i64>,
    /// How many octets of cheap refusals a minute are logged, if not as many as usual.
    pub(crate) max_refused_bytes: Option<i64>,
    /// How many entries may wait for the log, if not as many as usual.
    pub(crate) pool_entries: Option<i64>,
    /// More of the configuration: sections, in TOML.
    pub(crate) config: Option<String>,
    /// More issuers, two approvers.
    pub(crate) extra: bool,
    /// More arguments of `treering init`.
    pub(crate) init: Vec<String>,
}

/// A ledger, and what runs.
pub(crate) struct Stage {
    /// The folder of the ledger.
    pub(crate) dir: PathBuf,
    /// Its configuration.
    pub(crate) config: PathBuf,
    /// The log's origin.
    pub(crate) origin: String,
    /// The name of the service in the binding.
    pub(crate) rp_id: String,
    /// Keys of issuers that `init` does not make.
    pub(crate) extra: Option<Extra>,
    witness_config: PathBuf,
    port: Mutex<u16>,
    service: Mutex<Option<Process>>,
    witness: Mutex<Option<Process>>,
}

/// The stage that most tests share: with a witness, more issuers, two approvers, and an auditor who was granted all.
pub(crate) async fn shared() -> &'static Stage {
    static SHARED: OnceCell<Stage> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let stage = Stage::make(&Settings { witness: true, extra: true, ..Settings::default() }).await;
            stage.start_witness();
            stage.serve();
            stage.grant_all().await;
            stage.set_the_scene().await;
            stage
        })
        .await
}

impl Stage {
    /// Makes a ledger; nothing runs yet.
    pub(crate) async fn make(settings: &Settings) -> Self {
        let root = folder("stage");
        let dir = root.join("ledger");
        let witness_dir = root.join("witness");
        let init =
            ["init", "--trust-domain", TRUST_DOMAIN, "--listen", "127.0.0.1:0", "--simulated", "--json"];
        let mut arguments: Vec<String> = init.map(str::to_owned).into();
        arguments.push("--dir".to_owned());
        arguments.push(dir.to_str().unwrap().to_owned());
        arguments.extend(settings.init.iter().cloned());
        let port = free_port();
        if settings.witness {
            let made = super::process::run(
                &witness_program(),
                ["init", "--name", WITNESS, "--dir", witness_dir.to_str().unwrap()],
            )
            .ended(0);
            arguments
                .extend(["--witness".to_owned(), format!("{}=http://127.0.0.1:{port}", made.stdout.trim())]);
        }
        let made = cli(&arguments).ended(0).json();
        let config = PathBuf::from(made["config"].as_str().unwrap());
        let witness_config = witness_dir.join("witness.toml");
        if settings.witness {
            let vkey = made["log_vkey"].as_str().unwrap();
            let text = format!(
                "name = \"{WITNESS}\"\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\n[[log]]\nvkey = \"{vkey}\"\n"
            );
            fs::write(&witness_config, text).unwrap();
        }
        if let Some(seconds) = settings.witness_timeout_s {
            edit(&config, |table| {
                table["log"].as_table_mut().unwrap().insert("witness_timeout_s".to_owned(), seconds.into());
            });
        }
        if let Some(most) = settings.max_refused_bytes {
            edit(&config, |table| {
                let credentials = table["credentials"].as_table_mut().unwrap();
                credentials.insert("max_refused_bytes_per_minute".to_owned(), most.into());
            });
        }
        if let Some(most) = settings.pool_entries {
            edit(&config, |table| {
                table["log"].as_table_mut().unwrap().insert("pool_entries".to_owned(), most.into());
            });
        }
        if let Some(more) = &settings.config {
            edit(&config, |table| table.extend(more.parse::<toml::Table>().unwrap()));
        }
        let extra = if settings.extra { Some(genesis::again(&dir, &config).await) } else { None };
        let loaded = Config::load(&config).unwrap();
        Self {
            dir,
            config,
            origin: loaded.origin,
            rp_id: loaded.rp_id,
            extra,
            witness_config,
            port: Mutex::default(),
            service: Mutex::default(),
            witness: Mutex::default(),
        }
    }

    /// Starts the witness.
    pub(crate) fn start_witness(&self) {
        let config = self.witness_config.to_str().unwrap();
        let log = self.dir.with_file_name("witness.log");
        let process = Process::start(&witness_program(), &["serve", "--config", config, "--json"], &log);
        *self.witness.lock().unwrap() = Some(process.unwrap_or_else(|run| panic!("{run:?}")));
    }

    /// Stops the witness.
    pub(crate) fn stop_witness(&self) {
        assert_eq!(self.witness.lock().unwrap().take().unwrap().stop(), 0);
    }

    /// Starts the service, or says how it ended.
    pub(crate) fn try_serve(&self) -> Result<(), Run> {
        let arguments = ["serve", "--config", self.config.to_str().unwrap(), "--json", "--log", "info"];
        let process =
            Process::start(Path::new(TREERING), &arguments, &self.dir.with_file_name("service.log"))?;
        assert_eq!(process.ready["origin"], self.origin);
        let port = process.listening().rsplit(':').next().unwrap().parse().unwrap();
        *self.port.lock().unwrap() = port;
        *self.service.lock().unwrap() = Some(process);
        Ok(())
    }

    /// How a second service on the same log ends, beside the first.
    pub(crate) fn try_serve_again(&self) -> Run {
        let arguments = ["serve", "--config", self.config.to_str().unwrap(), "--json"];
        let second = Process::start(Path::new(TREERING), &arguments, &self.dir.with_file_name("second.log"));
        second.err().unwrap()
    }

    pub(crate) fn serve(&self) {
        self.try_serve().unwrap_or_else(|run| panic!("{run:?}"));
    }

    /// Stops the service as an operator would.
    pub(crate) fn stop(&self) {
        let process = self.service.lock().unwrap().take().unwrap();
        assert_eq!(process.stop(), 0, "{}", self.service_log());
    }

    /// Waits until the service has ended by itself; its exit code.
    pub(crate) fn ended(&self) -> i32 {
        self.service.lock().unwrap().take().unwrap().ended()
    }

    /// Kills the service, whatever it is doing.
    pub(crate) fn kill(&self) {
        self.service.lock().unwrap().take().unwrap().kill();
    }

    /// What the service wrote to its log.
    pub(crate) fn service_log(&self) -> String {
        fs::read_to_string(self.dir.with_file_name("service.log")).unwrap()
    }

    /// A file of the ledger.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port.lock().unwrap())
    }

    fn identity(&self, name: &str) -> Identity {
        Identity {
            certificate: fs::read(self.path(&format!("clients/{name}.pem"))).unwrap(),
            key: keys::read_secret(self.path(&format!("clients/{name}.key")).as_ref()).unwrap(),
        }
    }

    fn roots(&self) -> Vec<u8> {
        fs::read(self.path("tls/ca.pem")).unwrap()
    }

    /// The network, as somebody without a certificate.
    pub(crate) fn stranger(&self) -> Net {
        Net::new(&self.url(), &self.roots(), None)
    }

    /// The network, as a client of the configuration.
    pub(crate) fn net(&self, name: &str) -> Net {
        Net::new(&self.url(), &self.roots(), Some(&self.identity(name)))
    }

    /// The network, with a certificate and key of one's own.
    pub(crate) fn net_with(&self, certificate: &str, key: &str) -> Net {
        let key = zeroize::Zeroizing::new(key.as_bytes().to_vec());
        let identity = Identity { certificate: certificate.as_bytes().to_vec(), key };
        Net::new(&self.url(), &self.roots(), Some(&identity))
    }

    /// The program's own client.
    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.url(), &self.roots(), Some(&self.identity(name))).unwrap()
    }

    /// The program's own client, without a certificate.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(&self.url(), &self.roots(), None).unwrap()
    }

    /// The statement key of an issuer.
    pub(crate) fn signer(&self, name: &str) -> Box<dyn Signer> {
        if let Some(extra) = self.extra.as_ref().filter(|_| name == "p256") {
            return Box::new(Es256Signer::from_pkcs8(&extra.p256).unwrap());
        }
        let key = keys::read_ed25519(self.path(&format!("issuers/{name}.pem")).as_ref()).unwrap();
        Box::new(Ed25519Signer::from_seed(&key.to_bytes()).unwrap())
    }

    /// The trust file that relying parties have.
    pub(crate) fn trust(&self) -> Trust {
        Trust::parse(&fs::read(self.path("trust.json")).unwrap()).unwrap()
    }
}

/// A port for a witness, which is named by its address and comes back to it after a stop. Not one of those that the
/// system gives to connections (from 32768 on): one of them could take it meanwhile.
fn free_port() -> u16 {
    loop {
        let port = 20_000 + u16::from_be_bytes(super::random()) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Changes a TOML file.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut toml::Table)) {
    let mut table: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    change(&mut table);
    fs::write(path, toml::to_string_pretty(&table).unwrap()).unwrap();
}
