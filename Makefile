# Every verb of the project. `make run` and `make test` are all a newcomer needs; both prepare what they use.
# Steps leave stamps in .venv/, so a second call does only what changed.

# The lines of a step share one shell with strict errors, so a failed line stops its verb.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
PIP := $(PYTHON_IN_VENV) -m pip --disable-pip-version-check install --quiet
PYTHON_SOURCES := $(shell find appliance/leafbox -name '*.py')
PYTEST := $(PYTHON_IN_VENV) -m pytest
# setuptools reads pyproject.toml; there is no setup.py to name. It warns that listing extensions there is new.
SETUPTOOLS := $(PYTHON_IN_VENV) -W ignore -c 'import setuptools; setuptools.setup()' --quiet
DATAPLANE_SOURCES := $(wildcard appliance/leafbox/dataplane/*.pyx appliance/leafbox/dataplane/*.pxd)
# Extra arguments: make test ARGS="-k sublist", make bench ARGS="...".
ARGS ?=
# Test processes side by side. Most tests wait for servers, so two also pay off on two busy cores; a file's tests stay
# together, because they share what its fixtures started.
WORKERS ?= 2

##@ First
.PHONY: run test
run: $(VENV)/runtime.stamp $(VENV)/bin/leafbox $(VENV)/extension.stamp $(VENV)/bytecode.stamp ## Prepare, then run the appliance (Ctrl-C stops it)
	exec $(VENV)/bin/leafbox run $(ARGS)

test: setup ## Prepare, then run every test and write the capability table
	@$(PYTEST) -n $(WORKERS) --dist loadfile --record-capabilities=results/capabilities.json $(ARGS) && code=0 || code=$$?
	# A run of chosen tests says nothing of the others' rows.
	[ -n "$(ARGS)" ] || $(PYTHON_IN_VENV) -m tests.support.capabilities results/capabilities.json docs/capabilities.md
	exit $$code

##@ While working
.PHONY: setup build quick check style types architecture format ui
setup: $(VENV)/development.stamp $(VENV)/bin/leafbox $(VENV)/extension.stamp $(VENV)/bytecode.stamp ## Everything for development: packages, tools, extension

build: setup ## Compile what changed of the data plane

quick: setup ## The tests that take milliseconds
	$(PYTEST) -m "not slow" -q $(ARGS)

check: style types architecture test ## What a commit must pass

style: $(VENV)/development.stamp ## ruff: rules and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/development.stamp ## Let ruff repair what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

types: $(VENV)/development.stamp ## mypy --strict on everything
	$(VENV)/bin/mypy appliance tests

architecture: $(VENV)/development.stamp ## Layers, sizes, banned calls, generated files
	$(PYTEST) -q tests/architecture

ui: $(VENV)/bin/leafbox web-ui/node_modules/.stamp ## Check the dashboard and build it (needs Node 20 and npm)
	$(PYTHON_IN_VENV) -m leafbox.web.openapi web-ui/openapi.json
	cd web-ui
	npm run --silent api
	npm run --silent types
	npm run --silent test -- --test-reporter=dot
	npm run --silent build

##@ Now and then
.PHONY: asan properties fuzz bench lock docs clean help
# The compiler flags are added to those of pyproject.toml. Python's own allocator hides overruns inside its arenas,
# hence malloc; Python does not free everything at exit, hence no leak check; the report goes to file descriptor 2.
ASAN_ENVIRONMENT = LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
	PYTHONMALLOC=malloc PYTHONPATH=build/asan/lib
# What frees memory late cannot be measured here, so the tests that do are left out.
ASAN_TESTS ?= tests/unit/dataplane tests/unit/clients tests/properties tests/e2e

asan: setup build/asan.stamp ## The data plane's tests on an AddressSanitizer build
	$(ASAN_ENVIRONMENT) $(PYTEST) -p no:cacheprovider --capture=sys --override-ini timeout=600 -m "not memory" $(ASAN_TESTS) $(ARGS)

properties: setup build/asan.stamp ## Property tests with many more examples, on the same build
	$(ASAN_ENVIRONMENT) $(PYTEST) -p no:cacheprovider --capture=sys --override-ini timeout=0 \
		--hypothesis-profile=fuzz tests/properties $(ARGS)

# All targets in turn, or some: make fuzz TARGETS=client_parser FUZZ_S=3600. atheris brings libFuzzer and clang's
# AddressSanitizer in one library; what it found stays in build/fuzz/corpus. Cython's modules share names of globals,
# which is no violation of anything here.
TARGETS ?= $(patsubst tests/fuzz/fuzz_%.py,%,$(wildcard tests/fuzz/fuzz_*.py))
FUZZ_S ?= 600
fuzz: build/fuzz.stamp ## Search for inputs that break a parser (libFuzzer, AddressSanitizer)
	export LD_PRELOAD="$(CURDIR)/build/fuzz/packages/asan_with_fuzzer.so" PYTHONMALLOC=malloc
	export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0 PYTHONPATH=build/fuzz/lib:build/fuzz/packages
	for target in $(TARGETS); do
		$(PYTHON_IN_VENV) -m tests.fuzz $$target -max_total_time=$(FUZZ_S) -rss_limit_mb=3000 $(ARGS)
	done

bench: setup ## Benchmarks beside the real nats-server
	$(PYTHON_IN_VENV) -m tests.benchmarks $(ARGS)

# The second step proves that every package of the box has a wheel for arm64 on each Python, without such a machine.
lock: $(VENV)/development.stamp ## Pin the newest allowed packages with hashes, check their arm64 wheels
	@$(PYTHON_IN_VENV) -m venv build/uv
	build/uv/bin/pip --disable-pip-version-check install --quiet uv
	for set in runtime development; do
		groups="--group build"
		if [ $$set = development ]; then groups+=" --group test --group style --constraint requirements/runtime.lock"; fi
		build/uv/bin/uv pip compile pyproject.toml $$groups --universal --python-version 3.11 --generate-hashes --upgrade \
			--no-config --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements/$$set.lock
	done
	for version in 3.11 3.12 3.13; do
		$(PYTHON_IN_VENV) -m pip download --quiet --no-deps --require-hashes --only-binary :all: --dest build/arm64 \
			--implementation cp --python-version $$version --platform manylinux_2_17_aarch64 \
			--platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_34_aarch64 \
			--requirement requirements/runtime.lock
	done
	echo "locked; now: make docs test"

docs: $(VENV)/development.stamp ## Write the generated pages again
	$(PYTHON_IN_VENV) -m tests.support.licences docs/licences.md
	mkdir -p docs/mqtt
	$(PYTHON_IN_VENV) -m tests.support.mqtt_statements docs/mqtt/conformance.md

clean: ## Remove all that was built, keep data/
	rm -rf $(VENV) build results web-ui/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis appliance/*.egg-info
	find appliance tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f appliance/leafbox/dataplane/*.so appliance/leafbox/dataplane/*.c

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print "\n" substr($$0, 5)} /^[a-z]+:.*## / {printf "  make %-13s%s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

# Files ----------------------------------------------------------------------------------------------------------------

$(PYTHON_IN_VENV):
	@python=$$(sh appliance/bootstrap.sh)
	echo "setup: environment from $$python"
	"$$python" -m venv $(VENV)

# The box must never compile a package: all of them come as wheels.
$(VENV)/runtime.stamp: requirements/runtime.lock | $(PYTHON_IN_VENV)
	@echo "setup: packages of $<"
	$(PIP) --require-hashes --only-binary :all: --requirement $<
	touch $@

# nkeys is published as source only; the runtime lock, installed first, brings the setuptools that builds it.
$(VENV)/development.stamp: requirements/development.lock requirements/runtime.lock | $(PYTHON_IN_VENV)
	@sh appliance/bootstrap.sh tests >/dev/null
	echo "setup: packages of $<"
	$(PIP) --require-hashes --only-binary :all: --requirement requirements/runtime.lock
	$(PIP) --require-hashes --only-binary :all: --no-binary nkeys --no-build-isolation --requirement $<
	touch $(VENV)/runtime.stamp $@

# The part of pyproject.toml an installation depends on; the file changes only when that part does, so that a new
# extension module or another ruff rule does not install everything again.
$(VENV)/project.toml: pyproject.toml | $(PYTHON_IN_VENV)
	@project() { sed '/^\[dependency-groups\]/,$$d' "$$1"; }
	project $< >$@.new
	if project $@ 2>/dev/null | cmp --silent - $@.new; then rm $@.new; else mv $@.new $@; fi

# The editable install puts the programs into .venv/bin and compiles the whole extension into appliance/. Its build
# requirements are in the lock, so no build isolation and nothing fetched that is not pinned.
$(VENV)/bin/leafbox: $(VENV)/project.toml | $(VENV)/runtime.stamp
	@echo "setup: leafbox itself, compiling the data plane (a minute or two)"
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $(VENV)/extension.stamp $@

# The box has no Node: what is built is committed, and a test holds it to its sources.
web-ui/node_modules/.stamp: web-ui/package-lock.json
	@npm ci --prefix web-ui --silent --no-audit --no-fund --ignore-scripts
	touch $@

# cythonize follows cimports by itself: a changed .pxd compiles again what uses it and nothing else. Building "into"
# appliance/ rather than --inplace lets setuptools see which .so is newer than its source. Other compiler flags do not
# count as a change: `make clean` first.
$(VENV)/extension.stamp: $(DATAPLANE_SOURCES) pyproject.toml | $(VENV)/bin/leafbox
	@echo "setup: compiling what changed of the data plane"
	$(SETUPTOOLS) build_ext --build-lib appliance
	touch $@

# Half of a start's processor time is compiling Python, when nobody keeps what was compiled: containers and build machines
# often set PYTHONDONTWRITEBYTECODE, and every test that starts a server would pay for it.
$(VENV)/bytecode.stamp: $(PYTHON_SOURCES) | $(VENV)/bin/leafbox
	@echo "setup: compiling what changed of the Python"
	$(PYTHON_IN_VENV) -m compileall -q appliance/leafbox
	touch $@

# Python files are copied beside the instrumented modules; stale ones go first.
build/asan.stamp: $(DATAPLANE_SOURCES) $(PYTHON_SOURCES) pyproject.toml | setup
	@echo "asan: compiling the data plane with AddressSanitizer"
	mkdir -p build/asan/lib
	find build/asan/lib -name '*.py' -delete
	export CFLAGS="-fsanitize=address -fno-omit-frame-pointer -g" LDFLAGS="-fsanitize=address"
	$(SETUPTOOLS) build --build-base build/asan --build-lib build/asan/lib
	touch $@

# gcc instruments, but must not link its own sanitizer: the one that atheris brings is loaded first.
build/fuzz.stamp: $(DATAPLANE_SOURCES) $(shell find appliance/leafbox -name '*.py') tests/fuzz/coverage.c pyproject.toml | setup
	@echo "fuzz: compiling the data plane with coverage and AddressSanitizer"
	mkdir -p build/fuzz/lib
	find build/fuzz/lib -name '*.py' -delete
	$(PIP) --upgrade --target build/fuzz/packages 'atheris>=3,<4'
	gcc -O2 -fPIC -c tests/fuzz/coverage.c -o build/fuzz/coverage.o
	export CC="gcc -fsanitize=address -fsanitize-coverage=trace-pc,trace-cmp -fno-omit-frame-pointer -g"
	export LDSHARED="gcc -shared $(CURDIR)/build/fuzz/coverage.o"
	$(SETUPTOOLS) build --build-base build/fuzz --build-lib build/fuzz/lib
	touch $@
