# ginnel: every target sets up what it needs; on a fresh Debian 12 as root, `make demo` and
# `make test` are all there is to type.

PYTHON ?= python3
CARGO ?= cargo
# 1 makes a missing Rust toolchain an error instead of a one-line notice; CI sets it.
REQUIRE_ENGINE ?= 0
# 1 measures for seconds instead of minutes: to see that the benchmarks run, not for figures.
SHORT ?= 0

VENV := .venv
BIN := $(VENV)/bin
# Marks of what was done live in the environment they speak about, so that they go with it.
STAMP := $(VENV)/stamps
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
export VENV STAMP CARGO PYTHON REQUIRE_ENGINE

# Folders as well: a file that goes away changes only its folder.
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -type d -o -name '*.rs' \
    -o -name Cargo.toml -o -name pyproject.toml -o -name '*.pyi')
PYTHON_SOURCES := $(shell find src -type d -name __pycache__ -prune -o -type f -name '*.py' -print)

.PHONY: setup lab demo check test bench bench-check bench-baseline fuzz docs format pins hooks dist clean

setup: $(STAMP)/python $(STAMP)/engine $(STAMP)/start_image

$(STAMP)/venv:
	@tools/make_venv.sh
	@mkdir -p $(STAMP)
	@touch $@

$(STAMP)/requirements: requirements/dev.txt $(STAMP)/venv
	@echo "ginnel: installing the pinned requirements into $(VENV)"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMP)/python: pyproject.toml src/ginnel/__init__.py $(STAMP)/requirements
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# The compiled engine is a distribution of its own. Where it cannot be built, the script says so,
# leaves no mark, and the program runs on the Python engine.
$(STAMP)/engine: $(STAMP)/python $(RUST_SOURCES)
	@tools/build_engine.sh

# What a start imports, in one file; modules that change afterwards are imported as usual.
$(STAMP)/start_image: $(STAMP)/engine $(PYTHON_SOURCES)
	@$(BIN)/python -m ginnel.start_image
	@touch $@

# Root, system packages and a kernel with TUN and namespaces: what demo, tests and bench run on.
lab: setup
	@tools/apt_install.sh openvpn:openvpn iproute2:ip nftables:nft tcpdump:tcpdump iperf3:iperf3 \
	    iputils-ping:ping procps:ps ethtool:ethtool util-linux:unshare \
	    softhsm2:softhsm2-util opensc:pkcs11-tool systemd:systemd-analyze \
	    network-manager:nmcli dnsmasq-base:dnsmasq dbus:dbus-daemon \
	    network-manager-openvpn:/usr/lib/NetworkManager/nm-openvpn-service \
	    squid:squid tinyproxy-bin:tinyproxy dante-server:danted microsocks:microsocks
	@tools/check_lab.sh

# ARGS=--with-openvpn makes Debian's openvpn the server, and one of the clients.
demo: lab
	@$(BIN)/python -m tools.demo $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_tree
	$(BIN)/python -m tools.make_option_docs --check
	tools/check_rust.sh

test: lab
	tools/run_tests.sh

ifeq ($(SHORT),1)
bench: BENCH := --rounds 1 --seconds 1 --results $(or $(TMPDIR),/tmp)
bench: BENCH_QUICK := --quick
endif
bench: lab
	$(BIN)/python -m bench.engines $(BENCH)
	$(BIN)/python -m bench.client $(BENCH) $(BENCH_QUICK)
	$(BIN)/python -m bench.server $(BENCH) $(BENCH_QUICK)

# Has sealing, opening, cutting, joining or finding a peer become slower? ARGS="--tolerance 0.5"
bench-check: setup
	$(BIN)/python -m bench.micro $(ARGS)

bench-baseline: setup
	$(BIN)/python -m bench.micro --renew --repeats 6 $(ARGS)

# Searches for inputs that break a parser; SECONDS for each target, and what is new joins the corpora.
SECONDS ?= 60
fuzz: setup
	$(PIP_INSTALL) --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz all --seconds $(SECONDS)
	tools/fuzz_rust.sh $(SECONDS)

docs: setup
	$(BIN)/python -m tools.make_option_docs

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if $(CARGO) fmt --version >/dev/null 2>&1; then $(CARGO) fmt --all; fi

# Renews the pinned requirements; the only target that resolves versions anew.
pins: setup
	$(PYTHON) -m venv build/pins
	build/pins/bin/pip install --quiet --disable-pip-version-check pip-tools
	for name in dev hooks fuzz; do \
	    build/pins/bin/pip-compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url \
	        --no-emit-find-links --no-emit-options --strip-extras --no-header --upgrade \
	        -o requirements/$$name.txt requirements/$$name.in || exit 1; \
	done

# Checks every commit with the few fast tools of .pre-commit-config.yaml; not part of setup, since it
# changes the clone's Git configuration.
hooks: setup
	$(PIP_INSTALL) --require-hashes -r requirements/hooks.txt
	$(BIN)/pre-commit install

# Wheels and source archives of both distributions, in dist/.
dist: setup
	tools/build_dist.sh

clean:
	rm -rf $(VENV) target build dist src/*.egg-info
