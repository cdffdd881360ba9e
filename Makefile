# `make help` lists what there is to do. Everything happens in .venv; nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-slurm lint format audit benchmark wheel clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

demo: $(VENV)/.installed  ## train a hybrid and a wavelet diffusion side by side on synthetic scenes (6 minutes on two cores), and compare them
	@echo "Pictures come to runs/sweeps/demo/hybrid/seed-1/samples and runs/sweeps/demo/wavediff/seed-1/samples; log.txt beside them tells how far it is."
	$(BIN)/python -m wavelight sweep experiments/sweeps/demo.yaml --jobs 2
	$(BIN)/python -m wavelight sample runs/sweeps/demo/hybrid/seed-1/checkpoints/last.ckpt --out runs/sweeps/demo/generated --images 64 --seed 1 --with_grid true
	$(BIN)/python -m wavelight report runs/sweeps/demo runs/sweeps/demo/compare.json --out runs/sweeps/demo/results.html
	@echo "64 images of the hybrid: runs/sweeps/demo/generated/grid.png; both beside each other as a page: runs/sweeps/demo/results.html"
	@if [ -n "$$DISPLAY" ] && command -v xdg-open > /dev/null; then xdg-open runs/sweeps/demo/results.html; fi

test: $(VENV)/.developing  ## run the tests that take minutes in all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(THREADS) -m "not slow and not gpu and not slurm"

test-all: $(VENV)/.developing  ## run every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(THREADS)

# Debian's packages; as root, in a container or a virtual machine of your own.
test-slurm: $(VENV)/.developing  ## install SLURM by apt-get, and test the job file for it
	apt-get install --yes --no-install-recommends slurm-wlm slurmctld slurmd munge
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm tests/cluster

lint: $(VENV)/.developing  ## check style, types and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developing  ## format the code, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: $(VENV)/.developing  ## check the installed packages for known faults, by pip-audit
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7'
	$(BIN)/python .ci/audit.py $(BIN)/python $(VENV)/audit/bin/python

benchmark: $(VENV)/.installed  ## measure the speed of networks and of training
	$(BIN)/python -m wavelight benchmark

wheel: $(VENV)/.developing  ## build the wheel into dist
	$(BIN)/python -m build --wheel

clean:  ## remove what was built, but no run
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

# Constraints are the versions that the project was last tested with; pyproject.toml says which others may do.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wavelight needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plots]'
	touch $@

# pytorchfwd, a reference in tests, asks for one old scipy; it runs with today's.
$(VENV)/.developing: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps pytorchfwd==1.0.1 ptwt==0.1.8
	touch $@
