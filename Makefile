# Every command that a person or the CI runs; `make help` lists them. On Debian
# each target first installs what it needs and what is missing (tools/deps.sh).
#
#   kernel:  cargo -> tocsin-kernel (ELF) -> tools/kernel-image.sh -> target/tocsin
#   modules: modules/Makefile -> target/modules/*.ko
#   running: qemu/run.sh, with the variables below

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# Debian's compiler if it is there and new enough; otherwise what rustup made of
# rust-toolchain.toml. Looked up for each command, since deps may install it.
found_path := $(PATH)
debian_rust = $(shell /usr/bin/rustc --version 2>/dev/null | grep -E '^rustc 1\.(9[6-9]|[1-9][0-9]{2})\.')
# Cargo looks for its subcommands in its own folder first, unless that is in PATH: rustup's
# may be there, for which this compiler is none.
export PATH = $(if $(debian_rust),/usr/bin:)$(found_path):$(cargo_home)/bin
# Cargo would remember a refusal of unstable flags, also for later builds that
# may use them.
export CARGO_CACHE_RUSTC_INFO := 0

# What qemu/run.sh reads: in the environment alone, where no quote or semicolon
# is ever looked at, and not handed down to modules/Makefile as assignments.
export CMD MODULES CPU SMP MEM MMU CAS MACHINE FIRMWARE ICOUNT THREADS QEMUFLAGS TIMEOUT MEDIUM
# And bench/bench.py; qemu/stress.py; fuzz/fuzz.sh; tools/image.sh, qemu/test_media.py.
export ROWS LINUX FOR SEED TOGGLES TARGET INPUT
export WORDS EMBED ONLY OUT MEDIA CPUS
MAKEOVERRIDES :=
# Where relative paths in MODULES start: with `make -C` not the current folder,
# but the one that it was called from. Only make's own command line tells.
under_C := $(shell tr '\0' '\n' </proc/$$PPID/cmdline | grep -cE '^(-[a-zA-Z]*C|--directory)')
export CALLER := $(if $(filter-out 0,$(under_C)),$(PWD),$(CURDIR))

# The image names neither somebody's home nor where it was built, and others' sources in few
# words. Of prefixes that fit, the last counts. Flags are separated by a byte that no path has.
unit := $(shell printf '\037')
blank := $(subst ,, )
home := $(or $(patsubst %/,%,$(HOME)),/root)
cargo_home := $(or $(CARGO_HOME),$(home)/.cargo)
registry := $(cargo_home)/registry/src/index.crates.io-1949cf8c6b5b557f
library = $(shell PATH='$(PATH)' rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
REMAP = $(subst $(blank),$(unit),$(foreach pair,$(home)=/builder $(cargo_home)=/cargo $(registry)=/cargo \
        $(library)=std $(CURDIR)=/tocsin,--remap-path-prefix=$(pair)))
# Functions marked #[inline] count as others where LLVM decides what to inline for size:
# 16 KB less of the image. Nor does the kernel show anything by Debug (`{:?}`): what it says
# of errors is written for people. A panic names its line, without the column.
SIZE = -Cllvm-args=-inlinehint-threshold=100$(unit)-Zfmt-debug=none$(unit)-Zlocation-detail=file,line
ENCODED_FLAGS = $(subst $(blank),$(unit),$(strip $(RUSTFLAGS)))$(if $(strip $(RUSTFLAGS)),$(unit))$(REMAP)$(unit)$(SIZE)

# One compiler, whose unstable parts are wanted: a target of our own, and core
# and alloc built for it. The wrapper makes our own functions patchable.
KERNEL_CARGO = RUSTC_BOOTSTRAP=1 CARGO_ENCODED_RUSTFLAGS='$(ENCODED_FLAGS)' \
               RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tools/rustc-patchable \
               CARGO_TARGET_PPC64LE_NONE_LINKER=$(CURDIR)/tools/link-kernel cargo
KERNEL_FLAGS = --locked --release --target boot/ppc64le-none.json -Zjson-target-spec \
               -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem,optimize_for_size
KERNEL_ELF   = target/ppc64le-none/release/tocsin-kernel
KSYMS        = target/debug/ksyms
CORPUS_LINK  = target/debug/corpus-link
SPOIL        = target/debug/tocsin-spoil

.PHONY: help deps run debug lesson grade test test-host test-qemu test-matrix test-media image stress corpus fuzz \
         sanitize lint kernel module template modules bad-modules debian-modules newer-modules grub-modules ko \
         trace-summary trace-json trace-folded patch flame picture figures bench book clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo 'Variables of run, test and debug (more in qemu/run.sh):'
	@sed -n '/^#   CMD /,/^#   TIMEOUT/s/^#  //p' qemu/run.sh

deps: ## install everything that the other targets install when they need it
	@tools/deps.sh build run test media grub debug fetch fuzz

# --- running ---------------------------------------------------------------

run: kernel modules $(if $(MEDIUM),image) ## boot in QEMU: the demo and a shell, or CMD='...' and off
	@tools/deps.sh run
	@exec qemu/run.sh

debug: kernel modules ## the same under gdb, which knows modules, sites and stubs: GDBFLAGS="-ex 'break answer'"
	@tools/deps.sh run debug
	@exec tools/debug.sh

# tools/image.sh says what it makes, and its variables.
image: kernel modules ## make boot media in target/image: disk, ISO, network, GRUB; CMD= MODULES= WORDS=
	@tools/deps.sh media
	@exec tools/image.sh

# --- learning --------------------------------------------------------------

# lessons/lesson.py says how pages, exercises and checks belong together.
lesson: ## begin a lesson: N=3; hands out its exercise
	@lessons/lesson.py show '$(N)'

grade: kernel modules ## is the exercise of a lesson done? N=3
	@tools/deps.sh run
	@lessons/lesson.py grade '$(N)'

# --- testing ---------------------------------------------------------------

test: kernel bad-modules debian-modules $(CORPUS_LINK) $(SPOIL) ## every host test and every QEMU test, with a minute of stress
	@tools/deps.sh run test media debug
	@$(with_debian) exec tools/test.sh host qemu

test-host: modules debian-modules ## tests of the pure code and of the scripts
	@tools/deps.sh build test
	@$(with_debian) exec tools/test.sh host

test-qemu: kernel bad-modules debian-modules $(CORPUS_LINK) $(SPOIL) ## console transcripts (qemu/cases); CASES='name ...' for some
	@tools/deps.sh run test media debug
	@$(with_debian) exec tools/test.sh qemu

# Both translations, on every CPU that has them, with 1 to 8 CPUs; once with SLOF;
# once on a processor that has to look like an older one; without a hypervisor. MATRIX='...' for some.
MATRIX = $(foreach smp,1 2 4 8,power8-hash-$(smp) power9-radix-$(smp) power9-hash-$(smp) \
         power10-radix-$(smp)) power9-radix-1-slof power9-like8-2 \
         powernv9-radix-2 powernv10-radix-1
test-matrix: kernel bad-modules debian-modules $(CORPUS_LINK) ## the transcripts on every machine, or on MATRIX='power8-hash-2 ...'
	@tools/deps.sh run test
	@$(with_debian) exec tools/test.sh $(MATRIX)

# Every medium under SLOF, on three processors; MEDIA='iso-vscsi' CPUS=power9 for some.
test-media: kernel modules debian-modules grub-modules ## boot every medium that `make image` makes, also damaged ones
	@tools/deps.sh run test media grub
	@$(with_debian) exec tools/test.sh media

# GRUB's modules for POWER are in a package of another architecture.
grub-modules:
	@if [ -n "$$TOCSIN_GRUB_DIR" ] || ! command -v apt-get >/dev/null; then :; \
	else tools/deps.sh fetch && tools/debian-fetch.sh target/grub grub-ieee1275-bin; fi

# MODULES here is what to compare instead of Debian's package.
corpus: kernel modules debian-modules $(CORPUS_LINK) ## link all Debian modules (or MODULES) twice, check every field
	@tools/deps.sh build run
	@$(with_debian) exec tools/corpus/corpus.py

# qemu/stress.py says what it does and what its line means.
stress: kernel modules ## change code under CPUs that run it: FOR=60 SEED=1 SMP=4 THREADS=multi TOGGLES=n STACKED=n
	@tools/deps.sh run test
	@exec qemu/stress.py

# fuzz/fuzz.sh has the variables and what its lines mean.
fuzz: modules debian-modules ## look for input that breaks the library: FOR=60 TARGET=module SEED=1 INPUT=file
	@tools/deps.sh build test fuzz
	@$(with_debian) exec fuzz/fuzz.sh

# AddressSanitizer with gcc's runtime, since Debian's rustc comes without one. Build
# scripts and macros run without it: that is what --target is for. Left out is how
# much symbols shrink, for the sanitizer adds thousands that do not.
ASAN = -Zsanitizer=address -Zexternal-clangrt \
       -Zpre-link-args=-Wl,--push-state,--no-as-needed,-lasan,--pop-state
sanitize: modules debian-modules ## the host tests with each access to memory checked (AddressSanitizer)
	@tools/deps.sh build test
	@$(with_debian) RUSTC_BOOTSTRAP=1 RUSTFLAGS='$(ASAN)' cargo test --locked --lib --tests \
	  --target $$(rustc -vV | sed -n 's/^host: //p') --target-dir target/sanitize \
	  --no-fail-fast -- --skip symbols_of_a_real_executable

# Debian's modules are test input. A folder of yours comes before ours.
with_debian = if [ -z "$$TOCSIN_MODULES_DIR" ] && [ -e target/debian/complete ]; then \
              export TOCSIN_MODULES_DIR=$(CURDIR)/target/debian; fi;
debian-modules: ## fetch and unpack Debian's ppc64el kernel modules (50 MB)
	@if [ -n "$$TOCSIN_MODULES_DIR" ]; then :; \
	elif ! command -v apt-get >/dev/null; then \
	  echo 'make: no apt-get: tests on Debian modules are skipped (TOCSIN_MODULES_DIR)' >&2; \
	else tools/deps.sh fetch && tools/debian-modules.sh target/debian; fi

# Not what the tests run on: something to compare with `make corpus MODULES=...`.
SUITE ?= sid
newer-modules: ## fetch the modules of a newer Debian kernel into target/newer/SUITE (SUITE=sid, trixie, ...)
	@tools/deps.sh fetch
	@DEBIAN_SUITE='$(SUITE)' tools/debian-modules.sh target/newer/$(SUITE)
	@echo 'compare: make corpus MODULES=target/newer/$(SUITE)' >&2

# --- measuring -------------------------------------------------------------

bench: kernel modules ## count instructions beside Debian's Linux; ROWS='link-* boot', LINUX=0
	@tools/deps.sh build run fetch
	@if [ -z "$$TOCSIN_MODULES_DIR" ]; then \
	  tools/debian-modules.sh target/debian $(if $(filter 0,$(LINUX)),,kernel); fi
	@bench/bench.py --docs docs

lint: ## clippy on both sides of the fence, and formatting
	@tools/deps.sh build
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path tests/loom/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --manifest-path tests/loom/Cargo.toml --target-dir target/loom \
	  --tests -- -D warnings
	CUSTOM_LIBFUZZER_PATH=$(CURDIR)/target/fuzz/libnone.a cargo clippy --locked \
	  --manifest-path fuzz/Cargo.toml --target-dir target/fuzz/lint -- -D warnings
	$(KERNEL_CARGO) clippy $(KERNEL_FLAGS) --bin tocsin-kernel -- -D warnings

# --- building --------------------------------------------------------------

kernel: target/tocsin ## build target/tocsin (for gdb) and target/tocsin.stripped (boots)
modules: ## build the sample modules into target/modules
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -C modules >&2

# Modules that the kernel must refuse, made from the good ones.
bad-modules: modules
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -C modules bad >&2

# Cargo knows what is out of date; make then sees whether the file has changed.
$(KERNEL_ELF): $(KSYMS) FORCE
	@tools/deps.sh build
	@$(KERNEL_CARGO) build $(KERNEL_FLAGS) --bin tocsin-kernel >&2

$(KSYMS): FORCE
	@tools/deps.sh build
	@cargo build --locked --bin ksyms >&2

$(CORPUS_LINK): FORCE
	@tools/deps.sh build
	@cargo build --locked --bin corpus-link >&2

$(SPOIL): FORCE
	@tools/deps.sh build
	@cargo build --locked --bin tocsin-spoil >&2

target/tocsin: $(KERNEL_ELF) $(KSYMS) tools/kernel-image.sh boot/image.ld
	@tools/kernel-image.sh $(KSYMS) $(KERNEL_ELF) $@

module: ## build a module of yours: SRC="x.c ..." OUT=x.ko (C as for Linux, assembly), or SRC=x.rs
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -C modules module SRC='$(SRC)' OUT='$(OUT)' CALLER='$(CALLER)' \
	  MODULE_FLAGS='$(MODULE_FLAGS)'

# LANG is also what the environment calls a person's language: only a word of this
# command line counts.
template: ## write a module to begin with: NAME=x LANG=c or rust
	@$(MAKE) --no-print-directory -C modules template NAME='$(NAME)' CALLER='$(CALLER)' \
	  LANGUAGE='$(if $(filter command%,$(origin LANG)),$(LANG),c)'

patch: ## make a live patch of two sources of a module: OLD=a.c NEW=b.c OUT=p.ko [MODULE=a]
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -C modules patch OLD='$(OLD)' NEW='$(NEW)' OUT='$(OUT)' \
	  MODULE='$(MODULE)' CALLER='$(CALLER)'

# Relative paths in FILE and ARGS start where make was called. FILE is one file or
# folder, with whatever blanks in its name, or several words, as MODULES above. A module
# that would not load is a failure to make, whose own status is 2: scripts that want the
# tool's call target/debug/tocsin-ko.
export FILE ARGS
ko: ## what is in modules, and would they load: FILE="x.ko y.ko" or a folder, ARGS='relocs 1' (ARGS=--help)
	@tools/deps.sh build
	@cargo build --quiet --locked --bin tocsin-ko >&2
	@cd "$$CALLER" && files=(); \
	if [ -e "$$FILE" ]; then files=("$$FILE"); \
	elif [ -n "$$FILE" ]; then mapfile -t files < <(xargs printf '%s\n' <<<"$$FILE"); fi; \
	exec "$(CURDIR)/target/debug/tocsin-ko" $$ARGS "$${files[@]}"

# A trace that was captured: make run CMD='...; trace show' > x.txt
export OUT TITLE
with_trace = [ -n "$$FILE" ] || { echo 'use: make $@ FILE=x.txt OUT=...; FILE=- is the standard input' >&2; exit 2; }; \
  tools/deps.sh build && cargo build --quiet --locked --bin tocsin-trace >&2 && cd "$$CALLER" && \
  $(CURDIR)/target/debug/tocsin-trace $1 "$$FILE" $${OUT:+-o "$$OUT"} $${TITLE:+--title "$$TITLE"}
trace-summary: ## what is in a captured trace: FILE=x.txt
	@$(call with_trace,summary)
trace-json: ## a captured trace for ui.perfetto.dev: FILE=x.txt OUT=x.json
	@$(call with_trace,json)
trace-folded: ## stacks and weights, one a line, of a captured trace: FILE=x.txt OUT=x.folded
	@$(call with_trace,folded)
flame: ## a captured trace as a flame graph: FILE=x.txt OUT=x.svg TITLE='...'
	@$(call with_trace,flame)

picture: kernel modules ## draw docs/flame.svg anew, from a run of Tocsin
	@tools/deps.sh run
	@cargo build --quiet --locked --bin tocsin-trace >&2
	@exec tools/picture.sh docs/flame.svg

figures: kernel modules ## draw docs/figures anew, from a run of Tocsin
	@tools/deps.sh run
	@exec tools/figures/figures.py docs/figures

# mdBook comes from crates.io: Debian 12 has no package. A few minutes, once.
MDBOOK = $(or $(shell command -v mdbook),target/tools/bin/mdbook)
book: ## build docs/ (the book, the lessons, a page on each part) into target/book, check its links
	@tools/deps.sh build
	@[ -n "$$(command -v $(MDBOOK))" ] || echo 'make: mdbook is compiled first: some minutes, once' >&2
	@[ -n "$$(command -v $(MDBOOK))" ] || cargo install mdbook --version 0.5.4 --locked \
	  --no-default-features --features search --root target/tools --target-dir target/tools/build >&2
	@rm -rf target/tools/build
	@rm -rf target/book && $(MDBOOK) build docs && tools/book/links.py target/book

clean: ## remove everything that was built or fetched
	rm -rf target

FORCE:
