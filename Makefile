# Set-up and checks; each target makes its own virtual environment and can be run again cheaply.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST := Cargo.toml Cargo.lock $(shell find src -name '*.rs')

.PHONY: demo test lint docs linkcheck bench clean

# The environment: a stamp file, renewed when the list of dependencies changes.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" "maturin>=1.9,<2"
	$(BIN)/python -m pip install --quiet "numpy>=1.26" "scikit-learn>=1.6" "tqdm>=4.66" --group test --group lint
	touch $@

# The extension, compiled with optimisation and linked into the environment.
$(VENV)/.built: $(VENV)/.ready $(RUST)
	. $(BIN)/activate && maturin develop --release --locked --quiet
	touch $@

# Train on the paper's toy, print the table, write pictures to demo/. Under five minutes on two cores.
demo: $(VENV)/.built
	$(BIN)/python examples/gaussian_modes.py

# Everything that must hold before a change is merged.
test: $(VENV)/.built lint
	cargo test --locked --lib
	$(BIN)/python -m pytest

lint: $(VENV)/.built
	cargo fmt --check
	cargo clippy --locked --all-targets --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest innverse._core

# The site, in site/html, without warnings. Notebooks that changed are run, up to minutes each, and shown with what
# they draw; `make docs NOTEBOOKS=off` shows them as they are stored.
NOTEBOOKS ?= cache
SPHINX := INNVERSE_DOCS_NOTEBOOKS=$(NOTEBOOKS) $(BIN)/sphinx-build -W --keep-going

$(VENV)/.docs: $(VENV)/.built pyproject.toml
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

docs: $(VENV)/.docs
	rm -rf docs/generated
	$(SPHINX) -b html docs site/html

# Links that lead out of the site; needs a network.
linkcheck: $(VENV)/.docs
	$(SPHINX) -b linkcheck docs site/linkcheck

clean:
	rm -rf $(VENV) target demo site docs/generated docs/notebooks
