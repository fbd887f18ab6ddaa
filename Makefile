# SPDX-License-Identifier: GPL-3.0-or-later
#
# make                 build/kagefs, build/kagefs-fsrvpd, build/kagefs-vss
# make check           install what is missing (as root), build, run all tests
# make demo            install, build, show the whole cycle of a remote VSS backup on a temporary store
# make unit            unit tests only (needs the development packages)
# make bench           speed beside ext4, btrfs and xfs, to docs/performance.md (as root; BENCH=long for the long form)
# make install         PREFIX=/usr/local DESTDIR=
#
# Knobs: CC=gcc|clang  O=build (output folder)  SAN=address,undefined | thread  WERROR=1  V=1  DEBUG=1

O ?= build
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

VERSION := 0.1.0
PKGS_FS := sqlite3 liblz4 libzstd libxxhash libcrypto
PKGS_FUSE := fuse3
# A newer libfuse than the system's, if scripts/build-libfuse made one.
LIBFUSE := $(wildcard $(O)/deps/lib/pkgconfig/fuse3.pc)
PKG_CONFIG := $(if $(LIBFUSE),PKG_CONFIG_PATH=$(dir $(abspath $(LIBFUSE)))) pkg-config
# BLAKE3 is optional: a second content hash where the library is packaged.
ifeq ($(shell pkg-config --exists libblake3 2>/dev/null && echo yes),yes)
PKGS_FS += libblake3
CFLAGS_fs_base_ := -DHAVE_BLAKE3=1
endif

CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DKAGEFS_VERSION='"$(VERSION)"' -I. \
	-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow -Wno-unused-parameter \
	-pthread -MMD -MP $(CFLAGS) $(if $(WERROR),-Werror) $(if $(DEBUG),-DKAGEFS_DEBUG=1) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
ALL_LDFLAGS = -pthread $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

# Layers, lowest first.  scripts/check-layers holds who may include whom.
LAYERS := base store meta log volume
SRC_base := $(wildcard fs/base/*.c)
SRC_store := $(wildcard fs/store/*.c)
SRC_meta := $(wildcard fs/meta/*.c)
SRC_log := $(wildcard fs/log/*.c)
SRC_volume := $(wildcard fs/volume/*.c)
SRC_fuse := $(wildcard fs/fuse/*.c)
SRC_cli := $(wildcard fs/cli/*.c)
SRC_agent := $(wildcard agent/np/*.c agent/rpc/*.c agent/fsrvp/*.c agent/samba/*.c agent/*.c)
SRC_vss := $(wildcard agent/vss/*.c)

obj = $(patsubst %.c,$(O)/%.o,$(1))

PROGRAMS :=
ifneq ($(SRC_cli),)
PROGRAMS += $(O)/kagefs
endif
ifneq ($(SRC_agent),)
PROGRAMS += $(O)/kagefs-fsrvpd
endif
ifneq ($(SRC_vss),)
PROGRAMS += $(O)/kagefs-vss
endif

all: $(PROGRAMS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	@$(if $(filter 1,$(V)),,echo "  CC $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(shell $(PKG_CONFIG) --cflags $(PKGS_FS) $(PKGS_FUSE) 2>/dev/null) $(CFLAGS_$(subst /,_,$(dir $<))) -c -o $@ $<

# The schema is embedded as bytes; the output does not depend on time or place.
$(O)/schema_gen.c: $(sort $(wildcard schema/*.sql)) scripts/embed-sql
	@mkdir -p $(@D)
	$(Q)scripts/embed-sql schema > $@.tmp && mv $@.tmp $@
$(O)/schema_gen.o: $(O)/schema_gen.c
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

ENGINE = $(foreach l,$(LAYERS),$(call obj,$(SRC_$(l)))) $(O)/schema_gen.o

$(call obj,$(SRC_fuse) $(SRC_cli)): $(LIBFUSE) $(O)/libfuse
# Changes when another libfuse is to be used.
$(O)/libfuse: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBFUSE)' | cmp -s - $@ || echo '$(LIBFUSE)' > $@
$(O)/kagefs: $(ENGINE) $(call obj,$(SRC_fuse) $(SRC_cli))
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs $(PKGS_FS) $(PKGS_FUSE))

# These add what the agent and the requester link with.
-include agent/Makefile.inc agent/vss/Makefile.inc

# ---- tests ----------------------------------------------------------------------------------------------------------
# tests/unit/<layer>/*.c make one runner, $(O)/tests/unit-<layer>; it links the layer and those below it.
# tests/sim/*.c is the crash simulator, linked into every engine runner.
SIM := $(call obj,$(wildcard tests/sim/*.c))
DEPS_base := base
DEPS_store := base store
DEPS_meta := base meta
DEPS_log := base log
DEPS_volume := base store meta log volume
UNITS := $(foreach l,$(LAYERS),$(if $(wildcard tests/unit/$(l)/*.c),$(l)))

define unit_rule
$(O)/tests/unit-$(1): $(call obj,$(wildcard tests/unit/$(1)/*.c)) $(SIM) \
		$(foreach l,$(DEPS_$(1)),$(call obj,$(SRC_$(l)))) $(if $(filter meta,$(DEPS_$(1))),$(O)/schema_gen.o)
	@mkdir -p $$(@D)
	@echo "  LD $$@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $$$$(pkg-config --libs check $(PKGS_FS)) -lm
endef
$(foreach l,$(LAYERS),$(eval $(call unit_rule,$(l))))

# The long-running tests of the engine: random model test and power-cut test share one driver.
$(O)/tests/model-test: $(call obj,$(wildcard tests/model/*.c)) $(SIM) $(ENGINE)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $$(pkg-config --libs $(PKGS_FS)) -lm

unit-%: $(O)/tests/unit-%
	$<

# A test that hangs is ended; check's own bound of 4 s would make a busy machine's tests fail.
export CK_DEFAULT_TIMEOUT ?= 120
unit: $(addprefix unit-,$(UNITS)) $(EXTRA_UNITS)

# Compiles nothing.
check-source:
	scripts/check-layers
	scripts/format-doc | diff -u docs/format.md - || { echo 'docs/format.md: run scripts/format-doc > docs/format.md' >&2; exit 1; }

check:
	scripts/check

demo:
	scripts/demo

# ---- speed (tests/bench; scripts/bench --help) ------------------------------------------------------------------------
# make bench: short form, below 10 minutes; BENCH=long: the long form.  The table goes to docs/performance.md.
BENCH_HELPERS := $(patsubst %,$(O)/tests/bench_%,small_files snapshot_load)

$(BENCH_HELPERS): $(O)/tests/bench_%: tests/bench/%.c tests/bench/cell.h fs/kagefs_ioctl.h
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -o $@ $<

bench-helpers: $(BENCH_HELPERS)

bench:
	scripts/install-deps bench
	scripts/bench
	scripts/bench --write

# ---- integration tests on real mounts (scripts/run-integration runs them) ---------------------------------------------
# tests/integration/*.c are small helpers that stand alone; ioctl_test is built for 32 bits too where the compiler can.
HELPERS := $(patsubst tests/integration/%.c,$(O)/tests/%,$(wildcard tests/integration/*.c))
CAN_32 = $(shell echo 'int main(void){return 0;}' | $(CC) -m32 -x c - -o /dev/null 2>/dev/null && echo yes)

$(HELPERS): $(O)/tests/%: tests/integration/%.c fs/kagefs_ioctl.h
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -o $@ $<

$(O)/tests/ioctl_test32: tests/integration/ioctl_test.c fs/kagefs_ioctl.h
	@mkdir -p $(@D)
	@echo "  CC $< (32 bits)"
	$(Q)$(CC) -m32 -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -Wall -Wextra -O1 -o $@ $<

integration-helpers: $(HELPERS)
	@$(if $(CAN_32),$(MAKE) --no-print-directory O=$(O) $(O)/tests/ioctl_test32,echo "  no 32-bit compiler: ioctl_test32 is not built")

integration: $(PROGRAMS) integration-helpers
	O=$(O) scripts/run-integration

# ---- install ----------------------------------------------------------------------------------------------------------
# mount(8) and umount(8) look for their helpers in /sbin only; a private PREFIX keeps everything below itself.
HELPERDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/sbin,$(SBINDIR))
INCLUDEDIR ?= $(PREFIX)/include
UNITDIR ?= $(PREFIX)/lib/systemd/system
KAGEFS_NAMES := mkfs.kagefs fsck.kagefs mount.kagefs umount.kagefs umount.fuse.kagefs

install: $(PROGRAMS)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(HELPERDIR) $(DESTDIR)$(INCLUDEDIR)
	install -m 755 $(O)/kagefs $(DESTDIR)$(BINDIR)/kagefs
	$(foreach n,$(KAGEFS_NAMES),ln -sfn $(BINDIR)/kagefs $(DESTDIR)$(HELPERDIR)/$(n) && ) true
	$(if $(wildcard $(SRC_agent)),install -m 755 $(O)/kagefs-fsrvpd $(DESTDIR)$(SBINDIR)/kagefs-fsrvpd)
	$(if $(wildcard $(SRC_agent)),install -m 755 agent/kagefs-samba-setup $(DESTDIR)$(SBINDIR)/kagefs-samba-setup)
	$(if $(wildcard $(SRC_agent)),install -d $(DESTDIR)$(UNITDIR) && \
		sed 's|/usr/local/sbin|$(SBINDIR)|' agent/kagefs-fsrvpd.service > $(DESTDIR)$(UNITDIR)/kagefs-fsrvpd.service)
	$(if $(wildcard $(SRC_vss)),install -m 755 $(O)/kagefs-vss $(DESTDIR)$(BINDIR)/kagefs-vss)
	install -m 644 fs/kagefs_ioctl.h $(DESTDIR)$(INCLUDEDIR)/kagefs_ioctl.h

uninstall:
	rm -f $(foreach n,$(KAGEFS_NAMES),$(DESTDIR)$(HELPERDIR)/$(n)) $(DESTDIR)$(BINDIR)/kagefs \
		$(DESTDIR)$(SBINDIR)/kagefs-fsrvpd $(DESTDIR)$(SBINDIR)/kagefs-samba-setup \
		$(DESTDIR)$(UNITDIR)/kagefs-fsrvpd.service $(DESTDIR)$(BINDIR)/kagefs-vss $(DESTDIR)$(INCLUDEDIR)/kagefs_ioctl.h

clean:
	rm -rf $(O)

.PHONY: FORCE all unit bench bench-helpers check check-source demo clean install uninstall integration integration-helpers
.SECONDARY:

-include $(shell find $(O) -name '*.d' 2>/dev/null)
