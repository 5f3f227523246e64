# make         build/spar and the libraries          make test        tests, with sanitizers too
# make demo    train and talk to a model             make test-long   longer suites, NEON under qemu
# make deps    install what is missing               make bench       speed beside the peers
# make install [PREFIX=/usr/local] [DESTDIR=]        make fuzz        fuzz targets
#
# Variants share these rules: VARIANT=release (optimised), asan (AddressSanitizer and UBSan), f64
# (every number a double and no SIMD, for gradient checks).

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
CC ?= gcc
VARIANT ?= release
BLAS ?= onednn
B := build/$(VARIANT)
ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)

PACKAGES := jansson libpcre2-8 libutf8proc libzstd zlib libxxhash sqlite3 cairo libedit
ifeq ($(BLAS),onednn)
BLAS_LIBS := -ldnnl
BLAS_DEFS := -DSPAR_BLAS_ONEDNN
else
BLAS_LIBS := -lopenblas
BLAS_DEFS := -DSPAR_BLAS_CBLAS
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wno-missing-field-initializers
CFLAGS_release := -O2 -g1
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
               -fno-omit-frame-pointer
CFLAGS_f64 := -O2 -g1 -DSPAR_REAL_DOUBLE
LDFLAGS_asan := -fsanitize=address,undefined
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE -DSPAR_VERSION='"$(VERSION)"' $(BLAS_DEFS)
ALL_CFLAGS = -std=c11 $(WARN) $(CFLAGS_$(VARIANT)) -fopenmp -fPIC -ffp-contract=off -MMD -MP \
             $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS)
LIBS = $(PKG_LIBS) $(BLAS_LIBS) -lm -lpthread

# Kernels under src/kernel/isa are written once and compiled once for each instruction set.
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

ISA_SOURCES := $(wildcard src/kernel/isa/*.c)
SOURCES := $(filter-out $(ISA_SOURCES),$(wildcard src/*/*.c src/*/*/*.c))
CLI_SOURCES := $(wildcard cli/*.c)
OBJECTS := $(SOURCES:%.c=$B/%.o) \
           $(foreach isa,$(ISAS),$(ISA_SOURCES:src/kernel/isa/%.c=$B/src/kernel/isa/%.$(isa).o))
CLI_OBJECTS := $(CLI_SOURCES:%.c=$B/%.o)

all: build/spar build/libspar.a build/libspar.so

build/spar: $B/spar
	@ln -sf $(VARIANT)/spar $@
build/libspar.a: $B/libspar.a
	@ln -sf $(VARIANT)/libspar.a $@
build/libspar.so: $B/libspar.so.$(SOVERSION)
	@ln -sf $(VARIANT)/libspar.so.$(SOVERSION) $@

$B/spar: $(CLI_OBJECTS) $B/libspar.a
	$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $(CLI_OBJECTS) $B/libspar.a $(LIBS)

$B/libspar.a: $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $(OBJECTS)

$B/libspar.so.$(SOVERSION): $(OBJECTS) tools/libspar.map
	$(CC) -shared -fopenmp -Wl,-soname,libspar.so.$(SOVERSION) \
	    -Wl,--version-script=tools/libspar.map $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

define isa_rule
$B/src/kernel/isa/%.$(1).o: src/kernel/isa/%.c
	@mkdir -p $$(@D)
	@echo "CC $$< ($(1))"
	@$$(CC) $$(ALL_CFLAGS) $$(if $$(filter-out asan,$$(VARIANT)),$$(KERNEL_FLAGS)) \
	    $$(ISA_FLAGS_$(1)) -DSPAR_ISA=$(1) -DSPAR_ISA_$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))

$B/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -c -o $@ $<

# ---- Tests: every tests/{unit,property,golden}/test_*.c is one cmocka program ----------------
TEST_SOURCES := $(wildcard tests/unit/test_*.c tests/property/test_*.c tests/golden/test_*.c)
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$B/%)
TEST_SUPPORT := $(patsubst %.c,$B/%.o,$(wildcard tests/support/*.c))

$B/tests/%: $B/tests/%.o $(TEST_SUPPORT) $B/libspar.a
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -fopenmp -o $@ $< $(TEST_SUPPORT) $B/libspar.a \
	    -lcmocka $(LIBS)

test-programs: $(TEST_PROGRAMS)

-include Makefile.local
-include $(shell find $B -name '*.d' 2>/dev/null)
.PHONY: all test-programs
.SECONDARY:
