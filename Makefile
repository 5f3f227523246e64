# make         build/spar and the libraries          make test        tests, with sanitizers too
# make demo    train and talk to a model             make test-long   longer suites, NEON under qemu
# make deps    install what is missing               make bench       speed beside the peers
# make install [PREFIX=/usr/local] [DESTDIR=]        make fuzz        fuzz targets [FUZZ_SECONDS=20]
#                                                  make bench-check what fell since the last bench
#
# Variants share these rules: VARIANT=release (optimised), asan (AddressSanitizer and UBSan), f64
# (every number a double and no SIMD, for gradient checks), neon (kernels only, cross-compiled).
# BLAS=onednn (the default), openblas or none says who multiplies dense matrices.

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
CC ?= gcc
VARIANT ?= release
BLAS ?= onednn
B := build/$(VARIANT)$(if $(filter-out onednn,$(BLAS)),-$(BLAS))
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

PACKAGES := jansson libpcre2-8 libutf8proc libzstd zlib libxxhash sqlite3 cairo libedit
ifeq ($(BLAS),onednn)
BLAS_LIBS := -ldnnl
BLAS_DEFS := -DSPAR_BLAS_ONEDNN
else ifeq ($(BLAS),openblas)
BLAS_LIBS := -lopenblas
BLAS_DEFS := -DSPAR_BLAS_CBLAS
else
BLAS_LIBS :=
BLAS_DEFS := -DSPAR_BLAS_NONE
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wno-missing-field-initializers
CFLAGS_release := -O2 -g1
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
               -fno-omit-frame-pointer
CFLAGS_f64 := -O2 -g1 -DSPAR_REAL_DOUBLE
CFLAGS_neon := -O2 -g1 -isystem tests/shim
LDFLAGS_neon := -static -Wl,--no-warnings
LDFLAGS_asan := -fsanitize=address,undefined
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE -DSPAR_VERSION='"$(VERSION)"' $(BLAS_DEFS)
ALL_CFLAGS = -std=c11 $(WARN) $(CFLAGS_$(VARIANT)) -fopenmp -fPIC -ffp-contract=off -MMD -MP \
             $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS)
LIBS = $(PKG_LIBS) $(BLAS_LIBS) -lm -lpthread

# Kernels under src/kernel/isa and quant are written once and compiled once for each instruction set.
ifeq ($(VARIANT),f64)
ISAS := scalar
else ifeq ($(ARCH),x86_64)
ISAS := scalar avx2 avx512
else ifeq ($(ARCH),aarch64)
ISAS := scalar neon
else
ISAS := scalar
endif
ISA_FLAGS_scalar :=
ISA_FLAGS_avx2 := -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni \
                    -mavx512bf16 -mprefer-vector-width=512
ISA_FLAGS_neon := -march=armv8.2-a+dotprod
KERNEL_FLAGS := -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast -funroll-loops

# Blocks have the same bits everywhere: nothing is fused there but by intention.
QUANT_FLAGS := -ffp-contract=off -Wno-psabi

ISA_SOURCES := $(wildcard src/kernel/isa/*.c src/kernel/quant/*.c)
SOURCES := $(filter-out $(ISA_SOURCES),$(wildcard src/*/*.c src/*/*/*.c))
CLI_SOURCES := $(wildcard cli/*.c)
OBJECTS := $(SOURCES:%.c=$B/%.o) \
           $(foreach isa,$(ISAS),$(ISA_SOURCES:%.c=$B/%.$(isa).o))
CLI_OBJECTS := $(CLI_SOURCES:%.c=$B/%.o)

all: build/spar build/libspar.a build/libspar.so
	@:
$(OBJECTS) $(CLI_OBJECTS): | build/.deps

# What is missing is named before the compiler stumbles over it.
build/.deps: tools/deps.sh
	@BLAS=$(BLAS) CC="$(lastword $(CC))" tools/deps.sh --check build
	@mkdir -p build && touch $@

build/spar: $B/spar
	@ln -sf $(VARIANT)/spar $@
build/libspar.a: $B/libspar.a
	@ln -sf $(VARIANT)/libspar.a $@
build/libspar.so: $B/libspar.so.$(SOVERSION)
	@ln -sf $(VARIANT)/libspar.so.$(SOVERSION) $@

$B/spar: $(CLI_OBJECTS) $B/libspar.a
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $(CLI_OBJECTS) $B/libspar.a $(LIBS)

$B/libspar.a: $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $(OBJECTS)

$B/libspar.so.$(SOVERSION): $(OBJECTS) tools/libspar.map
	@echo "LD $@"
	@$(CC) -shared -fopenmp -Wl,-soname,libspar.so.$(SOVERSION) \
	    -Wl,--version-script=tools/libspar.map $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

define isa_rule
$B/src/kernel/%.$(1).o: src/kernel/%.c
	@mkdir -p $$(@D)
	@echo "CC $$< ($(1))"
	@$$(CC) $$(ALL_CFLAGS) $$(if $$(filter-out asan,$$(VARIANT)),$$(KERNEL_FLAGS)) \
	    $$(ISA_FLAGS_$(1)) \
	    $$(if $$(findstring /quant/,$$<),$$(QUANT_FLAGS)) -DSPAR_ISA=$(1) -DSPAR_ISA_$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))

$B/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -c -o $@ $<

# ---- Tests: every tests/{unit,property,golden}/test_*.c is one cmocka program ----------------
TEST_SOURCES := $(wildcard tests/unit/test_*.c tests/property/test_*.c tests/golden/test_*.c)
TEST_SUPPORT_SOURCES := $(wildcard tests/support/*.c)
TEST_SCRIPTS := $(wildcard tests/cli/*.sh) tools/check_layers.py tools/check_size.py
# What is written for spar__real can be run in doubles; the kernels stand on little else
# (products of matrices are left out there: nothing of them is written for NEON).
F64_SOURCES := $(if $(TEST_SOURCES),$(shell grep -lw 'spar__real\|SPAR_REAL_DOUBLE' $(TEST_SOURCES)))
NEON_SOURCES := $(filter-out %json.c %gemm.c,$(wildcard tests/unit/test_kernel_*.c tests/unit/test_base_*.c))
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$B/%)
TEST_LIBRARY := $B/libspar.a -lcmocka
ifeq ($(VARIANT),f64)
TEST_PROGRAMS := $(F64_SOURCES:%.c=$B/%)
else ifeq ($(VARIANT),neon)
TEST_PROGRAMS := $(NEON_SOURCES:%.c=$B/%)
TEST_SUPPORT_SOURCES :=
TEST_LIBRARY := $B/libkernel.a
LIBS := -lm -lpthread
endif
TEST_SUPPORT := $(TEST_SUPPORT_SOURCES:%.c=$B/%.o)

$B/libkernel.a: $(filter-out %/libraries.o %/json.o,$(filter $B/src/base/% $B/src/kernel/% $B/src/tensor/%,$(OBJECTS)))
	@rm -f $@
	@ar rcs $@ $^

$B/tests/%: $B/tests/%.o $(TEST_SUPPORT) $(firstword $(TEST_LIBRARY))
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $< $(TEST_SUPPORT) $(TEST_LIBRARY) \
	    $(LIBS)

test-programs: $(TEST_PROGRAMS)
	@:

test:
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory all test-programs examples
	@$(MAKE) --no-print-directory VARIANT=asan build/asan/spar test-programs
	@$(MAKE) --no-print-directory VARIANT=f64 test-programs
	@tests/run.sh $(TEST_SOURCES:%.c=build/release/%) $(TEST_SOURCES:%.c=build/asan/%) \
	    $(F64_SOURCES:%.c=build/f64/%) $(TEST_SCRIPTS)

# The longer suites, and the kernels on another processor: built for ARMv8, run by an emulator.
test-long: test neon-test
	@SPAR_TEST_ALL=1 SECONDS_EACH=3600 tests/run.sh build/release/tests/property/test_model \
	    build/f64/tests/property/test_model $(wildcard tests/long/*.sh)

neon-test:
	@tools/deps.sh build long
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc VARIANT=neon BLAS=none test-programs
	@WRAPPER="qemu-aarch64 -cpu max" tests/run.sh $(NEON_SOURCES:%.c=build/neon-none/%)

# Without clang, tests/fuzz/driver.c takes libFuzzer's place: it changes the seeds at random.
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_PROGRAMS := $(FUZZ_SOURCES:%.c=$B/%)
FUZZ_SECONDS ?= 20
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/tests/fuzz/driver.o $B/libspar.a
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $^ $(LIBS)
fuzz-programs: $(FUZZ_PROGRAMS)
	@:
fuzz:
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory VARIANT=asan fuzz-programs
	@tests/fuzz/seeds.sh build/seeds
	@export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=512; \
	for program in $(FUZZ_SOURCES:%.c=build/asan/%); do \
	    LSAN_OPTIONS=suppressions=tests/leaks.txt:print_suppressions=0 \
	    $$program $(FUZZ_SECONDS) build/seeds/$$(basename $$program) || exit 1; done

# ---- Examples, benches, the demo ---------------------------------------------------------------
EXAMPLES := $(patsubst %.c,$B/%,$(wildcard examples/*.c))
BENCHES := $(patsubst %.c,$B/%,$(wildcard bench/*.c))
$(EXAMPLES) $(BENCHES): %: %.o $B/libspar.a
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $^ $(LIBS)
examples: $(EXAMPLES)
	@:
benches: all $(BENCHES)
bench-check:
	@python3 bench/check.py
bench: benches
	@bench/run.sh

deps:
	@tools/deps.sh build test demo

demo:
	@tools/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@tools/demo.sh

# ---- Installation -----------------------------------------------------------------------------
BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib
SHARE = $(DESTDIR)$(PREFIX)/share
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' \
           -e 's|@PACKAGES@|$(PACKAGES)|g' \
           -e 's|@BLAS_LIBS@|$(BLAS_LIBS)|g'

install: all
	install -d $(BIN) $(LIB)/pkgconfig $(LIB)/cmake/Spar $(DESTDIR)$(PREFIX)/include/spar \
	    $(SHARE)/man/man1 $(SHARE)/bash-completion/completions
	install -m 755 $B/spar $(BIN)/spar
	install -m 644 include/spar/*.h $(DESTDIR)$(PREFIX)/include/spar
	install -m 644 $B/libspar.a $(LIB)
	install -m 755 $B/libspar.so.$(SOVERSION) $(LIB)/libspar.so.$(VERSION)
	ln -sf libspar.so.$(VERSION) $(LIB)/libspar.so.$(SOVERSION)
	ln -sf libspar.so.$(SOVERSION) $(LIB)/libspar.so
	$(FILL) tools/spar.pc.in >$(LIB)/pkgconfig/spar.pc
	$(FILL) tools/SparConfig.cmake.in >$(LIB)/cmake/Spar/SparConfig.cmake
	$(FILL) tools/SparConfigVersion.cmake.in >$(LIB)/cmake/Spar/SparConfigVersion.cmake
	tools/man.sh $B/spar $(SHARE)/man/man1
	tools/completion.sh $B/spar >$(SHARE)/bash-completion/completions/spar

format-check:
	@clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

-include Makefile.local
-include $(shell find $B -name '*.d' 2>/dev/null)
.PHONY: all test-programs test test-long neon-test fuzz fuzz-programs examples benches bench bench-check deps \
        demo install format-check clean
.SECONDARY:
