# make demo | test | check | bench.  Everything is installed into .venv; delete it to start anew.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data
CSRC := $(shell find edgepose/kernels/csrc -type f)
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(CSRC)  # an editable install compiles once
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow check format bench results clean

demo: .venv/demo.stamp            ## the whole job on rendered figures, about three minutes
	$(BIN)/edgepose demo --out demo-out --overwrite

# One process a folder: with torch, OpenVINO and ONNX Runtime all loaded, a process of a thousand tests has been
# killed by SIGSEGV on the return from a system call (seen on Linux 6.18; no folder alone does it).
test: .venv/dev.stamp             ## the tests; those on photographs want $(DATA) or EDGEPOSE_DATA
	@for part in tests/test_*.py $(sort $(wildcard tests/*/)); do case $$part in *__pycache__*) continue;; esac; \
	    EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} $(BIN)/python -m pytest -q -p no:xdist $$part || exit 1; \
	done

test-slow: .venv/dev.stamp        ## the tests that take longer than half a minute each
	EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} $(BIN)/python -m pytest -q -m slow

check: .venv/dev.stamp            ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CSRC)
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CSRC)

bench: .venv/peers.stamp          ## measure the published numbers again into benchmarks/results/
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/lite.py --data $(DATA)
	$(BIN)/python benchmarks/resnet18.py --data $(DATA)
	$(BIN)/python benchmarks/memory.py --data $(DATA)
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/overfit.py --data $(DATA)
	$(BIN)/python benchmarks/tables.py

results: .venv/dev.stamp          ## the README's tables from benchmarks/results/
	$(BIN)/python benchmarks/tables.py

.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo 'no venv: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip


.venv/demo.stamp: .venv/bin/python $(SOURCES)
	$(PIP) -e '.[cpu,report]'
	touch $@

.venv/dev.stamp: .venv/bin/python $(SOURCES)
	$(PIP) -e '.[dev]'
	touch $@

# What benchmarks are held against. Without its dependencies: they are two more builds of OpenCV over the headless one.
.venv/peers.stamp: .venv/dev.stamp
	$(PIP) --no-deps rtmlib==0.0.16 tqdm
	touch $@

clean:
	rm -rf .venv demo-out build dist
