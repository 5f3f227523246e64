/* Opening a folder of shards: data.json says what there is, every shard is held against it. */
#include "data/data.h"

#include <jansson.h>
#include <string.h>

const char *const spar__data_split_names[SPAR_DATA_SPLITS] = {"train", "valid"};

char *spar__data_shard_path(const char *folder, spar_data_split split, size_t number) {
    char name[64];
    snprintf(name, sizeof name, "%s-%05zu.bin", spar__data_split_names[split], number);
    return spar__path_join(folder, name);
}

/* ---- data.json ---------------------------------------------------------------------------- */

static spar_status get_count(const char *path, const json_t *object, const char *key,
                             uint64_t *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': expected a count", path, key);
    *out = (uint64_t)json_integer_value(value);
    return SPAR_OK;
}

static spar_status get_hash(const char *path, const char *key, const json_t *value, uint64_t *out) {
    const char *text = json_string_value(value);
    if (!text || json_string_length(value) != 16 || strspn(text, "0123456789abcdef") != 16)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': expected 16 hexadecimal digits", path,
                          key);
    *out = 0;
    for (int i = 0; i < 16; i++)
        *out = *out << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    return SPAR_OK;
}

static spar_status read_info(const char *path, const json_t *root, spar_data_info *info) {
    const char *format = json_string_value(json_object_get(root, "format"));
    uint64_t version;
    if (!format || strcmp(format, "spar-data"))
        return spar__fail(SPAR_ERR_FORMAT, "%s: key 'format': expected \"spar-data\"", path);
    SPAR_TRY(get_count(path, root, "version", &version));
    if (version != SPAR__DATA_VERSION)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key 'version': found %llu, expected %d", path,
                          (unsigned long long)version, SPAR__DATA_VERSION);
    SPAR_TRY(get_count(path, root, "vocab_size", &info->vocab_size));
    if (!info->vocab_size || info->vocab_size > INT32_MAX)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key 'vocab_size': found %llu", path,
                          (unsigned long long)info->vocab_size);
    info->token_bytes = info->vocab_size <= 1 << 16 ? 2 : 4;
    SPAR_TRY(get_count(path, root, "documents", &info->documents));
    SPAR_TRY(get_hash(path, "tokenizer_hash", json_object_get(root, "tokenizer_hash"),
                      &info->tokenizer_hash));
    const json_t *eos = json_object_get(root, "eos");
    info->eos = -1;
    if (eos && !json_is_null(eos)) {
        uint64_t id;
        SPAR_TRY(get_count(path, root, "eos", &id));
        if (id >= info->vocab_size)
            return spar__fail(SPAR_ERR_FORMAT, "%s: key 'eos': found %llu, expected below %llu",
                              path, (unsigned long long)id, (unsigned long long)info->vocab_size);
        info->eos = (int32_t)id;
    }
    return SPAR_OK;
}

/* ---- Shards ------------------------------------------------------------------------------- */

typedef struct opening {
    const char *path; /* of data.json */
    spar_data *data;
    spar_data_split split;
    const json_t *hashes; /* of the split's shards */
    bool verify;
} opening;

static spar_status open_shard(const opening *o, size_t i) {
    spar_data *d = o->data;
    spar__shard *shard = &d->shards[o->split][i];
    uint64_t hash;
    SPAR_TRY(get_hash(o->path, "shards", json_array_get(o->hashes, i), &hash));
    char *path = spar__data_shard_path(d->folder, o->split, i);
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = spar__shard_open(path, o->verify, shard);
    if (!status && shard->header.hash != hash)
        status =
            spar__fail(SPAR_ERR_FORMAT, "%s: not the shard that data.json was written with", path);
    if (!status && (shard->header.vocab_size != d->info.vocab_size ||
                    shard->header.width != d->info.token_bytes))
        status = spar__fail(SPAR_ERR_FORMAT, "%s: vocab_size: found %llu, data.json has %llu", path,
                            (unsigned long long)shard->header.vocab_size,
                            (unsigned long long)d->info.vocab_size);
    spar__free(path);
    return status;
}

static spar_status check_totals(const opening *o, const spar_data_counts *expected) {
    spar_data *d = o->data;
    uint64_t *starts = d->starts[o->split], documents = 0;
    size_t n = (size_t)expected->shards;
    for (size_t i = 0; i < n; i++) {
        const spar__shard_header *h = &d->shards[o->split][i].header;
        if (!spar__add(starts[i], h->tokens, &starts[i + 1]))
            return spar__fail(SPAR_ERR_FORMAT, "%s: too many tokens", o->path);
        documents += h->documents - (h->flags & SPAR__SHARD_CONTINUES);
    }
    if (starts[n] != expected->tokens || documents != expected->documents)
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: %s: found %llu tokens in %llu documents, expected %llu in %llu",
                          o->path, spar__data_split_names[o->split], (unsigned long long)starts[n],
                          (unsigned long long)documents, (unsigned long long)expected->tokens,
                          (unsigned long long)expected->documents);
    return SPAR_OK;
}

static spar_status open_split(opening *o, const json_t *root) {
    const char *name = spar__data_split_names[o->split];
    const json_t *object = json_object_get(root, name);
    spar_data_counts *counts = &o->data->info.split[o->split];
    SPAR_TRY(get_count(o->path, object, "tokens", &counts->tokens));
    SPAR_TRY(get_count(o->path, object, "documents", &counts->documents));
    SPAR_TRY(get_count(o->path, object, "bytes", &counts->bytes));
    o->hashes = json_object_get(object, "shards");
    size_t n = json_array_size(o->hashes);
    if (!json_is_array(o->hashes) || n > SPAR__DATA_MAX_SHARDS)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s.shards': expected at most %d hashes",
                          o->path, name, SPAR__DATA_MAX_SHARDS);
    o->data->shards[o->split] = spar__array(n ? n : 1, sizeof(spar__shard));
    o->data->starts[o->split] = spar__array(n + 1, sizeof(uint64_t));
    if (!o->data->shards[o->split] || !o->data->starts[o->split]) return SPAR_ERR_MEMORY;
    counts->shards = n;
    for (size_t i = 0; i < n; i++) SPAR_TRY(open_shard(o, i));
    return check_totals(o, counts);
}

static spar_status open_index(spar_data *d, const char *path, unsigned flags) {
    json_error_t error;
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, 1 << 24, &text, &length));
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    spar__free(text);
    if (!root)
        return spar__fail(SPAR_ERR_FORMAT, "%s: line %d: malformed JSON: %s", path, error.line,
                          error.text);
    spar_status status = read_info(path, root, &d->info);
    for (int split = 0; !status && split < SPAR_DATA_SPLITS; split++) {
        opening o = {path, d, split, NULL, !(flags & SPAR_DATA_NO_VERIFY)};
        status = open_split(&o, root);
    }
    json_decref(root);
    return status;
}

spar_status spar_data_open(const char *folder, unsigned flags, spar_data **out) {
    spar_data *d = spar__alloc(sizeof *d);
    if (!d) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    char *path = spar__path_join(folder, SPAR__DATA_INDEX);
    d->folder = spar__copy_string(folder);
    d->tokenizer = spar__path_join(folder, SPAR__DATA_TOKENIZER);
    if (!path || !d->folder || !d->tokenizer) status = SPAR_ERR_MEMORY;
    if (!status) status = open_index(d, path, flags);
    spar__free(path);
    if (status)
        spar_data_free(d);
    else
        *out = d;
    return status;
}

void spar_data_free(spar_data *d) {
    if (!d) return;
    for (int split = 0; split < SPAR_DATA_SPLITS; split++) {
        if (d->shards[split])
            for (uint64_t i = 0; i < d->info.split[split].shards; i++)
                spar__shard_close(&d->shards[split][i]);
        spar__free(d->shards[split]);
        spar__free(d->starts[split]);
    }
    spar__free(d->tokenizer);
    spar__free(d->folder);
    spar__free(d);
}

const spar_data_info *spar_data_get_info(const spar_data *data) {
    return &data->info;
}
const char *spar_data_tokenizer(const spar_data *data) {
    return data->tokenizer;
}

size_t spar__data_find(const spar_data *d, spar_data_split split, uint64_t token) {
    const uint64_t *starts = d->starts[split];
    size_t low = 0, high = (size_t)d->info.split[split].shards;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (starts[middle] <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

spar_status spar_data_tokens(const spar_data *d, spar_data_split split, uint64_t start,
                             size_t count, int32_t *tokens) {
    if ((unsigned)split >= SPAR_DATA_SPLITS)
        return spar__fail(SPAR_ERR_ARGUMENT, "split: found %d", (int)split);
    uint64_t total = d->info.split[split].tokens;
    if (start > total || count > total - start)
        return spar__fail(SPAR_ERR_ARGUMENT, "tokens %llu to %llu of %s, which has %llu",
                          (unsigned long long)start, (unsigned long long)start + count,
                          spar__data_split_names[split], (unsigned long long)total);
    while (count) {
        size_t i = spar__data_find(d, split, start);
        const spar__shard *shard = &d->shards[split][i];
        uint64_t local = start - d->starts[split][i], left = shard->header.tokens - local;
        size_t n = count < left ? count : (size_t)left;
        if (!spar__shard_read(shard, local, n, tokens))
            return spar__fail(SPAR_ERR_FORMAT, "%s: %s shard %zu: a token is not below %llu",
                              d->folder, spar__data_split_names[split], i,
                              (unsigned long long)d->info.vocab_size);
        start += n;
        count -= n;
        tokens += n;
    }
    return SPAR_OK;
}
