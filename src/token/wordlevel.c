/* WordLevel: a piece is one token, or unknown. */
#include <string.h>

#include "token/field.h"
#include "token/tokenizer.h"

static spar_status wordlevel_open(spar_tokenizer *t, const json_t *settings) {
    const char *unk;
    SPAR_TRY(spar__field_string(settings, "unk_token", "<unk>", &unk));
    t->unk = spar__vocab_find(&t->vocab, unk, strlen(unk));
    return t->unk >= 0 ? SPAR_OK
                       : spar__fail(SPAR_ERR_FORMAT, "key 'model.unk_token': '%.64s' is no token",
                                    unk);
}

static spar_status wordlevel_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                                    size_t length) {
    int32_t id = spar__vocab_own(&t->vocab, piece, length);
    SPAR_TRY(spar__run_span(run, piece, piece + length));
    return spar__ids_add(&run->ids, id >= 0 ? id : t->unk);
}

const spar__model_kind spar__model_wordlevel = {"WordLevel", "wordlevel",      wordlevel_open, NULL,
                                                wordlevel_encode, NULL, false};
