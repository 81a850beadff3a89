"""npm @transmute/cose: what `check_transmute.mjs` verifies, fetched and written down for it."""

import json

import cbor2
from scitt_cose import attach_receipts, leaf_hash, merkle_root

from world import b64u


def check(report, node, modules, ledger, scanner, statement):
    size = ledger.tree_size()
    entries = [ledger.statement(index) for index in range(size)]
    root = merkle_root([entry.hex() for entry in entries])
    (key,) = cbor2.loads(ledger.stranger.get("/.well-known/scitt-keys").body)
    given = {
        "log_key": {"kty": "EC", "crv": "P-256", "alg": "ES256", "x": b64u(key[-2]), "y": b64u(key[-3])},
        "root": b64u(bytes.fromhex(root)),
        "inclusion": [],
        "consistency": [],
        "transparent": {
            "bytes": b64u(attach_receipts(statement, [ledger.receipt(statement)])),
            "payload": b64u(cbor2.loads(statement).value[2]),
            "issuer_key": scanner.jwk,
            "issuer_kid": b64u(scanner.kid),
        },
    }
    for index in (0, 1, 2, size // 2, size - 1):
        receipt = ledger.receipt(entries[index])
        leaf = bytes.fromhex(leaf_hash(entries[index].hex()))
        given["inclusion"].append(
            {"index": index, "leaf": b64u(leaf), "receipt": b64u(receipt), "in_path": in_path(receipt, -1)}
        )
    # Not from a power of two: see check_transmute.mjs.
    for old in (3, 5, 6, 7, size - 1):
        receipt = ledger.stranger.get(f"/v1/consistency-receipt?from={old}").body
        old_root = bytes.fromhex(merkle_root([entry.hex() for entry in entries[:old]]))
        given["consistency"].append(
            {"from": old, "old_root": b64u(old_root), "receipt": b64u(receipt), "in_path": in_path(receipt, -2)}
        )
    file = ledger.world.dir / "transmute.json"
    file.write_text(json.dumps(given))
    script = __file__.replace(".py", ".mjs")
    report.program("@transmute/cose", [node, script, file, modules], least=18)


def in_path(receipt, kind):
    """An offset within the first hash of the path: behind the byte string's head, `58 20`."""
    proof = cbor2.loads(receipt).value[1][396][kind][0]
    return receipt.index(proof) + proof.index(b"\x58\x20") + 7
