# Everything starts here. On a machine that has only Python 3.11 or newer, `make run` sets up .venv and starts
# the gateway; each target installs what it needs, once, and again when the pins change.
# PYTHON=... chooses the interpreter, ARGS=... is handed to the program that the target starts.

VENV := .venv
BIN := $(VENV)/bin
PINS := .ci/constraints.txt
FUZZ_SECONDS ?= 60

# Debian's own build comes first: it is made with profile-guided optimisation, which other builds often are not.
CANDIDATES := /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for python in $(CANDIDATES); do \
	"$$python" -c 'import ensurepip, venv; $(RECENT)' 2>/dev/null && { echo "$$python"; break; }; done)
endif

# $(call install,EXTRAS): this checkout, editable, with the extras, as pinned. uv takes seconds; where it is not
# to be had, pip does the same in a minute.
define install
@echo "installing fastgw[$(1)]"
@if [ -x $(BIN)/uv ] && $(BIN)/uv pip install -q --python $(BIN)/python -c $(PINS) -b $(PINS) -e '.[$(1)]'; then :; \
	else PIP_CONSTRAINT=$(PINS) $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$(1)]'; fi
@touch $@
endef

.DEFAULT_GOAL := help
.PHONY: help run test lint bench k6 fuzz pins clean

help: ## what there is
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

run: $(VENV)/.run ## start the gateway in front of small upstreams that fail as told, and print what to try
	@$(BIN)/fastgw demo $(ARGS)

# Two at a time: more starve the tests that measure time. In the order of the tree, not by size, so that those do not run
# beside a browser, and no file of half a minute is left over for one process alone.
test: $(VENV)/.test ## every test (ARGS="-k pool" for some)
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.lint ## ruff, and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/mypy --strict --explicit-package-bases bench k6

bench: $(VENV)/.bench ## CPU time per request and more, beside nginx (ARGS=--quick for a look; ARGS=--help)
	$(BIN)/python -m bench --install $(ARGS)

k6: $(VENV)/.bench ## k6 scenarios with thresholds, beside nginx (ARGS=--quick for a look; ARGS=--help)
	$(BIN)/python k6/run.py --install $(ARGS)

fuzz: $(VENV)/.test ## ever new inputs, FUZZ_SECONDS=60 for each property
	FASTGW_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -q tests/fuzz tests/integration/test_admin_api.py $(ARGS)

pins: $(VENV)/.made ## choose the newest versions of everything, for .ci/constraints.txt
	@printf 'hatchling\neditables\nuv\n' | $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 \
		--no-header --no-annotate --all-extras pyproject.toml - > $(PINS).new
	@{ printf '# What everything was tested with. Made by `make pins`.\n'; cat $(PINS).new; } > $(PINS)
	@rm $(PINS).new

clean: ## forget what was installed and cached; results of bench and k6 stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage dist build
	find fastgw bench k6 tests -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv" \
		"(or PYTHON=/path/to/python3 make ...)" >&2; exit 1; }
	@$(PYTHON) -c '$(RECENT)' || { echo "$(PYTHON) is not Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c $(PINS) uv || echo "no uv here: pip it is"
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml $(PINS)
	$(call install,embedded)

$(VENV)/.test: $(VENV)/.made pyproject.toml $(PINS)
	$(call install,embedded$(comma)test)

$(VENV)/.lint: $(VENV)/.made pyproject.toml $(PINS)
	$(call install,embedded$(comma)lint)

$(VENV)/.bench: $(VENV)/.made pyproject.toml $(PINS)
	$(call install,embedded$(comma)bench)

comma := ,
