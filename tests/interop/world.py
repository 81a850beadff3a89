"""The services under test: real ledgers made by `treering init`, served over TLS, with a witness of ours and one that
others wrote, and things in the log as people put them there: by the command line.

Everything lies in one temporary folder, listens on the loopback interface, and ends with this process.
"""

import base64
import ctypes
import hashlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import cbor2

from web import Web

DOMAIN = "simulated.interop.example"
TARGET = f"spiffe://{DOMAIN}/payments/api"
SCANNER = "https://scanner.interop.example"
CERTIFIED = "https://certified.interop.example/scanner"
MANIFEST = f"""
version = 1
identifier = "{TARGET}"
appraisal_policy = "default"
reference_values = "payments-api"
max_ttl_s = 900

[[selector]]
name = "released"
tee = ["sev-snp"]
assurance = ["hardware", "simulated"]
reference_values = ["payments-api 1.4.2"]

[selector.claims]
environment = "interop"
"""
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs" / "samples"


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _die_with_parent():
    """The kernel ends a server whose driver ended, however it ended (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


class World:
    """The folder, the programs that run, and the two ledgers."""

    def __init__(self, binaries, venv):
        self.dir = Path(tempfile.mkdtemp(prefix="treering-interop-"))
        self.binaries, self.venv = binaries, venv
        self.processes = []
        # A free port each, not one of those that the system gives to connections (from 32768 on).
        self.ports = (port for port in iter(lambda: 20_000 + secrets.randbelow(12_000), None) if _free(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.dir)

    def run(self, *command, **options):
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)
        if run.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: status {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout

    def start(self, name, *command):
        """Starts a server; its output is in `name`.log. Gives what it writes to standard output."""
        log = open(self.dir / f"{name}.log", "wb")
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, preexec_fn=_die_with_parent,
        )
        self.processes.append(process)
        return process

    def wait_for_port(self, name, port):
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{name} does not listen:\n{(self.dir / f'{name}.log').read_text()}")

    def treering(self, *arguments):
        return self.run(self.binaries / "treering", *arguments)

    # ---- Witnesses ----

    def own_witness(self, also=()):
        """A `treering-witness`, made but not yet told of the log; `also` are verifier keys of other logs."""
        folder, port = self.dir / "own-witness", next(self.ports)
        name = "witness.interop.example/own"
        vkey = self.run(self.binaries / "treering-witness", "init", "--dir", folder, "--name", name).strip()

        def serve(origin, log_vkey):
            config = folder / "witness.toml"
            logs = "".join(f'[[log]]\nvkey = "{vkey}"\n' for vkey in (log_vkey, *also))
            config.write_text(
                f'name = "{name}"\nkey_file = "witness.key"\nstate_dir = "state"\nlisten = "127.0.0.1:{port}"\n{logs}'
            )
            self.start("own-witness", self.binaries / "treering-witness", "serve", "--config", config, "--json")
            self.wait_for_port("own-witness", port)

        return Witness(vkey, port, serve)

    def foreign_witness(self):
        """An `aics-witness`, likewise."""
        folder, port = self.dir / "foreign-witness", next(self.ports)
        folder.mkdir()
        program, config = self.venv / "bin" / "aics-witness", folder / "witness.json"
        said = self.run(program, "init", "--config", config, "--name", "witness.interop.example/foreign")
        vkey = next(word for word in said.split() if word.startswith("witness.interop.example/foreign+"))

        def serve(origin, log_vkey):
            self.run(program, "add-log", "--config", config, "--origin", origin, "--vkey", log_vkey)
            listen = f"127.0.0.1:{port}"
            self.start("foreign-witness", program, "serve", "--config", config, "--listen", listen)
            self.wait_for_port("foreign-witness", port)

        return Witness(vkey, port, serve)

    # ---- Ledgers ----

    def ledger(self, name, issuers, witnesses=(), receipt_alg="eddsa"):
        """Makes a ledger that takes the statements of `issuers` (their files), and serves it."""
        folder = self.dir / name
        arguments = ["init", "--dir", folder, "--trust-domain", DOMAIN, "--simulated", "--json"]
        arguments += ["--listen", "127.0.0.1:0", "--receipt-alg", receipt_alg]
        for issuer in issuers:
            arguments += ["--issuer", issuer]
        for witness in witnesses:
            arguments += ["--witness", f"{witness.vkey}=http://127.0.0.1:{witness.port}"]
        if witnesses:
            arguments += ["--quorum", len(witnesses)]
        made = json.loads(self.treering(*arguments))
        for witness in witnesses:
            witness.serve(made["origin"], made["log_vkey"])
        serve = self.start(name, self.binaries / "treering", "serve", "--config", made["config"], "--json")
        if not select.select([serve.stdout], [], [], 60)[0]:
            raise RuntimeError(f"{name} says nothing:\n{(self.dir / f'{name}.log').read_text()}")
        ready = serve.stdout.readline()
        if not ready:
            raise RuntimeError(f"{name} does not start:\n{(self.dir / f'{name}.log').read_text()}")
        port = json.loads(ready)["listening"].rsplit(":", 1)[1]
        return Ledger(self, folder, made, f"https://localhost:{port}")


class Witness:
    def __init__(self, vkey, port, serve):
        self.vkey, self.port, self.serve = vkey, port, serve


class Ledger:
    """One served ledger, and the people who use it."""

    def __init__(self, world, folder, made, url):
        self.world, self.folder, self.url = world, folder, url
        self.origin, self.log_vkey = made["origin"], made["log_vkey"]
        self.ca = folder / "tls" / "ca.pem"
        self.stranger = Web(url, self.ca)

    def client(self, name):
        clients = self.folder / "clients"
        return Web(self.url, self.ca, clients / f"{name}.pem", clients / f"{name}.key")

    def _at(self, name):
        clients = self.folder / "clients"
        return ["--url", self.url, "--tls-ca", self.ca, "--json",
                "--client-cert", clients / f"{name}.pem", "--client-key", clients / f"{name}.key"]

    def _by(self, name):
        return ["--iss", f"https://{name}.{DOMAIN}", "--signing-key", self.folder / "issuers" / f"{name}.pem",
                "--origin", self.origin, *self._at(name)]

    def do(self, *arguments):
        return json.loads(self.world.treering(*arguments))

    def live(self):
        """A life: provenance, reference values, policies with consent, a credential, a grant."""
        work = self.folder.parent
        image = work / "app.img"
        image.write_bytes(b"an image that CI built")
        build = work / "build.json"
        build.write_text('{"_type":"https://in-toto.io/Statement/v1","predicate":{}}')
        added = self.do(
            "provenance", "add", "--kind", "build", "--workload", "payments-api", "--file", build, "--media-type",
            "application/vnd.in-toto+json", "--subject", hashlib.sha256(image.read_bytes()).hexdigest(),
            *self._by("ci"),
        )
        value = f"payments-api 1.4.2={hashlib.sha384(image.read_bytes()).hexdigest()}"
        reference = self.do("provenance", "reference", "--workload", "payments-api", "--value", value,
                            "--provenance", added["leaf"], *self._by("ci"))
        manifest = work / "manifest.toml"
        manifest.write_text(MANIFEST)
        self.provenance, leaves = added["index"], [reference["leaf"]]
        for kind, name, file in [("appraisal", "default", SAMPLES / "appraisal-policy.toml"),
                                 ("mapping", TARGET, manifest)]:
            proposed = self.do("policy", "propose", "--kind", kind, "--name", name, "--file", file, *self._by("author"))
            leaves.append(proposed["leaf"])
        for leaf in leaves:
            self.do("policy", "approve", "--policy", leaf, *self._by("approver"))
            self.do("policy", "activate", "--policy", leaf, *self._at("operator"))
        self.do("grant", "make", "--grantee", "Foreign Audit Ltd", "--public-key", self.folder / "auditor.pub",
                "--days", "1", *self._at("operator"))
        # As a workload: it has no certificate yet.
        rp_id = self.stranger_rp_id()
        self.do("acquire", "--url", self.url, "--tls-ca", self.ca, "--json", "--rp-id", rp_id, "--target", TARGET,
                "--simulated", self.folder / "platform", "--image", image, "--out", work / "workload")

    def stranger_rp_id(self):
        return self.stranger.post_json("/v1/challenges", {"target": TARGET}, 201).json()["rp_id"]

    def tree_size(self):
        """The size of the newest checkpoint."""
        return int(self.stranger.get("/checkpoint").body.split(b"\n")[1])

    def settle(self):
        """Waits until everything committed is under the checkpoint; its note."""
        receipt = cbor2.loads(self.stranger.get("/v1/consistency-receipt?from=1").body)
        return self.checkpoint_of(cbor2.loads(receipt.value[1][396][-2][0])[1])

    def checkpoint_of(self, size):
        """The newest checkpoint, once it covers so many entries: the witnesses are a moment behind the commit."""
        for _ in range(300):
            note = self.stranger.get("/checkpoint").body
            if int(note.split(b"\n")[1]) >= size:
                return note
            time.sleep(0.05)
        raise AssertionError(f"no checkpoint of size {size}: {note!r}")

    def statement(self, index):
        return self.stranger.get(f"/v1/statements/{index}").body

    def entry_id(self, statement):
        return b64u(hashlib.sha256(b"\0" + statement).digest())

    def receipt(self, statement):
        return self.stranger.get(f"/entries/{self.entry_id(statement)}").body


def _free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
