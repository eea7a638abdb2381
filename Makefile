.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow lint format viz viz-export bench docs lock clean

# with it every kedro command compiles its imports again, three times slower
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK = 1

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

help: ## list what this Makefile does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## make .venv with the locked packages (again only when the lock changes)

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"
	INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null)}}"; \
		if [ -n "$$INDEX" ]; then export UV_DEFAULT_INDEX="$$INDEX"; fi; \
		$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

run: setup ## the study on the current data source (by default the built-in sample)
	$(BIN)/kedro run

test: lint ## lint, types and all tests but the slow and GPU ones
	$(BIN)/pytest -m "not slow and not gpu"

test-slow: setup ## the slow tests, and the GPU tests where there is a GPU
	$(BIN)/pytest -m "slow or gpu" --timeout 3600

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

viz: setup ## the pipelines and their results in the browser
	PYTHONWARNINGS="ignore:ORJSONResponse is deprecated" $(BIN)/kedro viz run

viz-export: setup ## the same as static files in build/, for any web server
	PYTHONWARNINGS="ignore:ORJSONResponse is deprecated" $(BIN)/kedro viz build --include-previews
	@# kedro-viz 12.5 leaves out an answer that its own page asks for
	@echo '{"has_missing_dependencies": false, "package_compatibilities": [{"package_name": "fsspec", "package_version": "", "is_compatible": true}]}' > build/api/metadata
	@echo "look at it with: $(BIN)/python -m http.server --directory build"

bench: setup ## speed and memory against the usual ways of doing it, as ratios
	$(BIN)/python -m tests.benchmarks

docs: setup ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "look at it with: $(BIN)/python -m http.server --directory site"

lock: setup ## resolve the newest versions that pyproject.toml allows into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --group dev --group docs \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock

clean: ## remove the environment and caches; data, models and logs stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis site build dist .coverage
	find src tests -name __pycache__ -type d -exec rm -rf {} +
