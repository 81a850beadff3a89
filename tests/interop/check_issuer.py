"""Statements that `scitt-cose` and `cwt` make, by issuers that know nothing of Treering, registered through SCRAPI;
the receipts that come back verify at the client that made the statement.
"""

import cbor2
from scitt_cose import verify_receipt

from check_scitt_cose import flipped, receipt_key
from issuer import CertifiedIssuer, Issuer, high_s, low_s

CLIENT = "foreign issuer"
CERTIFIED = "certified issuer"


def check(report, name, ledger, scanner):
    key = receipt_key(ledger)
    for library, make in [("scitt-cose", scanner.by_scitt_cose), ("cwt", scanner.by_cwt)]:
        statement = make(b'{"found":0}' + library.encode())

        def registered():
            reply = ledger.stranger.register(statement)
            location = reply.headers["Location"]
            assert location == f"/entries/{ledger.entry_id(statement)}", location
            assert reply.headers["Content-Type"] == "application/cose", reply.headers
            for receipt in (reply.body, ledger.stranger.get(location).body):
                result = verify_receipt(receipt, leaf_entry_hex=statement.hex(), log_public_key_pem=key)
                assert result.ok, result.errors
            # As it was sent, and once: the place is that of the first time.
            assert ledger.statement(result.leaf_index) == statement
            again = ledger.stranger.register(statement)
            result = verify_receipt(again.body, leaf_entry_hex=statement.hex(), log_public_key_pem=key)
            assert result.ok and ledger.statement(result.leaf_index) == statement, result
            assert again.headers["Location"] == location

        report.holds(CLIENT, f"({name}) a statement of {library} registered, and its receipt", registered)

    statement = scanner.by_scitt_cose(b'{"found":1}')
    refused = {
        "a changed payload": flipped(statement, statement.index(b"found")),
        "a changed signature": flipped(statement, -40),
        "another key in its issuer's name": Issuer().by_scitt_cose(b'{"found":2}'),
        "the high-S twin of its signature": high_s(statement),
    }
    for what, changed in refused.items():

        def turned_down():
            problem = ledger.stranger.register(changed, 400)
            assert problem.headers["Content-Type"] == "application/concise-problem-details+cbor", problem.headers
            assert {-1, -2} <= set(cbor2.loads(problem.body)), problem.body

        report.holds(CLIENT, f"({name}) is refused with {what}", turned_down)


def check_certified(report, name, ledger, issuer):
    """An issuer that the policy knows by a root certificate, and whose library does not know of low S."""
    key = receipt_key(ledger)

    def registered():
        spellings = set()
        for run in range(200):
            statement = issuer.by_cwt(b'{"found":0,"run":%d}' % run)
            spellings.add(statement == low_s(statement))
            reply = ledger.stranger.register(statement)
            result = verify_receipt(reply.body, leaf_entry_hex=statement.hex(), log_public_key_pem=key)
            assert result.ok and ledger.statement(result.leaf_index) == statement, result
            if len(spellings) == 2:
                return
        raise AssertionError("the library signs with one spelling of S only")

    report.holds(CERTIFIED, f"({name}) statements of cwt with x5chain registered, low S and high S", registered)
    with_root = issuer.by_cwt(b"{}", (issuer.own, issuer.ca, issuer.root))
    report.holds(CERTIFIED, f"({name}) and with the root itself", lambda: ledger.stranger.register(with_root))

    statement = issuer.by_cwt(b'{"found":1}')
    ledger.stranger.register(statement)
    twin = high_s(statement) if statement == low_s(statement) else low_s(statement)
    other = CertifiedIssuer()
    refused = {
        "the other spelling of a signature that is there": twin,
        "another root of the same name": other.by_cwt(b'{"found":2}'),
        "a chain with a gap": issuer.by_cwt(b'{"found":3}', (issuer.own,)),
        "somebody else's certificate": issuer.by_cwt(b'{"found":4}', (other.own, issuer.ca)),
        "a changed certificate": flipped(statement, statement.index(b"Interop CA")),
    }
    for what, changed in refused.items():

        def turned_down():
            problem = ledger.stranger.register(changed, 400)
            assert problem.headers["Content-Type"] == "application/concise-problem-details+cbor", problem.headers
            assert {-1, -2} <= set(cbor2.loads(problem.body)), problem.body

        report.holds(CERTIFIED, f"({name}) is refused with {what}", turned_down)
