/* A tokenizer.model of SentencePiece; when it is one, it encodes and decodes the input itself. */
#include "fuzz.h"
#include "token/spm.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    spar_tokenizer *tokenizer = NULL;
    if (!spar__tokenizer_from_spm("fuzz", bytes, length, -1, -1, &tokenizer)) {
        int32_t *ids;
        size_t count, n;
        char *text;
        size_t part = length < 2000 ? length : 2000;
        if (!spar_tokenizer_encode(tokenizer, (const char *)bytes, part, 1, &ids, &count)) {
            if (!spar_tokenizer_decode(tokenizer, ids, count, &text, &n)) spar_free(text);
            spar_free(ids);
        }
    }
    spar_tokenizer_free(tokenizer);
    return 0;
}
