# Each target does its own set-up in .venv; scripts/setup.sh says what that is.

.PHONY: help setup demo test check docs bench

help: ## say what there is (the default)
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: ## make or mend the environment in .venv; does nothing when it is up to date
	@sh scripts/setup.sh

demo: setup ## paraphrase real reviews, compare five methods on 100 labels
	.venv/bin/text-uda demo

test: ## run the tests
	@sh scripts/setup.sh --tests
	.venv/bin/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: ## what CI runs: lint, format, types, documentation, then the tests
	@sh scripts/setup.sh --tests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 .venv/bin/pyright --pythonpath .venv/bin/python
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory test

docs: ## build the documentation in site/; a broken link or anchor fails
	@sh scripts/setup.sh --tests
	.venv/bin/zensical build --strict --clean

bench: setup ## run every benchmark in scripts/
	@set -e; for file in scripts/benchmark_*.py; do \
	    case $$file in *_peers.py) .venv/bin/python -c 'import setfit' 2>/dev/null || \
	        { echo "left out: $$file needs pip install setfit"; continue; };; \
	    *_backtranslation.py) [ -d models/spa-eng ] || \
	        { echo "left out: $$file needs two models of scripts/distill_translator.py"; continue; };; esac; \
	    if [ -e "$$file" ]; then echo ".venv/bin/python $$file"; .venv/bin/python "$$file"; else echo "no benchmark yet"; fi; \
	done
