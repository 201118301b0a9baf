# Set-up and checks; each target makes its own virtual environment and can be run again cheaply.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST := Cargo.toml Cargo.lock $(shell find src -name '*.rs')

.PHONY: demo test lint bench clean

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
	cargo test --locked
	$(BIN)/python -m pytest

lint: $(VENV)/.built
	cargo fmt --check
	cargo clippy --locked --all-targets --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest innverse._core

clean:
	rm -rf $(VENV) target demo
