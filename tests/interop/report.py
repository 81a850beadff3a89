"""One line per check, everything when one fails, and the sum at the end."""

import subprocess
import traceback


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.not_run = []

    def holds(self, client, name, check):
        """Passes if `check` returns; what it asserts is its own business."""
        try:
            check()
        except Exception:  # noqa: BLE001 - a foreign library may raise anything, and each is a failed check
            self.fail(client, name, traceback.format_exc())
        else:
            self.ok(client, name)

    def refuses(self, client, name, attempt, *errors):
        """Passes if the client refuses the `name`: `attempt` gives a false value, or raises one of `errors`. Another
        exception is a mistake of the check, and not a refusal."""
        name = f"refuses {name}"
        try:
            accepted = attempt()
        except errors:
            self.ok(client, name)
        except Exception:  # noqa: BLE001
            self.fail(client, name, traceback.format_exc())
        else:
            if accepted:
                self.fail(client, name, f"accepted: {accepted!r}")
            else:
                self.ok(client, name)

    def program(self, client, command, least, **options):
        """Runs a client that is a program of its own: it writes `ok NAME` or `FAIL NAME: WHY` for each check, at
        least so many of them, and ends with status 0."""
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
        seen = 0
        for line in run.stdout.splitlines():
            verdict, _, name = line.partition(" ")
            if verdict == "ok":
                seen += 1
                self.ok(client, name)
            elif verdict == "FAIL":
                seen += 1
                self.fail(client, name, run.stderr)
        if run.returncode != 0 or seen < least:
            output = run.stdout + run.stderr
            self.fail(client, f"ran to its end (status {run.returncode}, {seen} checks of {least})", output)

    def ok(self, client, name):
        self.passed += 1
        print(f"ok   {client}: {name}", flush=True)

    def fail(self, client, name, why):
        self.failed += 1
        print(f"FAIL {client}: {name}\n{why}", flush=True)

    def missing(self, client, why):
        self.not_run.append(f"{client}: {why}")

    def close(self, allow_missing):
        """Says what did not run, last, where it is seen, and the sum. Whether all is well."""
        for client in self.not_run:
            print(f"NOT RUN {client}")
        skipped = len(self.not_run) if allow_missing else 0
        self.failed += len(self.not_run) - skipped
        print(f"{self.passed} passed, {self.failed} failed" + (f", {skipped} skipped" if skipped else ""))
        return self.failed == 0
