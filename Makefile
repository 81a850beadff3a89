# `make demo` shows the product work, `make test` checks everything; each does the set-up it needs.
.DEFAULT_GOAL := help
.PHONY: help setup demo test interop fuzz soak bench deny clean-demo

# What `make demo` leaves behind, if anything: `make demo KEEP=target/demo`.
KEEP ?=
DEMO_ARGS ?= $(if $(KEEP),--keep $(KEEP))
# Seconds per fuzz target, and which targets: `make fuzz FUZZ_SECONDS=600 FUZZ_TARGETS="strict_cbor note"`.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=
# `make interop INTEROP_ARGS=--allow-missing` passes although a client cannot run here.
INTEROP_ARGS ?=

help:
	@echo 'make demo         build and run the whole product: service, witness, workloads, relying party, auditor'
	@echo '                  DEMO_ARGS=--json for programs, KEEP=DIR to keep data, trust file and credential'
	@echo 'make test         format, build, tests, doctests, lints, documentation'
	@echo 'make interop      clients that others wrote, against a running ledger'
	@echo 'make setup        install what the build needs, or say what to install (demo and test do this)'
	@echo 'make fuzz         run every fuzz target for FUZZ_SECONDS (60)'
	@echo 'make soak         the tests with many more random cases, and the slow ones'
	@echo 'make bench        what this machine does under load, beside its limits and what was aimed at: a release build,'
	@echo '                  then some ten minutes; BENCH_ARGS=--large=2000000 for a smaller large log than ten million'
	@echo '                  single steps (criterion): cargo bench -p treering-log -p treering-provenance'
	@echo '                  whole decisions, one at a time (criterion): cargo bench -p treering --bench decisions'
	@echo 'make deny         licences, bans and sources of the dependencies'
	@echo 'make clean-demo   remove target/demo'

setup:
	@scripts/setup.sh

demo: setup
	@cargo build --locked -p treering -p treering-witness --bins
	@target/debug/treering demo $(DEMO_ARGS)

test: setup
	@scripts/test.sh

interop: setup
	@scripts/quiet.sh "build" cargo build --locked -p treering -p treering-witness --bins
	@scripts/interop.sh $(INTEROP_ARGS)

fuzz: setup
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh $(FUZZ_TARGETS)

soak: setup
	@scripts/quiet.sh "soak" env PROPTEST_CASES=4096 cargo test --workspace --locked --no-fail-fast -- --include-ignored

bench: setup
	@cargo build --release --locked -p treering -p treering-witness --bins
	@target/release/treering bench table $(BENCH_ARGS)

deny:
	@command -v cargo-deny >/dev/null || { echo 'cargo-deny is missing: cargo install cargo-deny --locked'; exit 1; }
	@scripts/quiet.sh "bans, licences, sources" cargo deny --all-features check bans licenses sources

clean-demo:
	@rm -rf target/demo
