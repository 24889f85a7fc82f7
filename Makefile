# ginnel: every target sets up what it needs; on a fresh Debian 12 as root, `make demo` and
# `make test` are all there is to type.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .make
CARGO ?= cargo
# Set to 1 (CI does) to make a missing Rust toolchain an error instead of a one-line notice.
REQUIRE_ENGINE ?= 0

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name 'Cargo.toml' -o -name '*.pyi' -o -name 'pyproject.toml')

.PHONY: setup demo check test lab bench docs pins clean format

setup: $(STAMP)/python $(STAMP)/engine

$(STAMP)/venv:
	@mkdir -p $(STAMP)
	@tools/apt_install.sh $(PYTHON)-venv:venv-module
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMP)/requirements: $(STAMP)/venv requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMP)/python: $(STAMP)/requirements pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The compiled engine is a distribution of its own; without a toolchain or its crates the program
# runs on the Python engine, and this says so in one line.
$(STAMP)/engine: $(STAMP)/python $(RUST_SOURCES)
	@VENV=$(VENV) CARGO=$(CARGO) REQUIRE_ENGINE=$(REQUIRE_ENGINE) tools/build_engine.sh
	@touch $@

# Root, system packages and a kernel with TUN and namespaces: what the lab, demo and tests run on.
lab: setup
	@tools/apt_install.sh openvpn:openvpn iproute2:ip nftables:nft tcpdump:tcpdump iperf3:iperf3 \
	    iputils-ping:ping procps:ps ethtool:ethtool util-linux:unshare
	@tools/check_lab.sh

demo: lab
	$(BIN)/python -m tools.demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_tree.py
	$(BIN)/python tools/make_option_docs.py --check
	@VENV=$(VENV) CARGO=$(CARGO) REQUIRE_ENGINE=$(REQUIRE_ENGINE) tools/check_rust.sh

test: lab
	@VENV=$(VENV) CARGO=$(CARGO) REQUIRE_ENGINE=$(REQUIRE_ENGINE) tools/run_tests.sh

bench: lab
	$(BIN)/python -m bench.engines
	$(BIN)/python -m bench.client

docs: setup
	$(BIN)/python tools/make_option_docs.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if command -v $(CARGO) >/dev/null; then $(CARGO) fmt --all; fi

# Renews the pinned requirements; the only target that resolves versions anew.
pins: $(STAMP)/venv
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url \
	    --no-emit-find-links --no-emit-options --strip-extras --no-header --upgrade \
	    -o requirements/dev.txt requirements/dev.in

clean:
	rm -rf $(VENV) $(STAMP) target build dist src/*.egg-info
