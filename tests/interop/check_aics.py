"""PyPI aics-tlog and aics-witness: a foreign auditor of tiles, checkpoint and cosignatures; a foreign witness whose
cosignature our quorum needs; and a foreign log that our witness cosigns.
"""

import base64
import http.client
import os

from aics_tlog import (
    Checkpoint, HttpTileReader, MerkleTree, Note, TileVerificationError, VerifiedTileReader, WitnessPolicy, audit_tiles,
    consistency_proof_from_tiles, format_vkey, inclusion_proof_from_tiles, leaf_hash, parse_note, parse_vkey,
    sign_checkpoint, verify_checkpoint, verify_consistency, verify_leaf_inclusion, vkey_from_ed25519,
)
from aics_witness.feeder import WitnessClient, WitnessRejected
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUDITOR = "aics-tlog"
WITNESS = "aics-witness"


class ForeignLog:
    """A log that `aics-tlog` keeps, in memory."""

    origin = "log.foreign.example/1"

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.vkey = format_vkey(vkey_from_ed25519(self.origin, self.key.public_key()))
        self.tree = MerkleTree([b"one", b"two", b"three"])

    def checkpoint(self, root=None):
        head = Checkpoint(self.origin, len(self.tree), root or self.tree.root())
        return sign_checkpoint(head, self.key, self.origin).to_bytes()


def policy_of(text):
    """Our C2SP tlog-policy as its JSON: the witnesses and the quorum, one group of them."""
    lines = [line.split() for line in text.splitlines()]
    (group,) = [line for line in lines if line[0] == "group"]
    return WitnessPolicy.from_dict({
        "witness_policy": {
            "quorum": int(group[2]), "witnesses": [line[2] for line in lines if line[0] == "witness"],
        },
        "max_checkpoint_age": 600,
    })


def check(report, ledger, own, foreign, log, early):
    """`log`: a ForeignLog that our own witness was told of; `early`: a checkpoint from before the log grew."""
    # Its reader takes the roots of the standard library.
    os.environ["SSL_CERT_FILE"] = str(ledger.ca)
    log_key = parse_vkey(ledger.log_vkey)
    policy = policy_of((ledger.folder / "witness-policy.txt").read_text())
    reader = HttpTileReader(ledger.url, proxies={})
    note = parse_note(reader.read_checkpoint())
    verified = verify_checkpoint(note, log_key, expected_origin=ledger.origin, policy=policy)

    def quorum():
        assert verified.ok, verified.error
        assert sorted(verified.witnesses) == sorted(vkey.split("+")[0] for vkey in (own.vkey, foreign.vkey)), verified

    report.holds(AUDITOR, "checkpoint, log signature and a quorum of both witnesses", quorum)
    report.refuses(AUDITOR, "a checkpoint of another log",
                   lambda: verify_checkpoint(note, log_key, expected_origin="log.other.example/1").ok)
    without = Note(note.text, tuple(line for line in note.signatures if "foreign" not in line.name))
    report.refuses(AUDITOR, "a checkpoint without one of the witnesses",
                   lambda: verify_checkpoint(without, log_key, policy=policy).ok)
    text = note.text.replace(f"\n{verified.size}\n", f"\n{verified.size + 1}\n")
    report.refuses(AUDITOR, "a checkpoint of another size",
                   lambda: verify_checkpoint(Note(text, note.signatures), log_key, policy=policy).ok)
    tiles(report, ledger, reader, verified, early, log_key, policy)
    witness(report, ledger, foreign, verified, log_key)
    feeds(report, own, log)


def feeds(report, own, log):
    """The foreign log brings its checkpoints to our witness, and verifies each cosignature that it gets."""
    client = WitnessClient(f"http://127.0.0.1:{own.port}", own.vkey, max_attempts=1)

    def submit(note):
        return client.submit(note, lambda old, new: log.tree.consistency_proof(old, new))

    def grows():
        for entry in (b"four", b"five"):
            assert submit(log.checkpoint()).startswith("— witness.interop.example/own "), "no line of the witness"
            log.tree.append(entry)
        assert submit(log.checkpoint())

    report.holds(WITNESS, "our witness cosigns a foreign log as it grows", grows)

    def rejected(note, status):
        try:
            submit(note)
        except WitnessRejected as refusal:
            _is(refusal.status, status)
        else:
            raise AssertionError("cosigned")

    report.holds(WITNESS, "our witness refuses a fork of the foreign log",
                 lambda: rejected(log.checkpoint(leaf_hash(b"fork")), 422))
    report.holds(WITNESS, "our witness refuses its name under another key",
                 lambda: rejected(ForeignLog().checkpoint(), 403))


def tiles(report, ledger, reader, head, early, log_key, policy):
    def audited():
        done = audit_tiles(reader, head.size, head.root)
        assert done.size == head.size and done.bundles == -(-head.size // 256), done

    report.holds(AUDITOR, f"audits all {head.size} entries, every tile and bundle", audited)
    # A reader of its own: one that met a tile that it could not prove does not ask that source again.
    other = HttpTileReader(ledger.url, proxies={})
    report.refuses(AUDITOR, "tiles under another root", lambda: audit_tiles(other, head.size, leaf_hash(b"x")),
                   TileVerificationError)
    proven = VerifiedTileReader(reader, head.size, head.root)

    def included():
        for index in (0, 1, 255, 256, head.size - 1):
            proof = inclusion_proof_from_tiles(proven, index, head.size)
            assert proven.entry(index) == ledger.statement(index), index
            assert verify_leaf_inclusion(proven.entry(index), index, head.size, proof, head.root), index

    report.holds(AUDITOR, "inclusion from tiles, and the entry is the statement", included)
    proof = inclusion_proof_from_tiles(proven, 1, head.size)
    report.refuses(AUDITOR, "another entry in the place of 1",
                   lambda: verify_leaf_inclusion(proven.entry(2), 1, head.size, proof, head.root))
    # Cosigned then, and too old or not by now: only the signatures count.
    old = verify_checkpoint(parse_note(early), log_key, policy=WitnessPolicy(policy.quorum, policy.witnesses))
    path = consistency_proof_from_tiles(proven, old.size, head.size)

    def consistent():
        assert old.ok and old.size < head.size, old.error
        assert verify_consistency(old.size, head.size, old.root, head.root, path)

    report.holds(AUDITOR, f"the log of size {old.size} is the beginning of that of size {head.size}", consistent)
    report.refuses(AUDITOR, "an older log with another root",
                   lambda: verify_consistency(old.size, head.size, leaf_hash(b"x"), head.root, path))


def witness(report, ledger, foreign, head, log_key):
    """The witness refuses what a dishonest log would bring it: the same size, another root, the log's own signature."""
    seed = (ledger.folder / "keys" / "log.pem").read_bytes()
    key = serialization.load_pem_private_key(seed, None)
    fork = sign_checkpoint(Checkpoint(ledger.origin, head.size, leaf_hash(b"fork")), key, ledger.origin)

    def add(note, old, proof=()):
        connection = http.client.HTTPConnection("127.0.0.1", foreign.port, timeout=30)
        lines = "".join(base64.b64encode(hash).decode() + "\n" for hash in proof)
        connection.request("POST", "/add-checkpoint", f"old {old}\n{lines}\n".encode() + note.to_bytes())
        return connection.getresponse().status

    report.holds(WITNESS, "refuses a fork of its log, signed by the log's own key",
                 lambda: _is(add(fork, head.size), 422))
    report.holds(WITNESS, "cosigns the same checkpoint again",
                 lambda: _is(add(parse_note(ledger.stranger.get("/checkpoint").body), head.size), 200))


def _is(got, want):
    assert got == want, f"status {got}, want {want}"
