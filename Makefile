# Lumen: `make run` sets up and runs everything; `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
# Unset: python3, or an optimised one where python3 is not (deploy/create_venv.sh says which and why).
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.lumen-setup
CHAOS_REQUESTS := 1500
SOAK_MINUTES ?= 20
CODE := lumen services simulator deploy tests

# Every process of a stack and of a test run compiles what it imports, if this forbids to keep the bytecode.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run browsers test test-slow test-all check format lint types imports protos protos-check helm-check secret-scan chaos bench bench-streams bench-compare bench-billing bench-finance bench-keys rolling soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## create the virtual environment from the lock file (seconds when nothing changed)

$(STAMP): pyproject.toml uv.lock
	@test -x $(BIN)/python || PYTHON="$(PYTHON)" deploy/create_venv.sh $(VENV) $(UV_VERSION)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(abspath $(VENV)) UV_PROJECT_ENVIRONMENT=$(abspath $(VENV)) $(BIN)/uv sync --frozen --quiet --compile-bytecode
	@touch $@

run: setup ## start the whole of Lumen on this machine, with a demo account and key (Ctrl-C stops it)
	@$(BIN)/lumen up

browsers: ## Chromium for the browser tests, from Debian's packages (as root; else set LUMEN_CHROMIUM_BIN)
	@command -v chromium chromium-browser google-chrome >/dev/null || test -n "$$LUMEN_CHROMIUM_BIN" || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium for the browser tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; } >/dev/null 2>&1 \
	      || echo "chromium could not be installed; the browser tests are skipped" >&2; \
	  else echo "no Chromium: the browser tests are skipped (as root, \`make browsers\` installs it)" >&2; fi; }

# In groups (tests/fixtures/spread.py), in the order of collection: the slow ones with engines first, the many small ones fill the end.
# `make test` runs three for two cores: its tests wait for a third of their time.
PYTEST_SPREAD := --dist loadscope --no-loadscope-reorder

test: setup ## unit, contract, integration, e2e and short chaos tests on real engines (minutes)
	$(BIN)/pytest -n 3 $(PYTEST_SPREAD) -m "not slow and not long"

test-slow: setup browsers ## the tests that `make test` leaves to CI, seconds to half a minute each
	$(BIN)/pytest -n 2 $(PYTEST_SPREAD) -m "slow and not long"

test-all: setup browsers ## everything, with the long tests
	$(BIN)/pytest -n 2 $(PYTEST_SPREAD)

check: lint types imports protos-check test ## what CI runs: format, lint, types, boundaries, generated stubs, tests

format: setup ## rewrite the code in the project's format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lint: setup ## format and lint, changing nothing
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## the boundaries between packages
	$(BIN)/lint-imports

protos: setup ## regenerate the gRPC stubs
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. --mypy_grpc_out=. protos/*.proto

protos-check: setup ## the committed stubs are what the .proto files generate
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I. --python_out="$$out" --pyi_out="$$out" --grpc_python_out="$$out" --mypy_grpc_out="$$out" protos/*.proto && \
	for file in "$$out"/protos/*; do cmp "$$file" "protos/$$(basename "$$file")" || { echo "run: make protos" >&2; exit 1; }; done

helm-check: setup ## the Helm chart, alert rules and dashboards, without a cluster (fetches helm, checkov, promtool once)
	@$(BIN)/python -m deploy.helm.checks

secret-scan: setup ## no secret among the files that git tracks
	@$(BIN)/python -m deploy.helm.checks secret-scan

chaos: setup ## every chaos scenario with thousands of requests, and the table of what clients saw and what was charged
	$(BIN)/pytest tests/chaos --chaos-requests $(CHAOS_REQUESTS) -n 0 --timeout 900

rolling: setup ## from the services of BASE (a revision) to this tree's under load, process by process: make rolling BASE=HEAD~20
	$(BIN)/python -m tests.chaos.rolling --base $(BASE)

bench: setup ## CPU per request and per stream, as ratios to nginx in the same run (needs nginx and wrk)
	$(BIN)/python -m tests.load.bench $(BENCH_ARGS)
	$(BIN)/python -m tests.load.billing

bench-streams: setup ## 3,000 streams at once on one edge: stalls, memory per stream
	$(BIN)/python -m tests.load.streams $(BENCH_ARGS)

bench-compare: setup ## CPU per answer against another revision, side by side: make bench-compare BASE=<rev>
	@test -n "$(BASE)" || { echo "BASE=<revision> is needed" >&2; exit 2; }
	$(BIN)/python -m tests.load.compare $(BASE) $(BENCH_ARGS)

soak: setup ## mixed traffic for SOAK_MINUTES, and whether anything grows
	$(BIN)/python -m tests.load.soak --minutes $(SOAK_MINUTES)

bench-billing: setup ## entries per second that one billing process posts, its lag, and CPU per entry
	$(BIN)/python -m tests.load.billing $(BENCH_ARGS)

bench-keys: setup ## a million keys in one auth: its memory, its start-up, CPU per cache miss
	$(BIN)/python -m tests.load.keys $(BENCH_ARGS)

bench-finance: setup ## five million usage rows: each page and its queries, exports of all rows, and their memory
	$(BIN)/python -m tests.load.finance $(BENCH_ARGS)

clean: ## remove the virtual environment and the default state directory
	rm -rf $(VENV) .lumen
