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

.PHONY: help setup packages study status test lint unit bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready  ## the Python environment in .venv

$(VENV)/ready: requirements.lock pyproject.toml
	@scripts/setup.sh "$(PYTHON)" "$(VENV)"

packages:  ## the system packages that the tests need (apt, as root or with sudo)
	@scripts/install_packages.sh

study: setup  ## run CONFIG (default: config.yaml) to its report
	@snakemake --profile profiles/default --configfile $(CONFIG) $(if $(SOURCE),--config source=$(SOURCE))

test: setup packages lint  ## every check and test
	@pytest

lint: setup  ## ruff, snakefmt, snakemake --lint
	@ruff check . && ruff format --check . && snakefmt --check Snakefile rules && snakemake --lint

clean:  ## delete the environment; results stay
	rm -rf $(VENV)
