# Every target in one line: make help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_TEACH := $(VENV)/.ready-to-teach
NOTEBOOK ?=

.DEFAULT_GOAL := help
.PHONY: help lab check test test-browser run execute sync address figures book live slides release footprint colab test-colab checkpoint experiment benchmark benchmark-multi30k format lint diffs matrix audit lock clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(READY) ## Install what is missing and open JupyterLab at notebook 00
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

check: lint ## Lint, who imports whom, and the fast tests: under a minute, after each edit
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" -n 2 tests

test: $(READY_TO_TEACH) ## Every test, then every notebook against its stored outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=10 tests
	$(BIN)/python -m pytest -q --nbval --nbval-current-env --nbval-cell-timeout=900 notebooks/*$(NOTEBOOK)*.ipynb

test-browser: $(READY_TO_TEACH) ## Explorer, book and slides in headless Chromium (a system package)
	$(BIN)/python -m pytest -q -rs tests/pictures/test_explorer.py tests/test_book.py tests/test_slides.py

run: $(READY) ## Execute the whole series into build/ and print held-out translations
	$(BIN)/python -m tools.notebooks run $(NOTEBOOK)

execute: $(READY) ## Refresh stored outputs in place; NOTEBOOK=07 for one
	$(BIN)/python -m tools.notebooks execute $(NOTEBOOK)

sync: $(READY) ## Copy set-up cell and helper definitions into the notebooks that show them
	$(BIN)/python -m tools.notebooks sync

address: $(READY) ## Write the repository's address (pyproject.toml) wherever it is needed
	$(BIN)/python -m tools.notebooks address

figures: $(READY) ## Every drawing as SVG into build/figures, and the README's picture
	$(BIN)/python -m tools.figures

book: $(READY_TO_TEACH) ## The series as a web book into build/book; nothing is executed, nothing fetched
	$(BIN)/python -m tools.book

live: $(READY) ## The trained translator as one web page, open for surgery: build/live.html
	$(BIN)/python -m tools.live

slides: $(READY_TO_TEACH) ## A deck of slides for each notebook into build/slides; NOTEBOOK=07 for one
	$(BIN)/python -m tools.slides $(NOTEBOOK)

release: $(READY_TO_TEACH) ## Student versions of the problem sets into build/release
	$(BIN)/python -m tools.release

footprint: $(READY) ## Memory and processor time that one learner needs; NOTEBOOK=07 for one
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.footprint $(NOTEBOOK)

test-colab: $(READY) ## Both Colab editions, executed in a fresh environment (about 20 minutes)
	$(BIN)/python -m pytest -q -s tests/colab_editions.py

colab: $(READY) ## Notebooks that run alone, without this project, into build/colab
	$(BIN)/python -m tools.colab

checkpoint: $(READY) ## Train again the small translator that notebook 00 opens with
	$(BIN)/python -m benchmarks.translator --save helpers/data/translator.safetensors

experiment: $(READY) ## Notebook 11's full experiment, about 20 minutes; goes on where it stopped
	$(BIN)/python -m benchmarks.experiment --processes 2

benchmark: $(READY) ## Figures: speed against torch.nn and Hugging Face, eager and compiled; how well the translator learns
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.translator

benchmark-multi30k: $(READY) ## BLEU on Multi30k after 10, 30 and 60 minutes, and each trick (about 3 hours)
	$(BIN)/python -m benchmarks.multi30k --side-by-side 2

format: $(READY) ## Format code and notebooks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

diffs: $(READY) ## Let git show notebooks as text in this clone (outputs left out)
	git config diff.notebook.textconv "$(CURDIR)/$(BIN)/jupytext --quiet --from ipynb --to py:percent --output -"
	git config diff.notebook.cachetextconv true

lint: $(READY) ## Check style and who imports whom, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

matrix: $(READY) ## Tests and notebooks on every Python here, lowest and newest versions; docs/versions.md
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m tools.matrix

audit: $(READY) ## Look for known vulnerabilities in what is pinned (needs a network)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --disable-pip --no-deps -r requirements.lock -r requirements-teach.lock

lock: $(READY) ## Renew requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m tools.lock

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build *.egg-info

# The stamp comes last, so an interrupted installation is done again, a complete one never.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or later is needed, {sys.executable} is {v[0]}.{v[1]}; try: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

$(READY_TO_TEACH): $(READY) requirements-teach.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r requirements-teach.lock
	@# Or readers would find nbgrader's buttons in JupyterLab; `labextension enable` brings them back.
	@$(BIN)/jupyter labextension disable --level=sys_prefix @jupyter/nbgrader >/dev/null 2>&1
	@touch $(READY_TO_TEACH)
