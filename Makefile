# SPDX-License-Identifier: GPL-2.0
#
# For people. The rules of the kernel's build system are in Kbuild.
# `make help` describes every target.

SHELL := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# All of these may be given on the command line.
DOCROOT ?=
PORT ?=
TESTS ?=
VM_TIMEOUT ?=
CMD ?=
KDIR ?=
export DOCROOT PORT TESTS VM_TIMEOUT

##@ Use

.PHONY: run
run: ## serve DOCROOT (site/) at 127.0.0.1:PORT (8080) from a virtual machine
	@scripts/run.sh

##@ Build

.PHONY: all
all: modules ## same as modules

.PHONY: modules
modules: ## build rust-tux.ko for the stock kernel; or for the kernel tree KDIR
ifeq ($(KDIR),)
	@scripts/build.sh
else
	@mkdir -p build/module
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(CURDIR)/build/module modules
endif

.PHONY: prepare
prepare: ## fetch and make what builds and tests need (root, apt, a cache)
	@scripts/prepare.sh root guest

.PHONY: clean
clean: ## remove build/ (the cache stays)
	rm -rf build

.PHONY: clean-cache
clean-cache: ## remove what the scripts fetched and made outside of build/
	@scripts/prepare.sh --clean

##@ Test

.PHONY: test
test: ## all tests: check, models, then vm-check
	@scripts/test.sh check models vm-check

.PHONY: check
check: ## host tests of the protocol layer, in seconds
	@scripts/check.sh

.PHONY: models
models: ## what contexts share, in each order that there can be (PREEMPTIONS= MODELS="events")
	@scripts/models.sh $(if $(PREEMPTIONS),--preemptions $(PREEMPTIONS)) $(MODELS)

.PHONY: fuzz
fuzz: ## fuzz the protocol layer (RUNS=200000 SECONDS=0 SEED=1 TARGETS="head date")
	@scripts/fuzz.sh $(if $(RUNS),--runs $(RUNS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(TARGETS)

.PHONY: differential
differential: ## compare our parser with httparse, llhttp and h11 (COUNT=200000 SEED=)
	@scripts/differential.sh $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

.PHONY: vm-check
vm-check: prepare ## selftests on the stock kernel in a virtual machine (TESTS="a.sh b.sh")
	@scripts/build.sh
	@scripts/vm-check.sh stock

.PHONY: vm-check-debug
vm-check-debug: ## the same on the checking kernel (KASAN, lockdep, kmemleak, ...)
	@scripts/prepare.sh root guest debug
	@scripts/build.sh debug
	@scripts/vm-check.sh debug

.PHONY: vm-check-kcsan
vm-check-kcsan: ## the same on a kernel that looks for data races (TESTS=...)
	@scripts/prepare.sh root guest kcsan
	@scripts/build.sh kcsan
	@scripts/vm-check.sh kcsan

.PHONY: plant
plants_race = $(if $(FAULTS),$(filter data_race,$(FAULTS)),yes)
plant: ## whether the tests find faults that are planted (FAULTS="none lost_sock")
	@scripts/prepare.sh root guest debug $(if $(plants_race),kcsan)
	@scripts/build.sh
	@scripts/build.sh debug
	@scripts/build.sh planted
	@$(if $(plants_race),scripts/build.sh kcsan-planted)
	@scripts/plant.sh $(FAULTS)

.PHONY: torture
torture: ## campaigns on the checking kernel (SECONDS=600 SEED= CAMPAIGNS="connections" KIND=kcov)
	@scripts/prepare.sh root guest debug
	@scripts/build.sh $(or $(KIND),debug)
	@scripts/torture.sh --kernel $(or $(KIND),debug) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(CAMPAIGNS)

.PHONY: torture-check
torture-check: ## a short run of some campaigns
	@scripts/prepare.sh root guest debug
	@scripts/build.sh debug
	@scripts/torture.sh --seconds 45 --together lifecycle connections fuzzer

.PHONY: vm-shell
vm-shell: prepare modules ## shell in a virtual machine with the module at hand
	@scripts/vm.sh

.PHONY: vm
vm: prepare modules ## run CMD='...' in a virtual machine (VM_OPTIONS: see scripts/vm.sh --help)
	@scripts/vm.sh $(VM_OPTIONS) -- $(call quote,$(CMD))

.PHONY: bench
bench: prepare modules ## compare with nginx and Apache in a virtual machine (REQUESTS=100000 SECONDS=30)
	@scripts/vm.sh -- scripts/guest/bench.sh $(REQUESTS) $(SECONDS)

.PHONY: bench-parse
bench-parse: ## what it costs to parse a request: instructions and ns, on this machine
	@scripts/prepare.sh root
	@scripts/bench-parse.sh

##@ Style

.PHONY: lint
lint: ## clippy, rustfmt, layer rules, shellcheck, no panics in the object
	@scripts/lint.sh

.PHONY: fmt
fmt: ## format the Rust sources
	@scripts/lint.sh --fix

.PHONY: doc
doc: ## documentation of the protocol layer as HTML (build/cargo/doc)
	@scripts/check.sh doc

##@ Help

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

quote = '$(subst ','\'',$(1))'
