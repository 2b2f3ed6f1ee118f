# Everything from a fresh checkout: each target makes its own .venv where there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BACKEND_TESTS := tests/probe tests/repairs tests/promises \
	tests/faces/test_callback.py tests/faces/test_callback_repair.py
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test slow random-models sweep coverage lint types soak bench bench-gpu bench-steps \
	bench-gain-cost bench-branch-cost bench-truth bench-evidence bench-first-step bench-trial \
	bench-false-alarms bench-repair bench-rules pictures clean

demo: $(STAMP)
	$(BIN)/initcheck --demo

# Each of these runs on every backend that is installed, on two cores: TensorFlow beside JAX and
# torch.
#   test           everything but what follows, with the tab in a browser if there is Chromium
#   slow           the tests that take long and show little that a quicker one does not
#   random-models  nothing crashes, nothing is changed, and training goes on as without the probe
#   sweep          every model of keras.applications on torch, or on TensorFlow if there is no
#                  torch; six on the others
PARTS := test slow random-models sweep
BACKENDS := tensorflow jax torch
TOOLS := $(addprefix tests/,acceptance browser documents faces outputs tensorboard_plugin)
.PHONY: test-tools $(foreach part,$(PARTS),$(addprefix $(part)-,$(BACKENDS)))
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
FIND_TORCH := import importlib.util; raise SystemExit(not importlib.util.find_spec('torch'))
HAS_TORCH := $(BIN)/python -c "$(FIND_TORCH)"

# The suite on TensorFlow is two targets, since both wait at times: for a browser, for processes.
test: $(STAMP)
	@$(MAKE) --no-print-directory -j3 $(SYNC) test-tools $(addprefix test-,$(BACKENDS))

$(filter-out test,$(PARTS)): $(STAMP)
	@$(MAKE) --no-print-directory -j2 $(SYNC) $(addprefix $@-,$(BACKENDS))

# $(call pytest,BACKEND,ARGUMENTS): torch is used where it is, and not installed.
pytest = $(if $(filter torch,$1),@$(HAS_TORCH) || { echo $(NO_TORCH); exit 0; };) \
	KERAS_BACKEND=$1 $(BIN)/python -m pytest -q $2
NO_TORCH := "torch is not installed in $(VENV): its tests are left out"
# TensorFlow runs the whole suite, the others what depends on the backend, and torch, which is
# quickest, all of the truth table.
tests_of = $(if $(filter-out tensorflow,$1),$(BACKEND_TESTS)) \
	$(if $(filter torch,$1),tests/faces/test_initializers.py tests/truth)

$(addprefix test-,$(BACKENDS)): test-%: $(STAMP)
	$(call pytest,$*,$(call tests_of,$*) $(if $(filter tensorflow,$*),$(addprefix --ignore=,$(TOOLS))))

test-tools: $(STAMP)
	$(call pytest,tensorflow,$(TOOLS))

$(addprefix slow-,$(BACKENDS)): slow-%: $(STAMP)
	$(call pytest,$*,-m slow $(call tests_of,$*)) || [ $$? = 5 ] # 5: none is slow there

$(addprefix random-models-,$(BACKENDS)): random-models-%: $(STAMP)
	$(call pytest,$*,-m random_models --hypothesis-show-statistics tests/random_models)

$(addprefix sweep-,$(BACKENDS)): sweep-%: $(STAMP)
	$(call pytest,$*,-m sweep tests/sweep)

# Lines and branches of what needs no running training. torch is quickest, where it is installed.
COVERING := $(addprefix tests/,records theory analysis rules repairs outputs) keras_initcheck/theory
QUICKEST := if $(HAS_TORCH); then export KERAS_BACKEND=torch; fi;
coverage: $(STAMP)
	@$(QUICKEST) $(BIN)/python -m coverage run -m pytest -q $(COVERING)
	$(BIN)/python -m coverage report

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every type that a user of the package meets is known. Pyright and its Node are large, so that
# nothing else installs them; it sees no editable install, hence the path.
types: $(VENV)/.types
	PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=. $(BIN)/python tests/typed_names.py $(BIN)/pyright

$(VENV)/.types: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[types]"
	touch $@

# Memory, threads, files and traces over hundreds of checks and thousands of steps, on the running backend.
soak: $(STAMP)
	$(BIN)/python tests/soak/soak.py

# What watching costs, on every backend that is installed, as tables of Markdown; judging, and the tab.
bench: $(STAMP)
	$(BIN)/python tests/benchmarks/table.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/judge_cost.py
	$(BIN)/python tests/benchmarks/tab_speed.py

# What a repeated probe costs on a GPU; JAX and torch have to be installed for it.
bench-gpu: $(STAMP)
	$(BIN)/python tests/benchmarks/gpu.py

# What heads, labels, columns, a small first layer and equal draws cost.
bench-steps: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python tests/benchmarks/steps_to_learn.py

# What a gain costs: the measurement behind the budgets of forward-gain and backward-gain.
bench-gain-cost: $(STAMP)
	$(BIN)/python tests/benchmarks/gain_cost.py

# What a small residual branch costs, for the budget of a chain beside a skip connection.
bench-branch-cost: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/branch_cost.py

# What a first step foretells: the measurement behind the rules on it; and what it costs.
bench-first-step: $(STAMP)
	@$(QUICKEST) PYTHONPATH=. $(BIN)/python tests/benchmarks/first_step.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/first_step.py --cost

# What trials of 50 steps say of the networks of the truth table.
bench-trial: $(STAMP)
	@$(QUICKEST) $(BIN)/python tests/benchmarks/trial.py

# The truth table on five draws of each network.
bench-truth: $(STAMP)
	$(BIN)/python tests/truth/table.py

# Whether the networks of the truth table train as its verdicts say.
bench-evidence: $(STAMP)
	KERAS_BACKEND=jax $(BIN)/python tests/truth/training.py

# Healthy and faulty networks by the hundred; torch is quickest, where it is installed.
bench-false-alarms: $(STAMP)
	@$(QUICKEST) $(BIN)/python tests/benchmarks/false_alarms.py

# The numbers on the pages of rules whose bounds training decides.
bench-rules: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/rule_numbers.py

# Which networks train as they are built, and after each cure.
bench-repair: $(STAMP)
	$(BIN)/python tests/benchmarks/repair.py
	$(BIN)/python tests/benchmarks/settle_speed.py

# The README's pictures; needs Chromium.
pictures: $(STAMP)
	$(BIN)/python examples/make_pictures.py

# Most modules of the frameworks are never imported: Python compiles those that are, when they are.
$(STAMP): setup.cfg pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[tensorflow,jax,demo,test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
