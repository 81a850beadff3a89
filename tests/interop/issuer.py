"""A SCITT issuer that knows nothing of Treering: a P-256 key, statements made by `scitt-cose` and by `cwt`.

It heeds two things that docs/protocol.md asks of every client: `kid` is the RFC 9679 thumbprint of the key, and ECDSA
signatures have low S, so that nobody but the signer can make a second encoding of one statement.

`CertifiedIssuer` heeds neither: its key is certified (`x5chain`), by certificates that `cryptography` makes, and the
registration policy takes its signatures as its library makes them.
"""

import datetime
import hashlib

import cbor2
import scitt_cose
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cwt import COSE, COSEKey

from world import CERTIFIED, SCANNER, b64u

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


class CertifiedIssuer:
    """A root, a CA below it, and a key whose certificate is for the issuer's name."""

    def __init__(self):
        root_key, ca_key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate("Interop Root", root_key, ("Interop Root", root_key), ca=True)
        self.ca = _certificate("Interop CA", ca_key, ("Interop Root", root_key), ca=True)
        self.own = _certificate("scanner", self.key, ("Interop CA", ca_key))
        self.private_pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def file(self, path):
        """The issuer as `treering init --issuer` reads it."""
        root = self.root.public_bytes(serialization.Encoding.PEM).decode()
        path.write_text(
            f'iss = "{CERTIFIED}"\nkinds = ["workload-provenance"]\npublic = true\nhigh_s = true\n'
            f"[[anchor]]\ncertificate = '''\n{root}'''\n"
        )
        return path

    def by_cwt(self, payload, chain=None):
        key = COSEKey.from_pem(self.private_pem, alg="ES256")
        cose = COSE.new(alg_auto_inclusion=False, kid_auto_inclusion=False)
        chain = [_der(certificate) for certificate in (chain or (self.own, self.ca))]
        header = {1: -7, 3: "application/vnd.interop.scan+json", 15: {1: CERTIFIED, 2: "scan"}}
        header[33] = chain[0] if len(chain) == 1 else chain
        return cose.encode_and_sign(payload, key, protected=header)


def _der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def _certificate(name, key, issuer, ca=False):
    issuer_name, issuer_key = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer[0])]), issuer[1])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer_name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(CERTIFIED)])
        builder = builder.add_extension(names, critical=False)
    # SHA-256 by a P-384 root too, as defaults have it.
    return builder.sign(issuer_key, hashes.SHA256())


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
