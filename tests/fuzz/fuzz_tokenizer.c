/* A tokenizer.json; when it is one, it encodes and decodes the input itself. */
#include "fuzz.h"
#include "spar/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[32];
    int fd = fuzz_file(bytes, length, path);
    if (fd < 0) return 0;
    spar_tokenizer *tokenizer = NULL;
    if (!spar_tokenizer_open(path, &tokenizer)) {
        int32_t *ids;
        size_t count, n;
        char *text;
        size_t part = length < 2000 ? length : 2000;
        if (!spar_tokenizer_encode(tokenizer, (const char *)bytes, part, 0, &ids, &count)) {
            if (!spar_tokenizer_decode(tokenizer, ids, count, &text, &n)) spar_free(text);
            spar_free(ids);
        }
    }
    spar_tokenizer_free(tokenizer);
    close(fd);
    return 0;
}
