# One command each, the same for hands and for CI. Needs Python >= 3.11 and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
# Hundreds of processes start in the tests: where bytecode may not be kept, each compiles everything, and takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: simulate setup demo test check check-static slow bench lock format other-python pictures

setup: .venv/.complete

.venv/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("jiaohao needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@$(MAKE) --no-print-directory install INTO=.venv
	@touch $@

# pip alone does it; uv is used when it is there.
.PHONY: install
install:
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(INTO)/bin/python --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(INTO)/bin/python --no-deps --no-build-isolation -e .; \
	else \
	  $(INTO)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(INTO)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi

demo: setup
	$(BIN)/jiaohao demo

test: setup
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

slow: setup
	$(BIN)/python -m pytest -q -n 2 -m slow

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check-static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: check-static test

# Every page and dashboard into deploy/pictures; wants prometheus, chromium and axe-core (see .ci/run).
pictures: setup
	$(BIN)/python -m tests.pictures

bench: setup
	$(BIN)/python -m bench all

# The peak hall for ten minutes, with faults, everything bounded; `make slow` runs 75 s of it.
SOAK_S ?= 600
.PHONY: soak
soak: setup
	SOAK_S=$(SOAK_S) $(BIN)/python -m pytest -q -s -m slow tests/test_soak.py

# Runs of the deterministic simulation from seeds 1, 2, ...; SEED=7 is one run, with its trace.
SEEDS ?= 1000
simulate: setup
	@$(BIN)/python -m tests.simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

# What must not depend on the interpreter: the rules, the ranking, the wire, and that a journal folds to the same bytes.
ELSEWHERE := $(wildcard tests/test_golden.py tests/test_hall.py tests/test_ranking*.py tests/test_rules_*.py \
  tests/test_waiting.py tests/test_window.py tests/test_state.py tests/test_wire.py tests/test_replays.py \
  tests/test_journal.py tests/test_journal_suite.py tests/test_dispatcher.py tests/test_restart.py)

# Core and replay under another interpreter, if this machine has one: make other-python VERSION=3.13
other-python:
	@found="$$(command -v python$(VERSION) || ls -d $$HOME/.pyenv/versions/$(VERSION).*/bin/python 2>/dev/null | tail -1)"; \
	if [ -z "$$found" ] || ! "$$found" -c '' 2>/dev/null; then \
	  found="$$(ls -d $$HOME/.pyenv/versions/$(VERSION).*/bin/python 2>/dev/null | tail -1)"; fi; \
	if [ -z "$$found" ]; then echo "python$(VERSION) is not on this machine: not run"; exit 0; fi; \
	"$$found" -m venv .venv-$(VERSION) && $(MAKE) --no-print-directory install INTO=.venv-$(VERSION) && \
	.venv-$(VERSION)/bin/python -m pytest -q -n 2 -m "not slow and not broker" $(ELSEWHERE)

lock: setup
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra dev --extra bench pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra engine --extra build pyproject.toml -o deploy/requirements.lock
