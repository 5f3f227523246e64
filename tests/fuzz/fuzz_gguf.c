/* GGUF files: opened, and all that they offer read. */
#include <stdlib.h>

#include <xxhash.h>

#include "base/memory.h"
#include "format/gguf.h"
#include "fuzz.h"

static volatile uint64_t sink; /* keeps the reads */

static void use(const spar__gguf *g) {
    spar__gguf_value v;
    spar__gguf_string s;
    for (size_t i = 0; i < spar__gguf_n_keys(g); i++) {
        const char *key = spar__gguf_key(g, i, &v);
        char *copy = NULL;
        double x = 0;
        sink += XXH3_64bits(v.bytes, v.length);
        if (!spar__gguf_text_copy(g, key, &copy)) sink += (uint64_t)copy[0];
        if (!spar__gguf_real(g, key, &x)) sink += x > 0;
        spar__free(copy);
        if (!spar__gguf_texts(g, key, 0, SIZE_MAX, &v))
            while (spar__gguf_next_text(&v, &s)) sink += XXH3_64bits(s.bytes, s.length);
        if (!spar__gguf_numbers(g, key, 0, SIZE_MAX, &v))
            for (size_t k = 0; k < v.count; k++) sink += (uint64_t)spar__gguf_integer_at(&v, k);
    }
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++) {
        const spar__gguf_tensor *t = spar__gguf_tensor_at(g, i);
        if (spar__gguf_tensor_find(g, t->name) != t) abort();
        sink += XXH3_64bits(t->data, t->bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[32];
    int fd = fuzz_file(bytes, length, path);
    if (fd < 0) return 0;
    spar__gguf *g;
    if (!spar__gguf_open(path, &g)) {
        use(g);
        spar__gguf_free(g);
    }
    close(fd);
    return 0;
}
