#!/usr/bin/env bash
# What the build needs beyond a Rust toolchain: a C and C++ compiler, libclang (the RocksDB bindings are generated
# from its header), the RocksDB library, and openssl as a stock TLS client. Says nothing when all is there. On Debian and Ubuntu it installs what is
# missing; elsewhere it says what to install. Everything goes to stderr: `make demo` may promise JSON on stdout.
set -euo pipefail
exec 1>&2

include=${ROCKSDB_INCLUDE_DIR:-/usr/include}
library=${ROCKSDB_LIB_DIR:-/usr/lib}

from_source() { [ "${ROCKSDB_COMPILE:-}" = 1 ] || [ "${ROCKSDB_COMPILE:-}" = true ]; }

have_compiler() { command -v cc >/dev/null && command -v c++ >/dev/null; }

# The bindings need the library and clang's own headers (stdbool.h); the package libclang1 has only the first.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib*/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/*-linux-gnu/libclang*.so*' >/dev/null || return 1
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stdbool.h' >/dev/null ||
        compgen -G '/usr/lib*/clang/*/include/stdbool.h' >/dev/null
}

have_rocksdb() {
    from_source && return
    [ -f "$include/rocksdb/version.h" ] || return 1
    compgen -G "$library/librocksdb.*" >/dev/null || compgen -G "$library/*-linux-gnu/librocksdb.*" >/dev/null
}

# A software TPM, whose quotes a test appraises: skipped without it, but not in CI.
have_swtpm() { [ "${CI:-}" != true ] || command -v swtpm >/dev/null; }

rocksdb_version() {
    sed -nE 's/^#define ROCKSDB_(MAJOR|MINOR|PATCH) ([0-9]+).*/\2/p' "$include/rocksdb/version.h" | paste -sd.
}

how_from_source() {
    cat <<TEXT
RocksDB $1 does not fit: the crate rocksdb 0.20.1 links to RocksDB 7.8 to 7.10 (Debian 12 has 7.8.3).
Either name one that fits with ROCKSDB_LIB_DIR and ROCKSDB_INCLUDE_DIR, or build it from source, once, with a C++
compiler and libclang. That takes about 25 minutes on two cores:
    unset ROCKSDB_LIB_DIR ROCKSDB_INCLUDE_DIR
    export ROCKSDB_COMPILE=1 CXXFLAGS="-include cstdint"
    make demo
TEXT
    exit 1
}

missing() {
    command -v openssl >/dev/null || echo openssl # the stock TLS client of the demo and of its test
    have_compiler || echo build-essential
    have_libclang || echo libclang-dev
    have_rocksdb || echo librocksdb-dev
    have_swtpm || echo swtpm
}

command -v cargo >/dev/null || {
    echo "cargo is missing: install Rust 1.95 or newer (https://rustup.rs), then try again"
    exit 1
}

packages=$(missing | paste -sd' ')
if [ -n "$packages" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "missing: $packages (these are Debian's names)"
        echo "install a C++ compiler, libclang and RocksDB 7.8 to 7.10 with their headers, and openssl, then try again"
        exit 1
    fi
    root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "missing: run as root: apt-get install $packages"; exit 1; }
        root=(sudo)
    fi
    echo "installing $packages"
    "${root[@]}" apt-get update -qq
    # A library that cannot be used is not installed: say so before, not after.
    if [[ $packages == *librocksdb-dev* ]]; then
        candidate=$(apt-cache policy librocksdb-dev | sed -n 's/^ *Candidate: //p')
        [[ $candidate == 7.* ]] || how_from_source "${candidate:-(none packaged)}"
    fi
    # shellcheck disable=SC2086 # a list of packages
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
    packages=$(missing | paste -sd' ')
    [ -z "$packages" ] || { echo "still missing after the installation: $packages"; exit 1; }
fi

if ! from_source; then
    version=$(rocksdb_version)
    case $version in
        7.8.* | 7.9.* | 7.10.*) ;;
        *) how_from_source "$version in $include" ;;
    esac
fi
