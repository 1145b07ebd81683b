# The short names of everything. `make` alone lists them; each needs nothing done before it.
SHELL := /bin/bash

PROFILE ?= pocket
STUDY ?=
POCKET ?= pocket
CORES ?= 2
GPUS ?= 0
EXECUTOR ?= local
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# $(call pipeline,PROFILE,TARGET,options); with the option -n it only shows its plan.
pipeline = $(BIN)/python workflow/pipeline.py $(2) --profile $(1) --study "$(STUDY)" --cores $(CORES) \
	--executor $(EXECUTOR) --gpus $(GPUS) $(3)
# One thread for each of two parallel jobs beats two threads fighting over the same cores.
export OMP_NUM_THREADS ?= 1
# Text is UTF-8, also where the locale says nothing.
export PYTHONUTF8 ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup lock data runs reality rehearse reproduce verify book render notebooks pretrain test mutants lint format clean clean-data

help:  ## List what can be made
	@echo "make TARGET [PROFILE=pocket|smoke|paper|my.yaml] [STUDY=sam-mix|cheap-lunch|med-sa] [CORES=2] [GPUS=0] [EXECUTOR=local|slurm|...] [ARGS='more for the tool']"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## *(.*)/\1|\2/' \
		| awk -F'|' '{ printf "  %-12s %s\n", $$1, $$2 }'

setup: $(READY)  ## Make .venv with the locked environment and the package (about 6 GB, once)

$(READY): requirements.lock pyproject.toml workflow/setup.sh
	@workflow/setup.sh $(VENV)
	@touch $@

reproduce: $(READY)  ## Everything from nothing: data, runs, chapters, the site, the report; STUDY=: a part
	@$(call pipeline,$(PROFILE),everything,$(ARGS))

verify: $(READY)  ## Make all results anew, apart (ARGS='--only sam_pp': a part), and compare them
	@$(call pipeline,$(PROFILE),verify,$(ARGS))

data: $(READY)  ## Only the data of all studies: phantoms (or checked real data) and cached slices
	@$(call pipeline,$(PROFILE),data,$(ARGS))

runs: $(READY)  ## Train and test every system of all studies whose record is missing or stale
	@$(call pipeline,$(PROFILE),runs,$(ARGS))

reality: $(READY)  ## Every run and number on the small real sets (data/README.md), for hours
	@set -e; for name in brain brain_long ct mr_liver mr_kidneys mr_spleen lunch_brain lunch_organs \
		med_sa_organs med_sa_brain_3d med_sa_flair med_sa_skin med_sa_polyp; do \
		$(BIN)/samnb run --all --profile real_$$name --workers $(CORES); done
	@$(BIN)/python bench/reality.py

rehearse: STUDY := $(or $(STUDY),sam-mix)
rehearse: $(READY)  ## A study (else SAM-Mix) at the paper's sizes: phantoms, a few steps, random weights
	@$(call pipeline,rehearse,runs,$(ARGS))

book: $(READY)  ## Run the chapters that changed and build the site; any warning fails
	@$(call pipeline,$(PROFILE),site,$(ARGS))

render: $(READY)  ## Build the site from the committed notebooks; nothing is executed
	@$(BIN)/python workflow/render.py --notebooks book --output _build/committed
	@echo "The book: _build/committed/html/index.html"

notebooks: $(READY)  ## Run the chapters and write them into book/ (before a commit)
	@$(call pipeline,$(PROFILE),chapters,$(ARGS))
	@cp _build/$(PROFILE)/chapters/*.ipynb book/

pretrain: $(READY)  ## Train the pocket SAM anew (about two hours) and ship it; POCKET=pocket_3d: for volumes
	@OMP_NUM_THREADS=$(CORES) $(BIN)/samnb weights pretrain --pocket $(POCKET) $(ARGS)
	@OMP_NUM_THREADS=$(CORES) $(BIN)/samnb weights release --pocket $(POCKET)

test: $(READY)  ## Lint, unit tests, the smoke profile end to end, every committed notebook re-run
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(call pipeline,pocket,data)
	@$(BIN)/python -m pytest -n $(CORES) --dist loadfile --nbval --nbval-current-env \
		tests book $(ARGS)

mutants: $(READY)  ## Break the science in small ways; some test has to notice (ARGS='--only NAME')
	@$(BIN)/python workflow/mutants.py --workers $(CORES) $(ARGS)

lint: $(READY)  ## Only the style of code and chapters
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -q tests/test_book.py tests/test_house.py $(ARGS)

format: $(READY)  ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock:  ## Resolve the dependencies anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--all-extras --no-annotate --no-header --constraint workflow/lock-constraints.txt \
		pyproject.toml -o requirements.lock

clean:  ## Forget executed chapters and the site; data and environment stay
	rm -rf _build .snakemake .pytest_cache .ruff_cache

clean-data:  ## Forget phantoms and cached slices (they can be made again); downloads stay
	rm -rf data/phantoms data/cache
