#!/usr/bin/env bash
# The clients that others wrote, against running ledgers, `make interop`: one line per check, and the sum alone on the
# last line. Installs what they need: Python and npm packages below target/interop, Node and Go by Debian's packages.
#   scripts/interop.sh [--allow-missing]
# A client that cannot run here is named, and counts as failed, unless --allow-missing is given.
# INTEROP_PYTHON names the Python to use: 3.12 or newer for all checks.
set -euo pipefail
cd "$(dirname "$0")/.."
here=tests/interop
work=target/interop

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# What Debian packages; whoever has it by another way needs none of this.
missing() {
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    command -v go >/dev/null || echo golang-go
    [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb ] || echo golang-golang-x-mod-dev
    command -v python3 >/dev/null || echo python3
}

install_packages() {
    local packages
    packages=$(paste -sd' ')
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; }; then
        echo "missing: $packages (Debian's names); install them, or some checks cannot run"
        return 0
    fi
    echo "installing $packages"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }

# The newest Python that suits all clients, else the one there is: Debian 12 has 3.11, and two clients want 3.12.
python() {
    local candidate
    for candidate in "${INTEROP_PYTHON:-}" python3.14 python3.13 python3.12 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    command -v python3
}

install_python() {
    local python=$1 venv=$2
    # Debian splits venv from Python, and the package is named by the version.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])' | install_packages
    fi
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
    touch "$venv/complete"
}

install_npm() {
    mkdir -p "$work"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work/"
    # No scripts of packages run, and nothing but what the lock file has by its hash.
    (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund)
    cp "$here/package-lock.json" "$work/node_modules/complete"
}

missing | install_packages
python=$(python)
venv=$work/python-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -e "$venv/complete" ] || [ "$here/requirements.txt" -nt "$venv/complete" ]; then
    export -f install_python install_packages as_root
    export here
    scripts/quiet.sh "Python packages" bash -euc 'install_python "$@"' install "$python" "$venv"
fi
if command -v npm >/dev/null && ! cmp -s "$here/package-lock.json" "$work/node_modules/complete"; then
    export -f install_npm
    export here work
    scripts/quiet.sh "npm packages" bash -euc install_npm
fi
# The crate of the Veraison project, in a workspace and with a lock file of its own: what it pulls in is not ours.
scripts/quiet.sh "the crate ear" cargo build --locked --manifest-path "$here/ear-oracle/Cargo.toml" \
    --target-dir "$work/ear-oracle"
# Go keeps what it built beside the rest, so that nothing is left in anybody's home.
GOCACHE=$PWD/$work/go exec "$venv/bin/python" -B "$here/run.py" target/debug "$venv" "$work/node_modules" "$@"
