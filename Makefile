# One Makefile, no recursion into folders: every variant's objects live under
# build/<variant>/. The targets that install packages first re-enter it once,
# because pkg-config must be asked after the packages are there.
#
#   make VARIANT=debug   release (default), debug, asan, tsan, cov
#   make BUILD=DIR       another build folder, so two people can share a checkout
#   make CC=clang  WERROR=1  V=1  CFLAGS=-march=native  LDFLAGS=...

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BUILD ?= build
VARIANT ?= release
VARIANTS := release debug asan tsan cov fuzz
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)

ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT): choose one of $(VARIANTS))
endif

# ---- what there is ---------------------------------------------------------

# The pure layers: bytes in, decisions out. A file of them that makes system
# calls is named here, so that fuzz targets cannot link it; and so is one of
# another layer that makes none, so that they can.
PURE_DIRS := daemon/base daemon/smtp daemon/policy daemon/spool
PURE_NOT := daemon/base/io.c
PURE_ALSO := daemon/tls/hello.c daemon/tls/posthandshake.c \
	daemon/super/handover.c \
	bench/kit/account.c bench/sink/intake.c

LIB_SRC := $(wildcard daemon/*/*.c)
PURE_SRC := $(filter-out $(PURE_NOT),$(wildcard $(PURE_DIRS:%=%/*.c))) \
	$(PURE_ALSO)

# The bench kit's modules; the mains of its programs stand in bench/ itself.
# But for the floor: plain C over OpenSSL, nothing of the daemon's.
FLOOR_SRC := $(wildcard bench/floor/*.c)
BENCH_SRC := $(filter-out $(FLOOR_SRC),$(wildcard bench/*/*.c))

# A folder's test programs are named by prefix; its other .c files are helpers
# linked into each of them.
UNIT_SRC := $(wildcard tests/unit/test_*.c)
SIM_SRC := $(wildcard tests/sim/sim_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
TALK_SRC := $(wildcard tests/talk/talk.c)
UNIT_HELP := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
SIM_HELP := $(filter-out $(SIM_SRC),$(wildcard tests/sim/*.c))
FUZZ_HELP := $(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c))
TALK_HELP := $(filter-out $(TALK_SRC),$(wildcard tests/talk/*.c))

MAIN_sluiced := daemon/main.c
MAIN_sluicectl := daemon/sluicectl.c
MAIN_sluice-load := bench/sluice-load.c
MAIN_sluice-sink := bench/sluice-sink.c
PROGRAMS := $(foreach p,sluiced sluicectl sluice-load sluice-sink,\
	$(if $(wildcard $(MAIN_$p)),$p))

# Probes of kernel-notes/ know nothing of the daemon.
PROBE_BPF := $(wildcard kernel-notes/probes/*.bpf.c)
PROBE_SRC := $(filter-out $(PROBE_BPF),$(wildcard kernel-notes/probes/*.c))
PROBE_HELP := $(wildcard kernel-notes/*.c)

# The daemon's own BPF programs, which it carries as skeletons.
BPF_SRC := $(wildcard bpf/*.bpf.c)
SKELETONS := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.skel.h)

C_DIRS := daemon daemon/* bench bench/* bpf kernel-notes kernel-notes/* tests/*
C_FILES := $(wildcard $(C_DIRS:%=%/*.c) $(C_DIRS:%=%/*.h))
HEADERS := $(filter %.h,$(C_FILES))
LINT_SRC := $(strip $(LIB_SRC) $(BENCH_SRC) $(FLOOR_SRC) \
	$(wildcard daemon/*.c bench/*.c))
SHELL_FILES := $(shell awk 'FNR == 1 && /^\#!.*sh$$/ { print FILENAME } \
	{ nextfile }' .ci/run $(wildcard tests/vm/* bench/*.sh) \
	kernel-notes/run-all \
	$$(find scripts -maxdepth 1 -type f))

# ---- flags -----------------------------------------------------------------

PKGS := openssl liburing libconfuse libseccomp libxxhash libbpf
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wswitch-enum -Wshadow -Wconversion -Wcast-qual \
	-Wmissing-prototypes -Wvla -Wimplicit-fallthrough -Wformat=2 \
	-Wstrict-prototypes -Wundef $(if $(WERROR),-Werror)
DIALECT := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Idaemon -Ibench \
	-isystem $(BUILD)/bpf
BASE_FLAGS := $(DIALECT) $(WARN) -fno-common -fstack-protector-strong -fPIE
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SANITIZE := address,undefined
TRAP := -fno-sanitize-recover=all -fno-omit-frame-pointer

OPT_release := -O2 -g $(FORTIFY)
OPT_debug := -Og -g3 $(FORTIFY)
OPT_asan := -O1 -g -fsanitize=$(SANITIZE) $(TRAP)
OPT_tsan := -O1 -g -fsanitize=thread $(TRAP)
OPT_cov := -O0 -g --coverage
OPT_fuzz := -O1 -g -fsanitize=fuzzer-no-link,$(SANITIZE) $(TRAP)

HARDEN := -pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed
# The sanitizers' run-time library wraps crypt_r: --as-needed would drop ours.
LIBS := $(PKG_LIBS) -Wl,--push-state,--no-as-needed -lcrypt \
	-Wl,--pop-state -lpthread -lm
PURE_LIBS := $(shell pkg-config --libs libcrypto libxxhash 2>/dev/null) -lcrypt

CC_fuzz := $(CLANG)
cc = $(or $(CC_$1),$(CC))
compile = $(call cc,$1) $(BASE_FLAGS) $(OPT_$1) $(PKG_CFLAGS) $(CFLAGS)
link = $(call cc,$1) $(OPT_$1) $(HARDEN) $(LDFLAGS)

# cmocka hands every test a `state`; libFuzzer declares its entry nowhere.
FLAGS_tests/unit/ := -Itests -Wno-unused-parameter
FLAGS_tests/sim/ := -Itests
FLAGS_tests/talk/ := -Itests
FLAGS_tests/fuzz/ := -Itests -Wno-missing-prototypes

Q := $(if $(V),,@)
silent = $(findstring s,$(firstword -$(MAKEFLAGS)))
say = @$(if $(V)$(silent),:,printf '  %-5s %s\n' $1 $2)
SUBMAKE = $(MAKE) --no-print-directory \
	$(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
RUN_TESTS = BUILD='$(BUILD)' FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: FORCE

# ---- build -----------------------------------------------------------------

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/$(VARIANT)/%) ## Build the programs (VARIANT=release)
all: $(BUILD)/$(VARIANT)/libsluice.a

.PHONY: tests
tests: tests-$(VARIANT) ## Build the programs and the test programs

# $(call stamp,TEXT): rewrites the target only when TEXT changed.
define stamp
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$1)' | cmp -s - $@ || \
	printf '%s\n' '$(subst ','\'',$1)' >$@
endef

# $(call archive,VARIANT,NAME,SOURCES): NAME.a, made again when its list of
# members changes too.
define archive
$(BUILD)/$1/$2.members: FORCE
	$$(call stamp,$3)
$(BUILD)/$1/$2.a: $(3:%.c=$(BUILD)/$1/%.o) $(BUILD)/$1/$2.members
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$(filter %.o,$$^)
endef

# $(call program,VARIANT,NAME,SOURCES,ARCHIVES,LIBRARIES)
define program
$(BUILD)/$1/$2: $(3:%.c=$(BUILD)/$1/%.o) $(patsubst %,$(BUILD)/$1/%.a,$4)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$(Q)$$(call link,$1) $(if $(filter fuzz,$1),-fsanitize=fuzzer) \
		-o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $5

endef

# $(call objects,VARIANT): how to compile, and the two archives.
define objects
$(BUILD)/$1/flags: FORCE
	@pkg-config --exists $(PKGS) || { echo "libraries are missing:" \
		"run 'make deps' (or scripts/deps build)" >&2; exit 1; }
	$$(call stamp,$$(call compile,$1) $$(call link,$1) $$(LIBS))
$(BUILD)/$1/%.o: %.c $(BUILD)/$1/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$(Q)$$(call compile,$1) $$(FLAGS_$$(dir $$<)) -MMD -MP -c -o $$@ $$<
-include $(patsubst %.c,$(BUILD)/$1/%.d,$(filter %.c,$(C_FILES)))
$(call archive,$1,libsluice,$(LIB_SRC))
$(call archive,$1,libsluice-pure,$(PURE_SRC))
$(call archive,$1,libsluice-bench,$(BENCH_SRC))
endef

# $(call programs,VARIANT): all that links with the archives, fuzzers aside.
define programs
$(foreach p,$(PROGRAMS),$(call program,$1,$p,$(MAIN_$p),\
	$(if $(filter bench/%,$(MAIN_$p)),libsluice-bench) libsluice,$(LIBS)))
$(foreach t,$(UNIT_SRC:.c=),$(call program,$1,$t,$t.c $(UNIT_HELP),\
	libsluice-bench libsluice,-lcmocka $(LIBS)))
$(foreach t,$(SIM_SRC:.c=),$(call program,$1,$t,$t.c $(SIM_HELP),\
	libsluice,$(LIBS)))
$(foreach t,$(TALK_SRC:.c=),$(call program,$1,$t,$t.c $(TALK_HELP),\
	libsluice-pure,$(PURE_LIBS)))
.PHONY: tests-$1
$(BUILD)/$1/bench/floor/floor: $(FLOOR_SRC:%.c=$(BUILD)/$1/%.o)
	$$(call say,LINK,$$@)
	$(Q)$$(call link,$1) -o $$@ $$^ $(shell pkg-config --libs openssl \
		2>/dev/null)
tests-$1: $(addprefix $(BUILD)/$1/,$(PROGRAMS) bench/floor/floor \
	libsluice.a libsluice-pure.a \
	$(basename $(UNIT_SRC) $(SIM_SRC) $(TALK_SRC)))
endef

$(foreach v,$(VARIANTS),$(eval $(call objects,$v)))
$(foreach v,$(filter-out fuzz,$(VARIANTS)),$(eval $(call programs,$v)))

# Fuzz targets: clang, the pure layers and nothing else.
$(foreach t,$(FUZZ_SRC:.c=),$(eval $(call program,fuzz,$t,$t.c $(FUZZ_HELP),\
	libsluice-pure,$(PURE_LIBS))))
.PHONY: tests-fuzz
tests-fuzz: $(FUZZ_SRC:%.c=$(BUILD)/fuzz/%) $(BUILD)/fuzz/libsluice-pure.a

# BPF programs: compiled once, whatever the variant, into what is included.
# Debian keeps asm/ where only the host's target looks.
COMPILE_BPF = $(CLANG) -target bpf -O2 -g -Wall -Wextra $(if $(WERROR),-Werror) \
	-idirafter /usr/include/$(shell $(CC) -print-multiarch)
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(COMPILE_BPF) -MMD -MP -c -o $@ $<
	$(Q)llvm-strip -g $@
$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(Q){ echo '// NOLINTBEGIN' && \
		PATH=$$PATH:/usr/sbin bpftool gen skeleton $< name $*_bpf && \
		echo '// NOLINTEND'; } >$@
.PRECIOUS: $(BUILD)/bpf/%.bpf.o
-include $(BPF_SRC:%.bpf.c=$(BUILD)/%.bpf.d)
# No .d names them: they come from a folder of system headers.
WITH_SKELETON := $(shell grep -l '\.skel\.h>' daemon/*/*.c tests/unit/*.c)
$(foreach v,$(VARIANTS),$(WITH_SKELETON:%.c=$(BUILD)/$v/%.o)): $(SKELETONS)
$(LINT_SRC:%.c=$(BUILD)/lint/%.tidied): | $(SKELETONS)

# Probes: the release variant only.
PROBES := $(PROBE_SRC:%.c=$(BUILD)/release/%)
PROBE_OBJECTS := $(PROBE_BPF:%.c=$(BUILD)/release/%.o)
$(PROBES): %: %.o $(PROBE_HELP:%.c=$(BUILD)/release/%.o)
	$(call say,LINK,$@)
	$(Q)$(call link,release) -o $@ $^ $(shell pkg-config --libs openssl \
		liburing libbpf 2>/dev/null)
$(PROBE_OBJECTS): $(BUILD)/release/%.o: %.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(COMPILE_BPF) -c -o $@ $<
.PHONY: probes
probes: $(PROBES) $(PROBE_OBJECTS)

# ---- try it ----------------------------------------------------------------

.PHONY: demo run
demo: ## Install what is missing, build, send mail through a gateway, check it
	@scripts/deps build demo
	@$(SUBMAKE) all
	@scripts/demo

run: ## Run the quick-start gateway in the foreground
	@scripts/deps build demo
	@$(SUBMAKE) all
	@scripts/quickstart run

# ---- test ------------------------------------------------------------------

.PHONY: check check-quick check-asan check-tsan check-fuzz
check: ## All tests: lint, release, sanitizers, fuzzers, kernels (45 minutes)
	@scripts/deps build test lint vm
	@$(SUBMAKE) WERROR=1 tests-release probes tests-asan tests-fuzz
	@SLUICE_SIM_SEEDS=$${SLUICE_SIM_SEEDS:-10000} $(RUN_TESTS) \
		lint unit talk sim system vm asan fuzz

check-quick: ## The tests to run before each commit (at most 2 minutes)
	@scripts/deps build test
	@$(SUBMAKE) WERROR=1 tests-release
	@SLUICE_SIM_SEEDS=$${SLUICE_SIM_SEEDS:-300} $(RUN_TESTS) \
		layers tidy unit talk sim

check-asan: ## Unit, talk, sim and system tests under ASan and UBSan
	@scripts/deps build test
	@$(SUBMAKE) WERROR=1 tests-asan
	@$(RUN_TESTS) asan

check-tsan: ## The same under ThreadSanitizer
	@scripts/deps build test
	@$(SUBMAKE) WERROR=1 tests-tsan
	@$(RUN_TESTS) tsan

check-fuzz: ## Each fuzz target for FUZZ_SECONDS (60), two at a time
	@scripts/deps build test
	@$(SUBMAKE) WERROR=1 tests-fuzz
	@$(RUN_TESTS) fuzz

# ---- measure ---------------------------------------------------------------

.PHONY: bench bench-peers
RUN_BENCH = @SLUICE_BUILD='$(abspath $(BUILD))/release' bench/run

bench: ## Measure Sluice beside plain C, report (BENCH='--scenarios S1,S2 ...')
	@scripts/deps build bench
	@$(SUBMAKE) VARIANT=release all $(BUILD)/release/bench/floor/floor
	$(RUN_BENCH) $(BENCH)

bench-peers: ## The same beside Postfix, Exim, HAProxy, nginx and Haraka
	@scripts/deps build bench
	@$(SUBMAKE) VARIANT=release all $(BUILD)/release/bench/floor/floor
	$(RUN_BENCH) --all-peers $(BENCH)

# ---- other kernels ---------------------------------------------------------

KERNELS := 6.1 6.12 newest
KERNEL ?= 6.12

.PHONY: vm check-vm kernel-notes
vm: ## A shell in a virtual machine (KERNEL=6.1, 6.12 or newest)
	@scripts/deps vm
	@BUILD='$(BUILD)' tests/vm/boot $(KERNEL)

check-vm: ## What depends on the kernel, inside stock Debian kernels
	@scripts/deps build test vm
	@$(SUBMAKE) WERROR=1 tests-release probes
	@$(RUN_TESTS) vm

kernel-notes: ## Run the probes on every kernel, rewrite the table of results
	@scripts/deps build test vm
	@$(SUBMAKE) WERROR=1 probes
	@kernel-notes/run-all '$(BUILD)' $(KERNELS)

# ---- measure ---------------------------------------------------------------

.PHONY: bench-cost bench-vm
bench-vm: bench-cost ## Measure in machines whose kernels make TLS records
bench-cost: ## Count what a message costs on 6.1 and 6.12, rewrite COST.md
	@scripts/deps build vm bench
	@$(SUBMAKE) all
	@SLUICE_BUILD='$(BUILD)/release' bench/cost
	@SLUICE_BUILD='$(BUILD)/release' bench/cost --profile
	@SLUICE_BUILD='$(BUILD)/release' bench/cost --publish

# ---- lint ------------------------------------------------------------------

.PHONY: lint format format-check layers tidy clang-tidy cppcheck shellcheck
lint: ## Formatting, layers, tidy, clang-tidy, cppcheck, shellcheck
	@scripts/deps build lint
	@$(RUN_TESTS) lint

format: ## Reformat the C files (C_FILES='...' for some of them)
	$(if $(C_FILES),$(Q)clang-format -i $(C_FILES))

format-check: ## Say which C files `make format` would change
	$(if $(C_FILES),$(Q)clang-format --dry-run --Werror $(C_FILES))

layers: ## Check who includes whom
	$(Q)scripts/layers

tidy: ## Check sizes, banned calls, file-level state
	$(Q)scripts/tidy

clang-tidy: $(LINT_SRC:%.c=$(BUILD)/lint/%.tidied) ## Run clang-tidy
$(BUILD)/lint/%.tidied: %.c $(HEADERS) .clang-tidy Makefile
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- $(BASE_FLAGS) $(PKG_CFLAGS) 2>$@.log || \
		{ cat $@.log >&2; exit 1; }
	@touch $@

cppcheck: ## Run cppcheck
	$(if $(LINT_SRC),$(Q)cppcheck --quiet -j2 --std=c11 -Idaemon -Ibench \
		--enable=warning$(,)portability$(,)performance --inline-suppr \
		--suppress=missingIncludeSystem --library=gnu \
		--error-exitcode=1 $(LINT_SRC))
, := ,

shellcheck: ## Run shellcheck on the shell scripts
	$(if $(SHELL_FILES),$(Q)shellcheck $(SHELL_FILES))

# ---- the rest --------------------------------------------------------------

.PHONY: deps install clean help
deps: ## Install the Debian packages that are missing
	@scripts/deps build test lint

SBIN := $(filter sluiced,$(PROGRAMS))
BIN := $(filter-out sluiced,$(PROGRAMS))
install: all ## Install under PREFIX (/usr/local), below DESTDIR
	$(if $(SBIN),install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin \
		$(SBIN:%=$(BUILD)/$(VARIANT)/%))
	$(if $(BIN),install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin \
		$(BIN:%=$(BUILD)/$(VARIANT)/%))
	install -D -m 644 packaging/sluice.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@sbindir@|$(PREFIX)/sbin|' packaging/sluice.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/sluice.service
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 \
		packaging/man/sluiced.8 packaging/man/sluicectl.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 \
		packaging/man/sluice-load.1 packaging/man/sluice-sink.1
	install -d $(DESTDIR)$(PREFIX)/share/man/man5
	$(BUILD)/$(VARIANT)/sluiced --print manual \
		>$(DESTDIR)$(PREFIX)/share/man/man5/sluice.conf.5
	install -d $(DESTDIR)$(PREFIX)/share/doc/sluice
	$(BUILD)/$(VARIANT)/sluiced --print sample \
		>$(DESTDIR)$(PREFIX)/share/doc/sluice/sluice.conf.sample

clean: ## Remove what was built; a gateway's files under build/run stay
	rm -rf $(addprefix $(BUILD)/,$(VARIANTS) lint bpf)

help: ## Say what the targets are
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
