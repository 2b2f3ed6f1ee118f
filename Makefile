# Everything from a fresh checkout: each target makes its own .venv where there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BACKEND_TESTS := tests/probe tests/repairs tests/promises tests/faces/test_callback.py tests/faces/test_callback_repair.py
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-tensorflow test-jax test-torch random-models random-models-tensorflow random-models-jax random-models-torch sweep sweep-tensorflow sweep-jax sweep-torch lint soak bench bench-steps bench-gain-cost bench-truth bench-evidence bench-false-alarms bench-repair pictures clean

demo: $(STAMP)
	$(BIN)/initcheck --demo

# TensorFlow runs the whole suite, with the TensorBoard tab in a browser where Chromium is installed; JAX, and torch where it is installed,
# run what depends on the backend.
test: test-tensorflow test-jax test-torch

test-tensorflow: $(STAMP)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -q

test-jax: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python -m pytest -q $(BACKEND_TESTS)

test-torch: $(STAMP)
	@if $(BIN)/python -c "import torch" 2>/dev/null; then \
		KERAS_BACKEND=torch $(BIN)/python -m pytest -q $(BACKEND_TESTS) tests/faces/test_initializers.py; \
	else echo "torch is not installed in $(VENV): its tests are left out"; fi

# Random models on each backend that is installed: nothing crashes, nothing is changed, and training goes on as without the probe.
random-models: random-models-tensorflow random-models-jax random-models-torch

random-models-tensorflow: $(STAMP)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -q -m random_models --hypothesis-show-statistics tests/random_models

random-models-jax: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python -m pytest -q -m random_models --hypothesis-show-statistics tests/random_models

random-models-torch: $(STAMP)
	@if $(BIN)/python -c "import torch" 2>/dev/null; then KERAS_BACKEND=torch $(BIN)/python -m pytest -q -m random_models --hypothesis-show-statistics tests/random_models; fi

# Every model on torch where it is installed, else on TensorFlow; six on the others.
sweep: sweep-tensorflow sweep-jax sweep-torch

sweep-tensorflow: $(STAMP)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -q -m sweep tests/sweep

sweep-jax: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python -m pytest -q -m sweep tests/sweep

sweep-torch: $(STAMP)
	@if $(BIN)/python -c "import torch" 2>/dev/null; then KERAS_BACKEND=torch $(BIN)/python -m pytest -q -m sweep tests/sweep; fi

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Memory, threads, files and traces over hundreds of checks and thousands of steps, on the running backend.
soak: $(STAMP)
	$(BIN)/python tests/soak/soak.py

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/probe_cost.py
	$(BIN)/python tests/benchmarks/probe_memory.py
	$(BIN)/python tests/benchmarks/tab_speed.py

# What heads, labels, columns, a small first layer and equal draws cost: the measurements behind the rules on them.
bench-steps: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python tests/benchmarks/steps_to_learn.py

# What a gain costs: the measurement behind the budgets of forward-gain and backward-gain.
bench-gain-cost: $(STAMP)
	$(BIN)/python tests/benchmarks/gain_cost.py

# The truth table on five draws of each network.
bench-truth: $(STAMP)
	$(BIN)/python tests/truth/table.py

# Whether the networks of the truth table train as its verdicts say.
bench-evidence: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python tests/truth/training.py

# Healthy and faulty networks by the hundred; torch is quickest, where it is installed.
bench-false-alarms: $(STAMP)
	@if $(BIN)/python -c "import torch" 2>/dev/null; then export KERAS_BACKEND=torch; fi; $(BIN)/python tests/benchmarks/false_alarms.py

# Which networks train as they are built, and after each cure.
bench-repair: $(STAMP)
	$(BIN)/python tests/benchmarks/repair.py
	$(BIN)/python tests/benchmarks/settle_speed.py

# The README's pictures; needs Chromium.
pictures: $(STAMP)
	$(BIN)/python examples/make_pictures.py

$(STAMP): setup.cfg pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[tensorflow,jax,demo,test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
