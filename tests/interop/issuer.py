"""A SCITT issuer that knows nothing of Treering: a P-256 key, statements made by `scitt-cose` and by `cwt`.

It heeds two things that docs/protocol.md asks of every client: `kid` is the RFC 9679 thumbprint of the key, and ECDSA
signatures have low S, so that nobody but the signer can make a second encoding of one statement.
"""

import hashlib

import cbor2
import scitt_cose
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey

from world import SCANNER, b64u

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Issuer:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        self.cose_key = cbor2.dumps({1: 2, -1: 1, -2: x, -3: y}, canonical=True)
        self.kid = hashlib.sha256(self.cose_key).digest()
        self.private_pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public_pem = public_pem(self.key.public_key())
        self.jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "x": b64u(x), "y": b64u(y)}

    def file(self, path):
        """The issuer as `treering init --issuer` reads it."""
        path.write_text(
            f'iss = "{SCANNER}"\nkey = "{b64u(self.cose_key)}"\nkinds = ["workload-provenance"]\npublic = true\n'
        )
        return path

    def by_scitt_cose(self, payload):
        statement = scitt_cose.build_signed_statement(
            payload, alg="ES256", private_key_pem=self.private_pem, issuer=SCANNER, subject="scan",
            content_type="application/vnd.interop.scan+json", kid=self.kid,
        )
        return low_s(statement)

    def by_cwt(self, payload):
        key = COSEKey.from_pem(self.private_pem, alg="ES256", kid=self.kid)
        cose = COSE.new(alg_auto_inclusion=False, kid_auto_inclusion=False)
        header = {1: -7, 4: self.kid, 3: "application/vnd.interop.scan+json", 15: {1: SCANNER, 2: "scan"}}
        return low_s(cose.encode_and_sign(payload, key, protected=header))


def public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def low_s(statement):
    return with_s(statement, lambda s: min(s, P256_ORDER - s))


def high_s(statement):
    return with_s(statement, lambda s: max(s, P256_ORDER - s))


def with_s(statement, change):
    """The same statement with S or with n - S: both verify."""
    tag = cbor2.loads(statement)
    protected, unprotected, payload, signature = tag.value
    s = change(int.from_bytes(signature[32:], "big"))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature[:32] + s.to_bytes(32, "big")]))
