"""PyPI cddl-verifier: our bytes against the schemas of the RFCs, and that they are deterministic."""

from pathlib import Path

import cbor2
from cddl_verifier import Validator
from scitt_cose import attach_receipts

CLIENT = "cddl-verifier"
SCHEMA = Path(__file__).with_name("rfc9942-rfc9943.cddl")


def check(report, ledger, foreign):
    """`foreign`: a registered statement that a foreign client made."""
    validator = Validator(SCHEMA)

    def valid(data, rule):
        return validator.validate(data, rule, require_deterministic=True)

    def holds(name, data, rule):
        def lawful():
            result = valid(data, rule)
            assert result.valid, result.format()

        report.holds(CLIENT, f"{name} is a {rule}", lawful)

    def refuses(name, data, rule):
        report.refuses(CLIENT, name, lambda: valid(data, rule).valid)

    size = ledger.tree_size()
    for index in range(size):
        statement = ledger.statement(index)
        label = cbor2.loads(cbor2.loads(statement).value[0]).get("treering", {"kind": "foreign"})
        # Foreign statements are kept as they were signed, in whatever order their maps are.
        if label["kind"] != "foreign":
            holds(f"statement {index} ({label['kind']})", statement, "Registered_Statement")
    statement = ledger.statement(size - 1)
    inclusion = ledger.receipt(statement)
    consistency = ledger.stranger.get("/v1/consistency-receipt?from=3").body
    ours = ledger.statement(ledger.provenance)
    transparent = attach_receipts(ours, [ledger.receipt(ours), inclusion])
    holds("inclusion receipt", inclusion, "Receipt_For_Inclusion")
    holds("consistency receipt", consistency, "Receipt_For_Consistency")
    holds("statement with two receipts", transparent, "Transparent_Statement")
    with_foreign = validator.validate(attach_receipts(foreign, [ledger.receipt(foreign)]), "Transparent_Statement")
    report.holds(CLIENT, "foreign statement with a receipt is a Transparent_Statement",
                 lambda: _assert(with_foreign.valid, with_foreign.format()))

    refuses("an inclusion receipt as one of consistency", inclusion, "Receipt_For_Consistency")
    refuses("a consistency receipt as one of inclusion", consistency, "Receipt_For_Inclusion")
    refuses("a receipt without kid", _without(inclusion, 4), "Receipt_For_Inclusion")
    refuses("a receipt without CWT claims", _without(inclusion, 15), "Receipt_For_Inclusion")
    refuses("a receipt whose path is not nested", _flat(inclusion), "Receipt_For_Inclusion")
    refuses("a receipt without its tag", inclusion[1:], "Receipt_For_Inclusion")
    refuses("a statement without receipts as transparent", ours, "Transparent_Statement")
    refuses("a receipt with an integer in too many octets", _resized(inclusion), "Receipt_For_Inclusion")


def _assert(condition, why):
    assert condition, why


def _without(receipt, label):
    tag = cbor2.loads(receipt)
    protected = cbor2.loads(tag.value[0])
    del protected[label]
    return cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps(protected, canonical=True), *tag.value[1:]]))


def _flat(receipt):
    tag = cbor2.loads(receipt)
    size, index, path = cbor2.loads(tag.value[1][396][-1][0])
    proof = cbor2.dumps([size, index, *path])
    return cbor2.dumps(cbor2.CBORTag(18, [tag.value[0], {396: {-1: [proof]}}, *tag.value[2:]]))


def _resized(receipt):
    """The label 396 in four octets instead of two."""
    return receipt.replace(b"\x19\x01\x8c", b"\x1a\x00\x00\x01\x8c", 1)
