"""PyPI scitt-cose: signed statements, receipts of inclusion over SCRAPI, receipts of consistency.

It has no call for a receipt of consistency as a whole: the signature is checked by `verify_sign1` over the newer root,
detached as RFC 9942 has it, and the path by `verify_consistency`.
"""

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from scitt_cose import (
    CoseError, leaf_hash, merkle_root, parse_signed_statement, verify_consistency, verify_receipt, verify_sign1,
)

from check_transmute import in_path
from issuer import public_pem
from world import b64u

CLIENT = "scitt-cose"


def receipt_key(ledger):
    """The log's key, as SCRAPI publishes it, as a PEM."""
    (key,) = cbor2.loads(ledger.stranger.get("/.well-known/scitt-keys").body)
    return cose_key_pem(key)


def cose_key_pem(key):
    if key[1] == 1:
        return public_pem(ed25519.Ed25519PublicKey.from_public_bytes(key[-2]))
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(key[-2], "big"), int.from_bytes(key[-3], "big"), ec.SECP256R1()
    )
    return public_pem(numbers.public_key())


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def check(report, name, ledger):
    key = receipt_key(ledger)
    size = ledger.tree_size()
    entries = [ledger.statement(index) for index in range(size)]

    for index in (0, 1, size // 2, size - 1):
        receipt = ledger.receipt(entries[index])

        def included(index=index, receipt=receipt):
            result = verify_receipt(receipt, leaf_entry_hex=entries[index].hex(), log_public_key_pem=key)
            assert result.ok, result.errors
            assert result.leaf_index == index and result.tree_size >= size, result
            assert result.subject == ledger.origin and result.issuer, result

        report.holds(CLIENT, f"({name}) inclusion receipt of entry {index}", included)

    receipt = ledger.receipt(entries[2])

    def verdict(receipt, entry):
        return verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=key).ok

    report.refuses(CLIENT, f"({name}) a receipt for another entry", lambda: verdict(receipt, entries[3]))
    tampered = {"signature": flipped(receipt, -1), "path": flipped(receipt, in_path(receipt, -1)),
                "protected header": flipped(receipt, receipt.index(ledger.origin.encode()))}
    for part, changed in tampered.items():
        report.refuses(CLIENT, f"({name}) a receipt with a changed {part}", lambda: verdict(changed, entries[2]))

    consistency(report, name, ledger, key, entries)


def consistency(report, name, ledger, key, entries):
    size = len(entries)
    roots = {old: merkle_root([entry.hex() for entry in entries[:old]]) for old in (1, 2, 3, size // 2, size - 1, size)}

    def verify(receipt, old, old_root):
        """RFC 9942, 5.3.1: the signature over the newer root, then the path from the root that is known."""
        _, _, (first, second, path) = _proof(receipt)
        verify_sign1(receipt, public_key_pem=key, detached_payload=bytes.fromhex(roots[second]))
        return first == old and verify_consistency(old_root, roots[second], first, second, [h.hex() for h in path])

    for old in sorted({1, 2, 3, size // 2, size - 1}):
        receipt = ledger.stranger.get(f"/v1/consistency-receipt?from={old}").body

        def consistent(old=old, receipt=receipt):
            assert verify(receipt, old, roots[old])

        report.holds(CLIENT, f"({name}) consistency receipt from {old} to {size}", consistent)

    receipt = ledger.stranger.get("/v1/consistency-receipt?from=3").body
    report.refuses(CLIENT, f"({name}) a consistency receipt from another tree", lambda: verify(receipt, 3, roots[2]))
    report.refuses(CLIENT, f"({name}) a consistency receipt with a changed path",
                   lambda: verify(flipped(receipt, in_path(receipt, -2)), 3, roots[3]))
    report.refuses(CLIENT, f"({name}) a consistency receipt with a changed signature",
                   lambda: verify(flipped(receipt, -1), 3, roots[3]), CoseError)


def _proof(receipt):
    protected, unprotected, _, _ = cbor2.loads(receipt).value
    (proof,) = unprotected[396][-2]
    return protected, unprotected, cbor2.loads(proof)


def statements(report, ledger):
    """Our own statements: the registration policy, the trust anchors and an issuance, with the keys of the trust file
    (and of entry 1 for the roles)."""
    anchors = cbor2.loads(parse_payload(ledger.statement(1)))
    keys = {role["iss"]: cose_key_pem(cbor2.loads(role["key"])) for role in anchors["roles"]}
    by_kind = {}
    for index in range(ledger.tree_size()):
        statement = ledger.statement(index)
        protected = cbor2.loads(cbor2.loads(statement).value[0])
        label = protected.get("treering")
        if label and protected[15][1] in keys:
            by_kind.setdefault(label["kind"], (index, statement, keys[protected[15][1]], protected[15][1]))
    wanted = {"policy", "trust-anchor", "appraisal", "mapping", "issuance", "activation", "grant"}
    assert wanted <= set(by_kind), f"the log has {sorted(by_kind)}"
    for kind, (index, statement, key, issuer) in sorted(by_kind.items()):

        def verifies():
            parsed = parse_signed_statement(statement, public_key_pem=key)
            assert parsed["signature_verified"] is True, parsed
            assert parsed["issuer"] == issuer and parsed["subject"], parsed

        report.holds(CLIENT, f"signed statement {index} ({kind})", verifies)
    index, statement, key, _ = by_kind["issuance"]
    for part, at in {"signature": -1, "payload": -67}.items():
        changed = flipped(statement, at)
        report.refuses(CLIENT, f"signed statement {index} with a changed {part}",
                       lambda: parse_signed_statement(changed, public_key_pem=key)["signature_verified"])


def parse_payload(statement):
    return cbor2.loads(statement).value[2]


def same_leaf(report, ledger):
    """That the leaf is SHA-256(0x00 || entry) is a convention (RFC 9942 leaves it open): scitt-cose's is ours."""
    statement = ledger.statement(0)

    def found():
        leaf = b64u(bytes.fromhex(leaf_hash(statement.hex())))
        assert ledger.stranger.get(f"/v1/leaves/{leaf}").json() == {"index": 0}

    report.holds(CLIENT, "its leaf hash names the entry", found)
