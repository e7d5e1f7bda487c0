# All it takes is make and python3: the first `make train` or `make test` makes .venv, and installs the lock into it.
# Works with GNU make 3.81 (macOS) and, on Windows, in Git Bash.
#   make train ARGS="logger=wandb trainer=gpu"      ARGS reaches train.py, pytest, or uv (make lock ARGS=--upgrade)
#   make setup PYTHON=python3.12 TORCH_BACKEND=cpu  another Python, and the small CPU build of torch (or cu128, ...)
# Both choices are remembered in .venv; TORCH_BACKEND=lock goes back to the build that the lock names.

.DEFAULT_GOAL := help
.PHONY: help setup train explain board test lint check format lock benchmark soak clean

WINDOWS := $(filter Windows_NT,$(OS))
BIN := .venv/$(if $(WINDOWS),Scripts,bin)
DEFAULT_PYTHON := $(if $(WINDOWS),python,python3)

# .venv/made holds what .venv was made with, and where. It is made anew when an installation was cut off (uv would take a
# half-copied package for a whole one), when it was copied along with its checkout (it would import the original's code),
# when its Python is gone, and when another choice is named. Downloads stay in uv's cache, so this takes seconds.
LAST := $(shell head -n 1 .venv/made 2>/dev/null)
WORKS := $(shell test -e .venv/ready && grep -qxF '$(CURDIR)' .venv/made && $(BIN)/python -c 'print("yes")' 2>/dev/null)
BACKEND := $(or $(TORCH_BACKEND),$(firstword $(LAST)),lock)
BASE_PYTHON := $(or $(PYTHON),$(wordlist 2,9,$(LAST)),$(DEFAULT_PYTHON))
ifneq ($(WORKS) $(LAST),yes $(BACKEND) $(BASE_PYTHON))
.PHONY: .venv/made
endif

# As modules, not as scripts: a script names its Python by an absolute path, which may be too long or hold a space.
RUN := $(BIN)/python -m
# Compiled now, while it can be waited for: a first import is twice as fast.
INSTALL := $(RUN) uv pip install --python .venv --compile-bytecode
# Three at once, also on two cores: many a test starts a process and waits for it.
PYTEST := $(RUN) pytest -n 3 --dist worksteal

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: .venv/ready  ## Make or update .venv (train, test and the others do so by themselves)

train: .venv/ready  ## Train; make train ARGS="logger=wandb trainer=gpu" overrides the config
	$(BIN)/python train.py $(ARGS)

explain: .venv/ready  ## Walk one image through every step; ARGS="data=folder data.root=PATH" as for train
	$(BIN)/python scripts/explain.py $(ARGS)

board: .venv/ready  ## Look at all runs and sweeps in TensorBoard; ARGS="--port 6007"
	$(RUN) tensorboard.main --logdir logs $(ARGS)

test: .venv/ready  ## Run every test; make test ARGS="-k resume" runs some
	$(PYTEST) $(ARGS)

lint: .venv/ready  ## Check format, style and types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) pyright
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache

check: lint  ## lint, then the fast tests: what a commit must pass
	$(PYTEST) -m "not slow" $(ARGS)

format: .venv/ready  ## Format the code, and mend what ruff can mend
	$(RUN) ruff check --fix-only .
	$(RUN) ruff format .

lock: .venv/made  ## Write requirements.lock from pyproject.toml; ARGS=--upgrade takes newer versions
	$(RUN) uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --quiet \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock $(ARGS)

benchmark: .venv/ready  ## Measure what the feature cache is worth; ARGS="data=folder data.root=PATH" on your images
	$(BIN)/python scripts/dev/benchmark.py $(ARGS)

soak: .venv/ready  ## Kill short runs KILLS=200 times at random moments, go on with them, and compare: 15 minutes
	$(BIN)/python scripts/dev/soak.py kills=$(or $(KILLS),200) $(ARGS)

clean:  ## Remove .venv and the tools' caches, never data/ or logs/
	rm -rf .venv .pytest_cache .ruff_cache

.venv/made:
	@$(BASE_PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
		"'$(BASE_PYTHON)' is no Python 3.11 or newer with venv. Install one, or name one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(BASE_PYTHON) -m venv --clear .venv
	$(RUN) pip install --quiet --disable-pip-version-check "uv>=0.9"
	@printf '%s\n' '$(BACKEND) $(BASE_PYTHON)' '$(CURDIR)' > $@

# There only while .venv is whole. The lock's hashes and nvidia packages belong to the default build of torch: another
# build takes only the versions of all the rest.
.venv/ready: .venv/made requirements.lock pyproject.toml
	@rm -f $@
ifeq ($(BACKEND),lock)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --editable .
else
	sed -nE '/^(cuda|nvidia)-/d; s/^([^ #].*) \\$$/\1/p' requirements.lock > .venv/constraints.txt
	$(INSTALL) --constraints .venv/constraints.txt --torch-backend $(BACKEND) --editable '.[dev]'
endif
	@touch $@
