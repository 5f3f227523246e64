/* Trainers: one file and one line of trainer.def for each kind. */
#ifndef SPAR_TOKEN_TRAIN_H
#define SPAR_TOKEN_TRAIN_H

#include "token/tokenizer.h"

typedef struct spar__trainer_kind {
    const char *kind;
    spar_status (*train)(const spar_tokenizer_options *options, const spar_text_reader *reader,
                         const spar_progress *progress, spar_tokenizer **out);
} spar__trainer_kind;

#define TRAINER(name) extern const spar__trainer_kind spar__trainer_##name;
#include "token/trainer.def"
#undef TRAINER

#endif
