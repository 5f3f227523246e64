#include "family/open.h"

#include "base/file.h"

spar_status spar__give_tokenizer(spar_model *m, const char *path, spar_tokenizer *tokenizer) {
    if (spar_tokenizer_size(tokenizer) > spar_model_vocab_size(m)) {
        spar_status status = spar__fail(SPAR_ERR_FORMAT, "%s: tokenizer of %d ids, vocab_size is %d", path,
                                        spar_tokenizer_size(tokenizer), spar_model_vocab_size(m));
        spar_tokenizer_free(tokenizer);
        return status;
    }
    spar__model_set_tokenizer(m, tokenizer);
    return SPAR_OK;
}

spar_status spar_model_open(const char *path, spar_model **out) {
    spar__gguf *file;
    SPAR_TRY(spar__kernels_choose());
    if (spar__folder_exists(path)) return spar__folder_open(path, out);
    SPAR_TRY(spar__gguf_open(path, &file));
    return spar__gguf_text_is(file, "general.architecture", "spar") ? spar__model_from_gguf(file, path, out)
                                                                   : spar__published_open(file, path, out);
}
