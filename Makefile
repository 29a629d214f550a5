# make demo | test | check | bench | test-gpu | bench-gpu.  Everything is installed into .venv; delete .venv to start over.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data
MODELS ?= ../shared/models
CSRC := $(shell find edgepose/kernels/csrc -type f)
CPP := $(CSRC) $(shell find tests -name '*.h' -o -name '*.cpp')
SOURCES := pyproject.toml constraints.txt CMakeLists.txt cmake/fatbin.cmake $(CSRC)  # an editable install compiles once
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# make test-gpu GPU_PYTHON=python3 takes that Python's packages and not .venv: for machines without a network. It needs
# numpy, OpenCV, onnx, click, rich, pytest, nanobind and cuda-bindings there, and compiles into the tree.
GPU_PYTHON ?= $(BIN)/python
GPU_READY := $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/dev.stamp,build/native.stamp)

.PHONY: demo test test-sweep test-slow test-sanitize test-neon fuzz check fatbin format bench bench-quantization test-gpu bench-gpu results wheel docs clean

demo: .venv/demo.stamp            ## the whole job on rendered figures, about three minutes
	$(BIN)/edgepose demo --out demo-out --overwrite

# One process per folder: with torch, OpenVINO and ONNX Runtime all loaded, a process of a thousand tests has been
# killed by SIGSEGV on the return from a system call (seen on Linux 6.18; no folder alone does it). JOBS of them run at
# once, those that take longest first; each prints when it ends, and one that fails does not stop the others.
JOBS ?= 2
LONGEST := tests/models/ tests/cli/ tests/kernels/ tests/training/ tests/gpu/ tests/recipes/
PARTS = $(LONGEST) $(filter-out $(LONGEST) %__pycache__/,$(sort $(wildcard tests/*/))) $(sort $(wildcard tests/test_*.py))

test: .venv/dev.stamp             ## the tests; those on photographs want $(DATA) or EDGEPOSE_DATA
	@export EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}; \
	printf '%s\n' $(PARTS) | xargs -n 1 -P $(JOBS) sh -c \
	    'said=$$($(BIN)/python -m pytest -q -p no:xdist "$$0" 2>&1); code=$$?; printf "%s\n%s\n" "$$0" "$$said"; exit $$code'

SWEEPS := tests/models/test_every_model.py tests/models/test_h*.py tests/models/test_simplebaseline.py \
    tests/cli/test_systems.py tests/recipes/test_rtx.py tests/benchmarks/test_networks.py

test-sweep: .venv/dev.stamp       ## all small networks and all published costs, of which `test` takes a few
	EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} $(BIN)/python -m pytest -q -m slow -k 'small or published or current' $(SWEEPS)

test-slow: .venv/dev.stamp        ## the tests that take longer than half a minute each
	EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} $(BIN)/python -m pytest -q -m slow

# With every access and every integer of the host extension checked. Python's own allocations are left alone: its
# leaks are not ours.
test-sanitize: .venv/dev.stamp    ## the kernel tests with AddressSanitizer and UndefinedBehaviorSanitizer
	cmake -S . -B build/sanitize -DEDGEPOSE_CUDA=OFF -DEDGEPOSE_WERROR=ON -DEDGEPOSE_SANITIZE=address,undefined \
	    -DPython_EXECUTABLE=$(abspath $(BIN)/python) -Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir)
	cmake --build build/sanitize --parallel
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    EDGEPOSE_NATIVE=$$(ls build/sanitize/_native*.so) \
	    $(BIN)/python -m pytest -q -p no:cacheprovider tests/kernels/test_*.py

test-neon: .venv/dev.stamp        ## the loops for 64-bit ARM (qemu-user), for AVX-512 and for no known processor
	$(BIN)/python -m pytest -q -rs -m slow tests/kernels/test_elsewhere.py

fuzz: .venv/dev.stamp             ## 10,000 damaged inputs and 100 kills, about a quarter of an hour; tests/fuzz is a short form
	$(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/tables.py

check: .venv/dev.stamp            ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy

fatbin:                           ## compile the CUDA kernels for every GPU, warnings being errors; needs nvcc, no GPU
	cmake -S cmake -B build/fatbin -DEDGEPOSE_CUDA=ON
	cmake --build build/fatbin

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

bench: .venv/peers.stamp          ## measure the published numbers again into benchmarks/results/
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/lite.py --data $(DATA)
	$(BIN)/python benchmarks/resnet18.py --data $(DATA)
	$(BIN)/python benchmarks/memory.py --data $(DATA)
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/overfit.py --data $(DATA)
	$(BIN)/python benchmarks/systems.py --latency --data $(DATA)
	$(BIN)/python benchmarks/pictorial.py --data $(DATA)
	$(BIN)/python benchmarks/metrics.py --data $(DATA)
	$(BIN)/python benchmarks/rtx.py
	$(MAKE) bench-quantization
	$(BIN)/python benchmarks/tables.py

# About an hour on two cores. Latency is measured where the CPU has VNNI or AMX. NNCF is installed into an environment of its own.
bench-quantization: .venv/dev.stamp .venv-nncf/nncf.stamp ## INT8 with plain defaults beside NNCF, and how often the guard is wrong
	$(BIN)/python benchmarks/quantization.py --data $(DATA) --models $(MODELS) --nncf .venv-nncf/bin/python
	$(BIN)/python benchmarks/guard.py --data $(DATA)
	$(BIN)/python benchmarks/tables.py

# The device tests, and then under each tool of compute-sanitizer; they skip, and say why, where there is no GPU.
test-gpu: $(GPU_READY)            ## kernels, driver layer, engines on an NVIDIA GPU, and ten minutes of soak (EDGEPOSE_SOAK_S)
	EDGEPOSE_DATA=$${EDGEPOSE_DATA:-$(DATA)} $(GPU_PYTHON) -m pytest -q -rs -s -m gpu tests/gpu
	@command -v compute-sanitizer >/dev/null || echo 'compute-sanitizer is not on PATH: memory and races were not checked'
	@! command -v compute-sanitizer >/dev/null || for tool in memcheck racecheck initcheck; do \
	    compute-sanitizer --tool $$tool --target-processes all --error-exitcode 9 \
	        $(GPU_PYTHON) -m pytest -q -m gpu tests/gpu/test_on_gpu.py tests/gpu/test_driver.py || exit 1; \
	done

# One wheel for each Python named: cp312-abi3 from 3.12 on. Each is installed alone into a new environment and tried there.
WHEEL_PYTHONS ?= $(PYTHON)
wheel:                            ## build wheels into dist/ and try each in an environment of its own
	@for python in $(WHEEL_PYTHONS); do .ci/wheel "$$python" || exit 1; done

bench-gpu: $(GPU_READY)           ## the CUDA kernels against the copy bandwidth, into benchmarks/results/
	$(GPU_PYTHON) benchmarks/kernels_gpu.py

results: .venv/dev.stamp          ## the tables of README and docs from benchmarks/results/
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

build/native.stamp: CMakeLists.txt cmake/fatbin.cmake $(CSRC)
	cmake -S . -B build/native -DEDGEPOSE_CUDA=ON -Dnanobind_DIR=$$($(GPU_PYTHON) -m nanobind --cmake_dir) \
	    -DPython_EXECUTABLE=$$($(GPU_PYTHON) -c 'import sys; print(sys.executable)')
	cmake --build build/native --parallel
	cmake --install build/native --prefix .
	touch $@

# What benchmarks are held against. Without its dependencies: they are two more builds of OpenCV over the headless one.
.venv/peers.stamp: .venv/dev.stamp
	$(PIP) --no-deps rtmlib==0.0.16 tqdm
	touch $@

.venv-nncf/nncf.stamp: $(SOURCES)
	$(PYTHON) -m venv .venv-nncf
	.venv-nncf/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nncf==3.4.0 -e '.[cpu,data]'
	touch $@

docs: .venv/dev.stamp             ## build the documentation into build/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv .venv-nncf demo-out build dist
