/* A folder of shards, as reading and packing share it. */
#ifndef SPAR_DATA_DATA_H
#define SPAR_DATA_DATA_H

#include "data/shard.h"
#include "spar/data.h"

enum { SPAR__DATA_VERSION = 1, SPAR__DATA_MAX_SHARDS = 99999 };

#define SPAR__DATA_INDEX     "data.json"
#define SPAR__DATA_TOKENIZER "tokenizer.json"

extern const char *const spar__data_split_names[SPAR_DATA_SPLITS];

/* "folder/train-00000.bin"; NULL when there is no memory. */
char *spar__data_shard_path(const char *folder, spar_data_split split, size_t number);

struct spar_data {
    spar_data_info info;
    char *tokenizer;
    spar__shard *shards[SPAR_DATA_SPLITS];
    uint64_t *starts[SPAR_DATA_SPLITS]; /* [shards + 1] first token of each in the split */
    char *folder;
};

/* Shard that holds `token` of the split, which must be there. */
size_t spar__data_find(const spar_data *data, spar_data_split split, uint64_t token);

#endif
