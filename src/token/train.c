#include "token/train.h"

#include <string.h>

#include "base/text.h"

const char *const spar_tokenizer_default_special[1] = {"<|endoftext|>"};

static const spar__trainer_kind *const kinds[] = {
#define TRAINER(name) &spar__trainer_##name,
#include "token/trainer.def"
#undef TRAINER
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static spar_status check(const spar_tokenizer_options *o) {
    if (o->vocab_size < 1 || o->vocab_size > INT32_MAX / 8)
        return spar__fail(SPAR_ERR_ARGUMENT, "vocabulary size %d, expected 1 to %d", o->vocab_size,
                          INT32_MAX / 8);
    if (!(o->character_coverage > 0 && o->character_coverage <= 1))
        return spar__fail(SPAR_ERR_ARGUMENT, "character coverage %g, expected above 0, at most 1",
                          o->character_coverage);
    for (int i = 0; i < o->n_special; i++) {
        if (!o->special[i][0])
            return spar__fail(SPAR_ERR_ARGUMENT, "special token %d is empty", i);
        for (int k = 0; k < i; k++)
            if (!strcmp(o->special[i], o->special[k]))
                return spar__fail(SPAR_ERR_ARGUMENT, "special token '%s' is given twice",
                                  o->special[i]);
    }
    return SPAR_OK;
}

spar_status spar_tokenizer_train(const spar_tokenizer_options *options,
                                 const spar_text_reader *reader, const spar_progress *progress,
                                 spar_tokenizer **out) {
    SPAR_TRY(check(options));
    const char *names[N_KINDS];
    for (int i = 0; i < N_KINDS; i++) {
        if (!strcmp(kinds[i]->kind, options->kind))
            return kinds[i]->train(options, reader, progress, out);
        names[i] = kinds[i]->kind;
    }
    int nearest = spar__nearest(options->kind, names, N_KINDS);
    return spar__fail(SPAR_ERR_ARGUMENT, "tokenizer kind '%s' is not known%s%s", options->kind,
                      nearest < 0 ? "" : ", nearest is ", nearest < 0 ? "" : names[nearest]);
}
