# make run    a server in the foreground, from nothing
# make test   everything: lint, types, all tests, with the real clients they need
# make check  the quick part: no network, no real client, under a minute
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check lint bench reference clean
.DEFAULT_GOAL := run

run: $(VENV)/run.stamp
	@test -e xmppd.toml || $(BIN)/xmppd init
	@exec $(BIN)/xmppd serve --hello $(ARGS)

test: lint
	@if bash tests/support/system_packages.sh; then left_out=; \
	elif test -n "$$CI"; then echo "in CI nothing may be left out" >&2; exit 1; \
	else left_out="not system"; fi; \
	set -x; $(BIN)/pytest -m "$$left_out" $(ARGS)

check: lint
	$(BIN)/pytest -q -m "not system and not slow" $(ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict codec storage

bench: $(VENV)/test.stamp
	$(BIN)/python -m bench $(ARGS)

# docs/configuration.md from the settings themselves
reference: $(VENV)/run.stamp
	$(BIN)/python -m xmppd.config_reference > docs/configuration.md

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "xmppd needs Python 3.11 or newer as $(PYTHON); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments: install its venv part (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/test.stamp: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/run.stamp
