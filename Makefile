# usaged: `make demo` shows the main job on the embedded store, `make test` passes the tests.
# Both set up what is missing first. The target directory is outside the clone and has one
# profile, because RocksDB is compiled from C++ source once per profile and directory.

export CARGO_TARGET_DIR ?= $(HOME)/.cache/usaged/target
# ccache, where it is installed, makes a second build of RocksDB (another directory, another
# profile) a matter of a minute. It is put in front by its own compiler names.
export PATH := /usr/lib/ccache:$(PATH)

CARGO := cargo
FLAGS := --release --locked
BIN   := $(CARGO_TARGET_DIR)/release/usaged
MSRV   = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# The properties that are checked on made-up cases. `make test` makes the same cases each time, so that what it says is about
# the change and not about the dice; `make properties` makes new ones.
PROPERTIES = $(notdir $(patsubst %.rs,%::,$(shell grep -lE 'proptest!|composition::config' tests/it/*.rs)))

.PHONY: help setup build demo test properties lint doc bench detectors load soak kills fuzz attack faults fixture look deb deploy-check deploy-boot msrv clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/'

setup: ## Install what is missing: a C++ compiler and libclang for RocksDB, Python and strace for two tests.
	@deploy/setup.sh

build: setup ## Build the program. The first build compiles RocksDB: about half an hour on two cores.
	@test -e $(BIN) || echo "usaged: the first build compiles RocksDB from source, about half an hour on two cores; later ones take a minute."
	$(CARGO) build $(FLAGS)

demo: build ## Run the main job end to end on a temporary directory and loopback ports.
	$(BIN) demo

test: export PROPTEST_RNG_SEED ?= 20261128
test: setup lint doc ## Check formatting, lints and docs, then run all tests and doctests.
	$(CARGO) test $(FLAGS) --lib --bins --tests
	$(CARGO) test $(FLAGS) --doc

ROUNDS ?= 20
properties: setup ## Property tests with new cases, ROUNDS times; what fails prints its case. About a minute a round.
	@for round in $$(seq $(ROUNDS)); do echo "round $$round of $(ROUNDS)"; \
	  $(CARGO) test -q $(FLAGS) --lib && $(CARGO) test -q $(FLAGS) --test it -- $(PROPERTIES) || exit 1; done

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy $(FLAGS) --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FLAGS) --no-deps --document-private-items

bench: setup ## Micro-benchmarks of sanitising, sealing, appending and draining.
	$(CARGO) bench --profile release --locked --bench rooms

detectors: setup ## Measure what redaction finds, on public corpora that are fetched and not committed.
	corpora=$$(deploy/detectors.sh) && $(CARGO) bench --profile release --locked --bench detectors -- $$corpora

load: build ## Measure a daemon of its own under load, beside its floor.
	$(BIN) load

soak: setup ## Load, kills, levels, erasures, policies and keys all at once for an hour, with an oracle. USAGED_SOAK_SECONDS, USAGED_SEED.
	USAGED_SOAK_SECONDS=$${USAGED_SOAK_SECONDS:-3600} $(CARGO) test $(FLAGS) --test it -- soak_ --nocapture

kills: setup ## kill -9 for ten minutes under load. USAGED_KILL_SECONDS, USAGED_SEED.
	USAGED_KILL_SECONDS=$${USAGED_KILL_SECONDS:-600} $(CARGO) test $(FLAGS) --test it -- kill_ --nocapture

# The wrapper compiles the crate and the targets, and nothing else, with the counters that libFuzzer reads.
SECONDS ?= 60
fuzz: setup ## Fuzz every target for a minute, or TARGET for SECONDS; the table at the end has executions and what broke.
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/deploy/fuzz-rustc.sh $(CARGO) build $(FLAGS) --example fuzz
	deploy/fuzz.sh $(CARGO_TARGET_DIR)/release/examples/fuzz $(SECONDS) $(TARGET)

attack: setup ## The long form of the attacks: latency of honest clients under each, beside a calm time.
	USAGED_ATTACK_SECONDS=6 $(CARGO) test $(FLAGS) --test it -- attack_ --nocapture --test-threads 1

faults: setup ## Every fault in its long form: kills, power cuts, errors, full and slow disks, rot; with a table.
	USAGED_FAULTS=1 USAGED_KILL_SECONDS=120 $(CARGO) test $(FLAGS) --test it -- --nocapture --test-threads=2 \
	  kill_9 a_failed_ a_power_cut a_device_that a_disk_ near_a_full rot_in_any | tee $(CARGO_TARGET_DIR)/faults.log
	@echo; grep -h '^ROT|' $(CARGO_TARGET_DIR)/faults.log | column -t -s '|' -N rot,file,outcome,times
	@echo; grep -h '^FAULTS|' $(CARGO_TARGET_DIR)/faults.log | \
	  column -t -s '|' -N faults,kind,injected,survived,acknowledged,lost,twice -H faults

fixture: setup ## Make the store of format 1 anew that every version opens. Only before format 1 is released.
	USAGED_MAKE_FIXTURE=1 $(CARGO) test $(FLAGS) --test it -- a_store_of_format_1

look: build ## Check the published dictionary in a real browser (Chromium): no page is wider than a phone.
	deploy/publish-look.sh $(BIN)

deb: build ## Make the Debian package of the program; its path is the last line.
	@deploy/debian/build.sh $(BIN) $(CARGO_TARGET_DIR)/deb

deploy-check: setup ## The part of the tests that is about unit, package, container, manifests, scripts and documents.
	$(CARGO) test $(FLAGS) --test it -- unit_file:: debian_package:: container_image:: kubernetes:: documents:: probes::

deploy-boot: build ## Boot a Debian with systemd in a container of its own, install the package, and use it (as root; fetches 100 MB).
	deploy/boot.sh $$(deploy/debian/build.sh $(BIN) $(CARGO_TARGET_DIR)/deb)

msrv: setup ## Compile with the oldest Rust that Cargo.toml names, and the container with it (rustup fetches it; its own RocksDB).
	rustup toolchain install --profile minimal $(MSRV)
	CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/msrv $(CARGO) +$(MSRV) check $(FLAGS) --bin usaged

clean: ## Remove what was built. The next build compiles RocksDB again.
	rm -rf $(CARGO_TARGET_DIR)
