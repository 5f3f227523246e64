/* Safetensors files: opened, and all that they offer read. */
#include <stdlib.h>

#include <xxhash.h>

#include "format/safetensors.h"
#include "fuzz.h"

static volatile uint64_t sink; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[32];
    int fd = fuzz_file(bytes, length, path);
    if (fd < 0) return 0;
    spar__st *st;
    if (!spar__st_open(path, &st)) {
        for (size_t i = 0; i < spar__st_n_tensors(st); i++) {
            const spar__st_tensor *t = spar__st_tensor_at(st, i);
            if (spar__st_find(st, t->name) != t) abort();
            sink += XXH3_64bits(t->data, t->bytes);
        }
        const char *text = spar__st_metadata(st, "format");
        if (text) sink += (uint64_t)text[0];
        spar__st_free(st);
    }
    close(fd);
    return 0;
}
