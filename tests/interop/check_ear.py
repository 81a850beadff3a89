"""The crate `ear` of the Veraison project: reads the claims of our signed attestation results, and what it writes is
read by us (a test of ours has what it wrote). Signatures by `cryptography` and `cwt`: the crate checks them with
features that take long to build.
"""

import json
import subprocess

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSE, COSEKey
from cwt.exceptions import DecodeError, VerifyError

from world import b64u, from_b64u

EAR = "ear"
CWT = "cwt"
PROFILE = "tag:ietf.org,2026:rats/ear#04"
REFUSED = (DecodeError, VerifyError)
RECORDED = "src/attester/recorded"
INSTANT = "2026-07-01T00:00:00Z"


def check(report, binary, oracle, folder, root):
    """`binary` is treering, `oracle` the program of ear-oracle, `folder` a place for files, `root` the repository."""
    options = subprocess.run([binary, "appraise", "--help"], capture_output=True, text=True).stdout
    if "--ear-jwt" not in options:
        report.missing(EAR, "this treering appraise does not sign its results (--ear-jwt)")
        return
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "verifier.pem").write_bytes(pem)
    (folder / "verifier.pem").chmod(0o600)
    jwt, cwt = folder / "result.jwt", folder / "result.cwt"
    command = [binary, "appraise", "--evidence", root / RECORDED / "report_milan.hex", "--at", INSTANT]
    command += ["--endorsements", root / RECORDED / "vcek_milan.der", "--signing-key", folder / "verifier.pem"]
    run = subprocess.run([*command, "--ear-jwt", jwt, "--ear-cwt", cwt], capture_output=True, text=True)
    if run.returncode != 0:
        report.fail(EAR, "treering appraise signs its result", run.stdout + run.stderr)
        return

    signed, _, signature = jwt.read_text().strip().rpartition(".")
    header, payload = (from_b64u(part) for part in signed.split("."))
    public = key.public_key()
    report.holds(EAR, "the JWT's signature", lambda: public.verify(from_b64u(signature), signed.encode()))
    report.refuses(
        EAR, "a JWT with a changed octet",
        lambda: public.verify(from_b64u(signature), signed[:-1].encode() + b"!") or True, InvalidSignature,
    )
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    kid = from_b64u(json.loads(header)["kid"])
    cose_key = COSEKey.new({1: 1, 2: kid, 3: -8, -1: 6, -2: raw})
    message = cwt.read_bytes()
    claims = COSE.new().decode(message, keys=[cose_key])
    report.ok(CWT, "the CWT's signature")
    changed = message[:-1] + bytes([message[-1] ^ 1])
    report.refuses(CWT, "a CWT with a changed octet", lambda: COSE.new().decode(changed, keys=[cose_key]), *REFUSED)

    def read(name, octets):
        file = folder / name
        file.write_bytes(octets)
        done = subprocess.run([oracle, file], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def same():
        one, two = read("ear.json", payload), read("ear.cbor", claims)
        assert one == two, "JSON and CBOR are read as two results"
        assert one["eat_profile"] == PROFILE
        ours = json.loads(payload)
        for name in ("iat", "ear_verifier_id", "ear_status"):
            assert one[name] == ours[name], name
        submod, own = one["submods"]["sev-snp"], ours["submods"]["sev-snp"]
        for name in ("ear_status", "ear_trustworthiness_vector", "ear_appraisal_policy_ids", "eat_nonce"):
            assert submod[name] == own[name], name
        assert submod["ear_verifier_claims"] == own["ear_verifier_claims"]

    report.holds(EAR, "reads both forms, and the same from both", same)
    better = json.loads(payload)
    better["ear_status"], better["submods"]["sev-snp"]["ear_status"] = "affirming", "contraindicated"
    report.refuses(
        EAR, "a status that is better than what it stands over",
        lambda: read("better.json", json.dumps(better).encode()), AssertionError,
    )
    numbers = cbor2.loads(claims)
    report.holds(EAR, "the numbers of the draft", lambda: check_numbers(numbers))
    assert b64u(kid) == json.loads(header)["kid"]


def check_numbers(claims):
    assert claims[265] == PROFILE and claims[1000] == 2
    submod = claims[266]["sev-snp"]
    assert submod[1000] == 2 and submod[1001][4] == 2 and isinstance(submod[1003], list)
