# SPDX-License-Identifier: BSD-3-Clause
# One flat makefile; every C file below src/ and attach/ is picked up by itself.
#   make help      what there is to make
# Presets:  DEV=0  no -Werror (for packagers)    SAN=all|address|undefined|thread  sanitizers
#           CC=clang                             O=-O0 ...

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
ifneq ($(DEV),0)
WARNINGS := -Wall -Wextra -Werror
else
WARNINGS := -Wall -Wextra
endif
# A build with other switches gets its own folder, so that none is ever half rebuilt.
BUILD ?= build
ifdef SAN
BUILD := build/san-$(SAN)
ifeq ($(SAN),all)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
SANFLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
endif

PKGS := libelf libcjson libbsd libunwind-ptrace libunwind-generic libunwind libpcre2-8 zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -lpthread
ALL_CFLAGS := -std=gnu11 $(WARNINGS) -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes \
	-fvisibility=hidden -fPIC -D_GNU_SOURCE -I. -Iinclude -I$(BUILD) $(PKG_CFLAGS) $(SANFLAGS) $(CFLAGS)

LIB_SRC := $(sort $(wildcard src/base/*.c src/session/*.c src/tree/*.c src/render/*.c src/record/*.c \
	attach/*.c attach/cpython/*.c attach/native/*.c))
CLI_SRC := $(sort $(wildcard src/cli/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)

.PHONY: all
all: $(BUILD)/pyinstrument $(BUILD)/libpyinstrument.a $(BUILD)/libpyinstrument.so

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libpyinstrument.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/libpyinstrument.so: $(LIB_OBJ)
	$(CC) $(SANFLAGS) -shared -Wl,-soname,libpyinstrument.so.$(SOVERSION) -Wl,-z,defs -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(BUILD)/pyinstrument: $(CLI_OBJ) $(BUILD)/libpyinstrument.a
	$(CC) $(SANFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libpyinstrument.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libpyinstrument.a $(LDFLAGS) -lcmocka $(LDLIBS)

.PHONY: unit
unit: $(UNIT_BIN)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done

.PHONY: clean
clean:
	rm -rf build

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_BIN:=.d)
