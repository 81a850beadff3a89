"""The clients that others wrote, against running ledgers: `make interop`, by scripts/interop.sh.

    run.py BINARIES VENV MODULES [--allow-missing]

BINARIES has treering and treering-witness, VENV the Python packages of requirements.txt, MODULES the npm packages.
The last line is the sum. Status 0 only if every check passed; one that could not run counts as failed, unless
--allow-missing is given.
"""

import importlib.util
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

import check_cddl
import check_cwt
import check_ear
import check_issuer
import check_scitt_cose
import check_transmute
from issuer import CertifiedIssuer, Issuer
from report import Report
from world import World

HERE = Path(__file__).resolve().parent
# More than two full tiles, and a level above them.
ENTRIES = 530
GO = ("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog", "apt-get install golang-go golang-golang-x-mod-dev")
AICS = "aics-tlog and aics-witness need Python 3.12 or newer; name one with INTEROP_PYTHON"


def main(binaries, venv, modules, *options):
    report = Report()
    since = time.monotonic()
    with World(Path(binaries).resolve(), Path(venv).resolve()) as world:
        checks(report, world, Path(modules).resolve())
    print(f"{time.monotonic() - since:.0f} s")
    return 0 if report.close("--allow-missing" in options) else 1


def checks(report, world, modules):
    scanner, certified = Issuer(), CertifiedIssuer()
    files = [scanner.file(world.dir / "scanner.toml"), certified.file(world.dir / "certified.toml")]
    aics = importlib.util.find_spec("aics_tlog") is not None
    if aics:
        import check_aics

        log = check_aics.ForeignLog()
        own, foreign = world.own_witness([log.vkey]), world.foreign_witness()
    else:
        own, foreign = world.own_witness(), None
    ledger = world.ledger("main", files, [witness for witness in (own, foreign) if witness])
    es256 = world.ledger("es256", files, receipt_alg="es256")
    ledger.live()

    def client(name, check, *arguments):
        """A check that breaks off is a failed one, and the others go on."""
        for one in (ledger, es256):
            one.settle()
        try:
            check(report, *arguments)
        except Exception:  # noqa: BLE001
            report.fail(name, "went on to the end", traceback.format_exc())

    client("foreign issuer", check_issuer.check, "EdDSA", ledger, scanner)
    client("foreign issuer", check_issuer.check, "ES256", es256, scanner)
    ledger.settle()
    client("cddl-verifier", check_cddl.check, ledger, ledger.statement(ledger.tree_size() - 1))
    client("cwt", check_cwt.check, ledger)
    oracle = modules.parent / "ear-oracle" / "debug" / "ear-oracle"
    if oracle.exists():
        client("ear", check_ear.check, world.binaries / "treering", oracle, world.dir, HERE.parents[1])
    else:
        report.missing("ear", "cargo did not build tests/interop/ear-oracle")
    client("scitt-cose", check_scitt_cose.statements, ledger)
    client("scitt-cose", check_scitt_cose.same_leaf, ledger)
    early = ledger.settle()
    for one, entries in [(ledger, ENTRIES), (es256, 12)]:
        for number in range(entries - one.tree_size()):
            one.stranger.register(scanner.by_scitt_cose(b'{"run":%d}' % number))
    client("scitt-cose", check_scitt_cose.check, "EdDSA", ledger)
    client("scitt-cose", check_scitt_cose.check, "ES256", es256)
    if node := shutil.which("node"):
        statement = es256.statement(4)
        client("@transmute/cose", check_transmute.check, node, modules, es256, scanner, statement)
    else:
        report.missing("@transmute/cose", "apt-get install nodejs npm")
    client("certified issuer", check_issuer.check_certified, "EdDSA", ledger, certified)
    client("certified issuer", check_issuer.check_certified, "ES256", es256, certified)
    go(report, world, ledger, early)
    if aics:
        client("aics-tlog", check_aics.check, ledger, own, foreign, log, early)
    else:
        report.missing("aics-tlog", AICS)
        report.missing("aics-witness", AICS)


def go(report, world, ledger, early):
    """`golang.org/x/mod/sumdb`, from the distribution: no module is fetched."""
    package, how = GO
    if not shutil.which("go") or not Path(package).exists():
        report.missing("golang.org/x/mod/sumdb", how)
        return
    ledger.settle()
    file = world.dir / "early.checkpoint"
    file.write_bytes(early)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "CGO_ENABLED": "0"}
    command = ["go", "run", HERE / "check_tlog.go", ledger.url, ledger.ca, ledger.log_vkey, file]
    report.program("golang.org/x/mod/sumdb", command, least=13, env=environment)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
