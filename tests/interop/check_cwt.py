"""PyPI cwt and pyhpke: our grant (COSE_Encrypt0, HPKE-3) and our content (COSE_Encrypt, A256KW and A256GCM) opened by
foreign libraries; and content that they sealed, registered, and opened by the service.
"""

import hashlib
import hmac
import json
import os
import time

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cwt import COSE, COSEKey
from cwt.exceptions import DecodeError, VerifyError
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from pyhpke.exceptions import OpenError
from scitt_cose import sign_sign1

from world import DOMAIN, b64u, from_b64u

CWT = "cwt"
PYHPKE = "pyhpke"
GRANTEE = "Foreign Audit Ltd"
REFUSED = (DecodeError, VerifyError)


def det(value):
    return cbor2.dumps(value, canonical=True)


class Auditor:
    """Who holds `auditor.key`, and knows of us what docs/protocol.md says."""

    def __init__(self, ledger):
        self.ledger, self.web = ledger, ledger.client("auditor")
        jwk = json.loads((ledger.folder / "auditor.key").read_text())
        self.kid, self.x, self.d = (from_b64u(jwk[member]) for member in ("kid", "x", "d"))
        (self.grant,) = self.web.get(f"/v1/grants/by-key/{jwk['kid']}").json()["grants"]
        self.message = from_b64u(self.grant["message"])
        self.aad = det(["treering-grant-v1", ledger.origin, GRANTEE])

    def by_cwt(self, message, aad):
        """The grant key: key type OKP, curve X25519, algorithm HPKE-3."""
        secret = COSEKey.new({1: 1, 2: self.kid, 3: 41, -1: 4, -2: self.x, -4: self.d})
        return COSE.new().decode(message, keys=[secret], external_aad=aad)

    def by_pyhpke(self, message, aad):
        """The grant key by bare HPKE: the Enc_structure of RFC 9052, 5.3, is its associated data."""
        protected, unprotected, sealed = cbor2.loads(message).value
        suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
        key = KEMKey.from_jwk({"kty": "OKP", "crv": "X25519", "x": b64u(self.x), "d": b64u(self.d)})
        context = suite.create_recipient_context(unprotected[-4], key, info=b"")
        return context.open(sealed, aad=det(["Encrypt0", protected, aad]))

    def keks(self, grant_key):
        """The key-encryption keys of the grant, by their ids."""
        wrapped = self.web.get(f"/v1/grants/{self.grant['grant']}/keys").json()["keys"]
        return {from_b64u(key["kek_id"]): aes_key_unwrap(grant_key, from_b64u(key["wrapped"])) for key in wrapped}

    def sealed(self, statement):
        leaf = b64u(hashlib.sha256(b"\0" + statement).digest())
        return self.web.get(f"/v1/leaves/{leaf}/content").body


def check(report, ledger):
    auditor = Auditor(ledger)
    message, aad = auditor.message, auditor.aad
    grant_key = auditor.by_cwt(message, aad)
    report.holds(CWT, "opens the grant", lambda: _equal(len(grant_key), 32))
    report.holds(PYHPKE, "opens the grant to the same key", lambda: _equal(auditor.by_pyhpke(message, aad), grant_key))
    other = det(["treering-grant-v1", ledger.origin, "Somebody Else"])
    changed = message[:-1] + bytes([message[-1] ^ 1])
    for name, attempt in [("another grantee's grant", (message, other)), ("a changed grant", (changed, aad))]:
        report.refuses(CWT, name, lambda: auditor.by_cwt(*attempt), *REFUSED)
        report.refuses(PYHPKE, name, lambda: auditor.by_pyhpke(*attempt), OpenError)

    keys = auditor.keks(grant_key)
    kinds = {}
    for index in range(ledger.tree_size()):
        statement = ledger.statement(index)
        protected = cbor2.loads(cbor2.loads(statement).value[0])
        label = protected.get("treering", {})
        if "commit" in label:
            kinds[label["kind"]] = (index, statement, protected)
    wanted = {"activation", "appraisal", "approval", "grant", "issuance", "mapping", "policy", "workload-provenance"}
    report.holds(CWT, "content of every kind is there", lambda: _equal(wanted - set(kinds), set()))
    for kind, (index, statement, protected) in sorted(kinds.items()):
        sealed = auditor.sealed(statement)

        def opens():
            plaintext = opened(sealed, keys, context(ledger.origin, protected))
            commitment(plaintext, kind, protected["treering"]["commit"])
            _equal(hashlib.sha256(sealed).digest(), cbor2.loads(statement).value[2])

        report.holds(CWT, f"opens the content of statement {index} ({kind}), and it is what was committed to", opens)
    _, statement, protected = kinds["issuance"]
    sealed, elsewhere = auditor.sealed(statement), context(ledger.origin, kinds["mapping"][2])
    report.refuses(CWT, "content under another statement", lambda: opened(sealed, keys, elsewhere), *REFUSED)
    at = sealed.rindex(cbor2.loads(sealed).value[2])
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:]
    report.refuses(
        CWT, "changed content", lambda: opened(changed, keys, context(ledger.origin, protected)), *REFUSED
    )
    seals(report, ledger, auditor, keys)


def context(origin, protected):
    """The associated data of content: where it belongs."""
    claims = protected[15]
    return det(["treering-content-v1", origin, claims[1], claims[2], protected["treering"]["kind"]])


def opened(sealed, keys, aad):
    """Content by cwt: COSE_Encrypt with one A256KW recipient."""
    (recipient,) = cbor2.loads(sealed).value[3]
    kek_id = recipient[1][4]
    kek = COSEKey.from_symmetric_key(key=keys[kek_id], alg="A256KW", kid=kek_id)
    return cbor2.loads(COSE.new().decode(sealed, keys=[kek], external_aad=aad))


def commitment(plaintext, kind, commit):
    assert set(plaintext) == {"nonce", "type", "body"} and len(plaintext["nonce"]) == 32, plaintext.keys()
    message = b"treering-commit-v1\0" + kind.encode() + b"\0" + det(plaintext)
    _equal(hmac.digest(plaintext["nonce"], message, "sha256"), commit)


def seals(report, ledger, auditor, keys):
    """A registrant without our client: a content key from the service, AES-GCM by `cryptography`, the statement by
    scitt-cose, with the key that `init` gave to CI."""
    kind, issuer = "workload-provenance", f"https://ci.{DOMAIN}"
    registrant = ledger.client("ci")
    body = det({"v": 1, "workload": "payments-api", "type": "sbom", "media_type": "application/spdx+json",
                "body": b'{"spdxVersion":"SPDX-2.3"}', "subjects": []})
    statement, sealed = confidential(ledger, registrant, issuer, kind, body)

    def registered():
        registrant.put(f"/v1/content/{b64u(hashlib.sha256(sealed).digest())}", sealed, "application/cose")
        registrant.register(statement)
        # Kept under the statement, and cwt reads back what went in.
        protected = cbor2.loads(cbor2.loads(statement).value[0])
        plaintext = opened(auditor.sealed(statement), keys, context(ledger.origin, protected))
        _equal(plaintext["body"], body)

    report.holds("scitt-cose", "seals content that the service opens, and registers it", registered)

    # The service must have opened it: what does not open, or is not committed to, is not registered.
    def refused(change):
        statement, sealed = confidential(ledger, registrant, issuer, kind, body, change)
        registrant.put(f"/v1/content/{b64u(hashlib.sha256(sealed).digest())}", sealed, "application/cose")
        problem = cbor2.loads(registrant.register(statement, 400).body)
        _equal(problem[-1], "Rejected")

    for name, change in [("content under another origin", "origin"), ("a false commitment", "commit")]:
        report.holds("scitt-cose", f"is refused with {name}", lambda: refused(change))


def confidential(ledger, registrant, issuer, kind, body, change=None):
    """A statement and its content, right but for what `change` names."""
    given = registrant.post_json("/v1/content-keys", {"kind": kind}).json()
    key, kek_id, wrapped = (from_b64u(given[member]) for member in ("key", "kek_id", "wrapped"))
    plaintext = {"nonce": os.urandom(32), "type": f"application/vnd.treering.{kind}+cbor", "body": body}
    claims = {1: issuer, 2: "sbom-of-payments", 3: ledger.origin, 6: int(time.time())}
    origin = "log.other.example/1" if change == "origin" else ledger.origin
    aad = det(["treering-content-v1", origin, claims[1], claims[2], kind])
    protected, iv = det({1: 3}), os.urandom(12)
    ciphertext = AESGCM(key).encrypt(iv, det(plaintext), det(["Encrypt", protected, aad]))
    sealed = det(cbor2.CBORTag(96, [protected, {5: iv}, ciphertext, [[b"", {1: -5, 4: kek_id}, wrapped]]]))
    message = b"treering-commit-v1\0" + kind.encode() + b"\0" + det(plaintext)
    commit = hmac.digest(b"another nonce" if change == "commit" else plaintext["nonce"], message, "sha256")
    pem = (ledger.folder / "issuers" / "ci.pem").read_bytes()
    kid = thumbprint(serialization.load_pem_private_key(pem, None).public_key().public_bytes_raw())
    header = {
        1: -8, 4: kid, 15: claims, 258: -16, 259: 'application/cose; cose-type="cose-encrypt"',
        "treering": {"v": 1, "kind": kind, "commit": commit, "parents": []},
    }
    # Deterministic order: by the bytes of the keys, which is the order above.
    return sign_sign1(hashlib.sha256(sealed).digest(), alg="EdDSA", private_key_pem=pem, protected=header), sealed


def thumbprint(ed25519):
    return hashlib.sha256(cbor2.dumps({1: 1, -1: 6, -2: ed25519}, canonical=True)).digest()


def _equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"
