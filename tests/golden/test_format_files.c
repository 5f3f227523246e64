/* Files that other programs wrote: every GGUF, safetensors and .npy file below $SPAR_GOLDEN opens,
 * and cut anywhere gives an error. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/gguf.h"
#include "format/npy.h"
#include "format/safetensors.h"

enum { LARGEST = 1 << 28, CUTS = 61 };

static size_t opened;

static spar_status open_one(const char *path, const char *ending) {
    if (!strcmp(ending, ".gguf")) {
        spar__gguf *g;
        SPAR_TRY(spar__gguf_open(path, &g));
        assert_true(spar__gguf_find(g, "general.architecture", NULL));
        spar__gguf_free(g);
    } else if (!strcmp(ending, ".safetensors")) {
        spar__st *st;
        SPAR_TRY(spar__st_open(path, &st));
        assert_true(spar__st_n_tensors(st) > 0);
        spar__st_free(st);
    } else {
        int64_t rows, cols;
        int32_t *values;
        SPAR_TRY(spar__npy_read_i32(path, &rows, &cols, &values));
        spar__free(values);
    }
    return SPAR_OK;
}

/* Ever shorter copies. The last bytes of a GGUF may be padding, which can be missing. */
static void cut(const char *path, const char *ending) {
    char *bytes;
    size_t length;
    assert_int_equal(spar__read_file(path, LARGEST, &bytes, &length), SPAR_OK);
    const char *copy = scratch_file("cut", bytes, length);
    spar__free(bytes);
    for (size_t i = CUTS; i-- > 0;) {
        assert_int_equal(truncate(copy, (off_t)(length * i / CUTS)), 0);
        if (!open_one(copy, ending)) fail_msg("%s: taken at %zu/%d", path, i, CUTS);
    }
}

static int visit(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)where;
    const char *ending = strrchr(path, '.');
    bool known = ending && (!strcmp(ending, ".gguf") || !strcmp(ending, ".safetensors") ||
                            !strcmp(ending, ".npy"));
    if (kind != FTW_F || !known || about->st_size > LARGEST) return 0;
    if (open_one(path, ending)) fail_msg("%s", spar_error());
    cut(path, ending);
    opened++;
    return 0;
}

static void every_file(void **state) {
    (void)state;
    const char *folder = getenv("SPAR_GOLDEN");
    if (!folder) {
        print_message("SPAR_GOLDEN is not set\n");
        skip();
    }
    assert_int_equal(nftw(folder, visit, 16, FTW_PHYS), 0);
    print_message("%zu files\n", opened);
    assert_true(opened > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
