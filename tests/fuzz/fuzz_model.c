/* A model file: GGUF's header, the configuration in it, tensors, tokenizer; then a forward pass. */
#include "fuzz.h"
#include "spar/spar.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[32];
    int fd = fuzz_file(bytes, length, path);
    if (fd < 0) return 0;
    spar_model *model = NULL;
    if (!spar_model_open(path, &model)) {
        char *text = NULL;
        if (!spar_model_describe(model, &text)) spar_free(text);
        static float logits[3 << 16];
        const int32_t tokens[3] = {0, 1, 2};
        int32_t n = spar_model_vocab_size(model);
        if (n <= 1 << 16) spar_model_logits(model, tokens, n < 3 ? 1 : 3, logits);
    }
    spar_model_free(model);
    close(fd);
    return 0;
}
