# SPDX-License-Identifier: BSD-3-Clause
# One flat makefile; every C file below src/ and attach/ is picked up by itself.
#   make help      what there is to make
# Switches:  V=1  show the commands          DEV=0  no -Werror (for packagers)
#            SAN=all|address|undefined|thread  sanitizers
#            CC=clang   O=-O0   BUILD=folder       PREFIX= DESTDIR= for install

# The page's program and style as they are committed; only who works on them needs npm.
REPORT_DIST ?= src/report/dist
# What runs while building, on the machine that builds.
CC_FOR_BUILD ?= cc

VERSION := $(shell sed -n 's/^\#define PYI_VERSION "\(.*\)"/\1/p' include/pyinstrument.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
DESTDIR ?=

O ?= -O2
DEV ?= 1
CFLAGS ?= $(O) -g
WARNINGS := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
ifneq ($(DEV),0)
WARNINGS += -Werror
endif
# A build with other switches gets its own folder, so that none is ever half rebuilt.
ifdef SAN
BUILD ?= build/san-$(SAN)
ifeq ($(SAN),all)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
SANFLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
else
BUILD ?= build
endif

PKGS := libelf libcjson libbsd libunwind-ptrace libunwind-generic libunwind libpcre2-8 zlib liblzma
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS := -Wl,--as-needed $(shell pkg-config --libs $(PKGS) 2>/dev/null) -liberty -lm -lpthread
ALL_CFLAGS := -std=gnu11 $(WARNINGS) -fvisibility=hidden -fPIC -D_GNU_SOURCE -I. -Iinclude -I$(BUILD) \
	$(PKG_CFLAGS) $(SANFLAGS) $(CFLAGS)

LIB_SRC := $(sort $(wildcard src/base/*.c src/session/*.c src/tree/*.c src/render/*.c src/render/*/*.c \
	src/record/*.c src/record/*/*.c attach/*.c attach/*/*.c))
CLI_SRC := $(sort $(wildcard src/cli/*.c src/cli/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/html_bundle.o
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)
FUZZ_SRC := $(sort $(filter-out tests/fuzz/standalone_driver.c,$(wildcard tests/fuzz/*.c)))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/tests/fuzz/%)
FAULT_BIN := $(patsubst tests/fault/%.c,$(BUILD)/tests/fault/%,$(wildcard tests/fault/test_*.c))
HELPER_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/live/*.c tests/report/*.c))
MAN_PAGES := $(wildcard src/cli/*.1 src/cli/*.5)
COMPLETIONS := $(BUILD)/completions/pyinstrument.bash $(BUILD)/completions/_pyinstrument \
	$(BUILD)/completions/pyinstrument.fish

# Quiet by default: one word and the file; V=1 shows the commands.
ifdef V
say = 
else
say = @echo '  $(1)  $@';
endif

.PHONY: all
all: $(BUILD)/pyinstrument $(BUILD)/libpyinstrument.a $(BUILD)/libpyinstrument.so $(BUILD)/pyinstrument.pc

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The page inside the program: bytes of the bundle as C arrays.
$(BUILD)/embed: scripts/embed.c
	@mkdir -p $(@D)
	$(call say,HOST)$(CC_FOR_BUILD) -O1 -o $@ $<

$(BUILD)/html_bundle.c: $(BUILD)/embed $(addprefix $(REPORT_DIST)/,page.js page.css MANIFEST)
	$(call say,PAGE)$< $(REPORT_DIST) > $@.tmp && mv $@.tmp $@

$(BUILD)/obj/html_bundle.o: $(BUILD)/html_bundle.c
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libpyinstrument.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR  )$(AR) rcs $@ $^

$(BUILD)/libpyinstrument.so: $(LIB_OBJ)
	$(call say,LINK)$(CC) $(SANFLAGS) -shared -Wl,-soname,libpyinstrument.so.$(SOVERSION) $(if $(SAN),,-Wl,-z$(comma)defs) \
		-Wl,--exclude-libs,ALL \
		-o $@ $^ $(LDFLAGS) $(LDLIBS)
comma := ,

$(BUILD)/pyinstrument: $(CLI_OBJ) $(BUILD)/libpyinstrument.a
	$(call say,LINK)$(CC) $(SANFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)

# Made anew each time, because the folders may differ from the last time.
.PHONY: $(BUILD)/pyinstrument.pc
$(BUILD)/pyinstrument.pc:
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' \
		'Name: pyinstrument' 'Description: sampling profiler for running CPython programs' \
		'Version: $(VERSION)' 'Requires.private: libelf libcjson libbsd libunwind libpcre2-8 zlib liblzma' \
		'Libs: -L$${libdir} -lpyinstrument' 'Libs.private: -liberty -lm -lpthread' \
		'Cflags: -I$${includedir}' > $@

# ---- tests ----------------------------------------------------------------------------------

# The parts of the command line can be tested too: an archive of all but main.
$(BUILD)/cli.a: $(filter-out %/main.o,$(CLI_OBJ))
	@rm -f $@
	$(call say,AR  )$(AR) rcs $@ $^

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/cli.a $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(call say,TEST)$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(BUILD)/cli.a $(BUILD)/libpyinstrument.a $(LDFLAGS) -lcmocka \
		$(LDLIBS)

# Fuzz targets run over their corpus in every check; `make fuzz` builds the same ones with libFuzzer.
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/standalone_driver.c $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(call say,TEST)$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< tests/fuzz/standalone_driver.c $(BUILD)/libpyinstrument.a \
		$(LDFLAGS) $(LDLIBS)

# In these programs every function that takes memory can be made to fail.
FAULT_WRAPS := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc free strdup strndup realpath getcwd asprintf \
	fopen opendir pyi_arena_alloc pyi_arena_copy pcre2_compile_8 pcre2_compile_context_create_8 \
	pcre2_match_context_create_8 pcre2_match_data_create_8 pcre2_match_8 deflateInit2_ \
	pyi_memory_open_image_bytes)
$(BUILD)/tests/fault/%: tests/fault/%.c tests/fault/inject.c tests/fault/inject.h $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< tests/fault/inject.c $(BUILD)/libpyinstrument.a $(FAULT_WRAPS) \
		$(LDFLAGS) -lcmocka $(LDLIBS)

$(filter $(BUILD)/tests/report/%,$(HELPER_BIN)): $(BUILD)/tests/report/%: tests/report/%.c $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(call say,TEST)$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libpyinstrument.a $(LDFLAGS) $(LDLIBS)

$(BUILD)/tests/live/%: tests/live/%.c $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(call say,TEST)$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libpyinstrument.a $(LDFLAGS) $(LDLIBS)

FUZZ_FLAGS := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
.PHONY: fuzz
fuzz: $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -I. -Iinclude $(PKG_CFLAGS) $(FUZZ_FLAGS)
$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB_SRC:%.c=$(BUILD)/fuzz/obj/%.o) $(BUILD)/html_bundle.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-programs
test-programs: all $(UNIT_BIN) $(FUZZ_BIN) $(FAULT_BIN) $(HELPER_BIN)

.PHONY: unit
unit: $(UNIT_BIN)
	@tests/run --build $(BUILD) --tier fast --only unit

.PHONY: check check-fast check-full
check: test-programs
	@tests/run --build $(BUILD) --tier check $(if $(ONLY),--only $(ONLY)) $(if $(MATCH),--match "$(MATCH)")
check-fast: test-programs
	@tests/run --build $(BUILD) --tier fast $(if $(ONLY),--only $(ONLY)) $(if $(MATCH),--match "$(MATCH)")
check-full: test-programs
	@tests/run --build $(BUILD) --tier full $(if $(ONLY),--only $(ONLY)) $(if $(MATCH),--match "$(MATCH)")

.PHONY: lint
lint: $(BUILD)/libpyinstrument.so
	@scripts/lint --build $(BUILD)

.PHONY: format
format:
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: bench
bench: all
	@tests/bench/run --build $(BUILD)

.PHONY: try
try: all
	@scripts/demo $(BUILD)/pyinstrument

# ---- the report's page ----------------------------------------------------------------------------
# Only for who changes the page: dist/ is committed, and building C never looks at its sources.

REPORT := src/report
NPM ?= npm
REPORT_MODULES := $(REPORT)/node_modules/.package-lock.json
$(REPORT_MODULES): $(REPORT)/package-lock.json
	cd $(REPORT) && $(NPM) ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: report-bundle report-check report-dev report-setup
# What the page's build and its browser tests need of npm.
report-setup: $(REPORT_MODULES)
report-bundle: $(REPORT_MODULES)
	cd $(REPORT) && node_modules/.bin/tsc --noEmit -p . && node build.mjs
# Without npm, and without what it installed before, there is nothing to compare with.
report-check:
	@if [ -e $(REPORT_MODULES) ] || command -v $(NPM) >/dev/null; then \
		$(MAKE) --no-print-directory $(REPORT_MODULES) && cd $(REPORT) && \
		node_modules/.bin/tsc --noEmit -p . && node build.mjs --check; \
	else echo "report-check: skipped: npm is not installed, and dist/ is only rebuilt with it"; fi
report-dev: $(REPORT_MODULES)
	cd $(REPORT) && node build.mjs --dev ../../$(BUILD)/report

# ---- installation -----------------------------------------------------------------------------

$(COMPLETIONS): $(BUILD)/pyinstrument
	@mkdir -p $(@D)
	@case $@ in *.bash) s=bash;; *.fish) s=fish;; *) s=zsh;; esac; $< --completions $$s > $@.tmp && mv $@.tmp $@

INSTALLED = $(BINDIR)/pyinstrument $(LIBDIR)/libpyinstrument.a $(LIBDIR)/libpyinstrument.so.$(VERSION) \
	$(LIBDIR)/libpyinstrument.so.$(SOVERSION) $(LIBDIR)/libpyinstrument.so $(LIBDIR)/pkgconfig/pyinstrument.pc \
	$(INCLUDEDIR)/pyinstrument.h $(patsubst include/%,$(INCLUDEDIR)/%,$(wildcard include/pyinstrument/*.h)) \
	$(foreach m,$(MAN_PAGES),$(MANDIR)/man$(lastword $(subst ., ,$(m)))/$(notdir $(m))) \
	$(DATADIR)/bash-completion/completions/pyinstrument $(DATADIR)/zsh/site-functions/_pyinstrument \
	$(DATADIR)/fish/vendor_completions.d/pyinstrument.fish

.PHONY: install
install: all $(COMPLETIONS)
	install -D -m 755 $(BUILD)/pyinstrument $(DESTDIR)$(BINDIR)/pyinstrument
	install -D -m 644 $(BUILD)/libpyinstrument.a $(DESTDIR)$(LIBDIR)/libpyinstrument.a
	install -D -m 755 $(BUILD)/libpyinstrument.so $(DESTDIR)$(LIBDIR)/libpyinstrument.so.$(VERSION)
	ln -sf libpyinstrument.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libpyinstrument.so.$(SOVERSION)
	ln -sf libpyinstrument.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libpyinstrument.so
	install -D -m 644 $(BUILD)/pyinstrument.pc $(DESTDIR)$(LIBDIR)/pkgconfig/pyinstrument.pc
	install -D -m 644 include/pyinstrument.h $(DESTDIR)$(INCLUDEDIR)/pyinstrument.h
	install -d $(DESTDIR)$(INCLUDEDIR)/pyinstrument
	install -m 644 include/pyinstrument/*.h $(DESTDIR)$(INCLUDEDIR)/pyinstrument
	for m in $(MAN_PAGES); do install -D -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/$$(basename $$m); done
	install -D -m 644 $(BUILD)/completions/pyinstrument.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/pyinstrument
	install -D -m 644 $(BUILD)/completions/_pyinstrument $(DESTDIR)$(DATADIR)/zsh/site-functions/_pyinstrument
	install -D -m 644 $(BUILD)/completions/pyinstrument.fish $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/pyinstrument.fish

.PHONY: uninstall
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	-rmdir $(DESTDIR)$(INCLUDEDIR)/pyinstrument 2>/dev/null

.PHONY: clean
clean:
	rm -rf build

.PHONY: help
help:
	@printf '%s\n' \
	'make                 build/pyinstrument, build/libpyinstrument.a and .so' \
	'make check           all tests of every day (10 minutes at most on 2 cores); ONLY=area for one area' \
	'make check-fast      the same without looking at other processes' \
	'make check-full      also the matrices, parity and long runs; ONLY=area MATCH=test for a part' \
	'make lint            architecture, format, exported names' \
	'make bench           measurements side by side; never part of a check' \
	'make fuzz            libFuzzer builds of tests/fuzz into build/fuzz' \
	'make report-bundle   rebuild src/report/dist from its TypeScript (npm); report-check compares' \
	'make report-setup    what the page and its browser tests need of npm, in src/report/node_modules' \
	'make report-dev      the page unminified, in build/report' \
	'make try             profile a small WSGI service under load' \
	'make install         PREFIX=/usr/local DESTDIR=; make uninstall takes it away again' \
	'make format          clang-format over all C files' \
	'switches             SAN=all (sanitizers), CC=clang, DEV=0 (no -Werror), O=-O0, BUILD=folder' \
	'scripts/try, scripts/check   the same as make try, make check, after installing what is missing'

.SECONDARY:
-include $(LIB_SRC:%.c=$(BUILD)/fuzz/obj/%.d) $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_BIN:=.d) $(FAULT_BIN:=.d) $(HELPER_BIN:=.d)
