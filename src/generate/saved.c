/* A session's file: what it has read and what its cache holds, so that it goes on as if it had never ended.
 *
 *     header   magic, version, fingerprint of model and tokenizer, options, lengths, checksum of what follows,
 *              checksum of the header
 *     body     tokens [position], then the cache (spar__cache_pack)
 *
 * All is little-endian. docs/formats.md has the limits. */
#include <stddef.h>
#include <string.h>

#include <xxhash.h>

#include "base/file.h"
#include "generate/inside.h"
#include "op/cache.h"

enum { VERSION = 2, PIECE = 1 << 16, PIECES = 64 };
static const char magic[8] = "SPARSESS";
static const uint64_t read_wholly = (uint64_t)1 << 30; /* bytes of weights; of more, pieces of each tensor count */

typedef struct header {
    char magic[8];
    uint64_t version, fingerprint, type, context, chunk, layers, position, longest, source, leads, body_bytes;
    uint64_t body_hash, hash;
} header;

static void add(XXH3_state_t *h, const void *bytes, size_t n) { XXH3_64bits_update(h, bytes, n); }

static void add_tensor(XXH3_state_t *h, const spar__param *p, bool wholly) {
    const spar__tensor *t = &p->value;
    size_t row = 0, bytes;
    spar__row_bytes(t->type, (size_t)t->cols, &row);
    bytes = row * (size_t)t->rows;
    const char *name = spar__type_of(t->type)->name;
    add(h, p->name, strlen(p->name) + 1);
    add(h, name, strlen(name) + 1);
    add(h, &bytes, sizeof bytes);
    if (!t->data) return;
    if (wholly || bytes <= (size_t)PIECE * PIECES) {
        add(h, t->data, bytes);
        return;
    }
    for (size_t i = 0; i < PIECES; i++) add(h, (const char *)t->data + (bytes - PIECE) / (PIECES - 1) * i, PIECE);
}

static void add_tokenizer(XXH3_state_t *h, const spar_tokenizer *t) {
    int32_t ends[2] = {spar_tokenizer_bos(t), spar_tokenizer_eos(t)};
    add(h, ends, sizeof ends);
    for (int32_t i = 0; i < spar_tokenizer_size(t); i++) {
        size_t n = 0;
        const char *piece = spar_tokenizer_piece(t, i, &n);
        add(h, &n, sizeof n);
        add(h, piece, n);
    }
}

/* What a model computes depends on its description, weights and tokenizer. */
static spar_status fingerprint(const spar_model *model, uint64_t *out) {
    spar_model *m = (spar_model *)model; /* its parameters are only read */
    char *config = json_dumps(spar__model_config(model), JSON_COMPACT | JSON_SORT_KEYS);
    XXH3_state_t *h = XXH3_createState();
    if (!config || !h) {
        free(config);
        XXH3_freeState(h);
        return spar__fail(SPAR_ERR_MEMORY, "out of memory: a model's fingerprint");
    }
    XXH3_64bits_reset(h);
    add(h, config, strlen(config));
    uint64_t bytes = 0;
    for (int i = 0; i < spar__model_n_params(m); i++) {
        const spar__tensor *t = &spar__model_param(m, i)->value;
        size_t row = 0;
        spar__row_bytes(t->type, (size_t)t->cols, &row);
        bytes += (uint64_t)row * (uint64_t)t->rows;
    }
    for (int i = 0; i < spar__model_n_params(m); i++) add_tensor(h, spar__model_param(m, i), bytes <= read_wholly);
    if (spar_model_tokenizer(model)) add_tokenizer(h, spar_model_tokenizer(model));
    *out = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    free(config);
    return SPAR_OK;
}

/* Made once for a session: models do not change. */
static spar_status known_fingerprint(spar_session *s, uint64_t *out) {
    if (!s->fingerprint) SPAR_TRY(fingerprint(s->model, &s->fingerprint));
    *out = s->fingerprint;
    return SPAR_OK;
}

static uint64_t header_hash(const header *h) { return XXH3_64bits(h, offsetof(header, hash)); }

spar_status spar_session_save(spar_session *s, const char *path) {
    header h = {.version = VERSION, .type = (uint64_t)s->type, .context = (uint64_t)s->context, .chunk = (uint64_t)s->chunk,
                .layers = (uint64_t)s->layers, .position = (uint64_t)s->position, .longest = (uint64_t)s->longest,
                .source = (uint64_t)s->source, .leads = (uint64_t)spar__cache_leads(s->cache, 0)};
    memcpy(h.magic, magic, sizeof magic);
    SPAR_TRY(known_fingerprint(s, &h.fingerprint));
    size_t tokens = (size_t)s->position * sizeof *s->tokens, bytes;
    if (!spar__add(tokens, (size_t)spar__cache_slot_bytes(s->cache, 0, s->position), &bytes)) return SPAR_ERR_MEMORY;
    char *body = spar__alloc(bytes + 1);
    if (!body) return SPAR_ERR_MEMORY;
    memcpy(body, s->tokens, tokens);
    spar__cache_pack(s->cache, 0, s->position, body + tokens);
    h.body_bytes = bytes;
    h.body_hash = XXH3_64bits(body, bytes);
    h.hash = header_hash(&h);
    spar__writer *w;
    spar_status status = spar__writer_open(path, &w);
    if (!status) {
        status = spar__writer_write(w, &h, sizeof h);
        if (!status) status = spar__writer_write(w, body, bytes);
        if (status) spar__writer_abandon(w);
        else status = spar__writer_commit(w);
    }
    spar__free(body);
    return status;
}

static spar_status check_header(const header *h, const char *path, const spar_session *s, uint64_t fingerprint) {
    if (memcmp(h->magic, magic, sizeof magic) != 0) return spar__fail(SPAR_ERR_FORMAT, "%s: not a session's file", path);
    if (h->version != VERSION)
        return spar__fail(SPAR_ERR_FORMAT, "%s: version %llu of a session's file, expected %d", path,
                          (unsigned long long)h->version, VERSION);
    if (h->hash != header_hash(h)) return spar__fail(SPAR_ERR_FORMAT, "%s: the header's checksum does not fit: the file is damaged", path);
    if (h->fingerprint != fingerprint)
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: the session of another model: configuration, weights or tokenizer differ", path);
    const struct {
        const char *name;
        uint64_t found;
        int64_t expected;
    } same[] = {{"context", h->context, s->context}, {"chunk", h->chunk, s->chunk}, {"layers", h->layers, s->layers}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (same[i].found != (uint64_t)same[i].expected)
            return spar__fail(SPAR_ERR_ARGUMENT, "%s: %s: saved with %llu, the session has %lld", path, same[i].name,
                              (unsigned long long)same[i].found, (long long)same[i].expected);
    if (h->type != (uint64_t)s->type)
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: cache type: saved with %s, the session has %s", path,
                          h->type < SPAR__N_TYPES ? spar__type_of((spar__type)h->type)->name : "another",
                          spar__type_of(s->type)->name);
    if (h->position > h->context || h->longest > h->context || h->longest < h->position || h->source > INT32_MAX ||
        h->leads != (h->leads ? h->source : 0))
        return spar__fail(SPAR_ERR_FORMAT, "%s: %llu tokens of at most %llu", path, (unsigned long long)h->position,
                          (unsigned long long)h->context);
    return SPAR_OK;
}

static spar_status check_body(const header *h, const char *path, spar_session *s, const unsigned char *body, size_t length) {
    size_t tokens = (size_t)h->position * sizeof *s->tokens, expected;
    int64_t context = spar__cache_context(s->cache), before = spar__cache_leads(s->cache, 0);
    if ((int64_t)h->leads > context - (int64_t)h->position)
        return spar__fail(SPAR_ERR_FORMAT, "%s: a source of %llu tokens, more than fit", path, (unsigned long long)h->leads);
    spar__cache_lead(s->cache, 0, (int64_t)h->leads);
    bool fits = spar__add(tokens, (size_t)spar__cache_slot_bytes(s->cache, 0, (int64_t)h->position), &expected);
    spar__cache_lead(s->cache, 0, before);
    if (!fits || h->body_bytes != expected || length != expected)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, expected %zu: the file is damaged", path, length + sizeof *h,
                          expected + sizeof *h);
    if (XXH3_64bits(body, length) != h->body_hash)
        return spar__fail(SPAR_ERR_FORMAT, "%s: the checksum does not fit: the file is damaged", path);
    for (uint64_t i = 0; i < h->position; i++) {
        int32_t token;
        memcpy(&token, body + i * sizeof token, sizeof token);
        if (token < 0 || token >= spar_model_vocab_size(s->model))
            return spar__fail(SPAR_ERR_FORMAT, "%s: token %d, the model has %d", path, token, spar_model_vocab_size(s->model));
    }
    const unsigned char *states = body + length - spar__cache_states_bytes(s->cache);
    return spar__model_states_check(s->model, s->cache, states, path);
}

static spar_status load(spar_session *s, const char *path, const spar__map *map) {
    header h;
    uint64_t wanted;
    if (map->length < sizeof h) return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes: not a session's file", path, map->length);
    memcpy(&h, map->bytes, sizeof h);
    SPAR_TRY(known_fingerprint(s, &wanted));
    SPAR_TRY(check_header(&h, path, s, wanted));
    const unsigned char *body = map->bytes + sizeof h;
    SPAR_TRY(check_body(&h, path, s, body, map->length - sizeof h));
    size_t tokens = (size_t)h.position * sizeof *s->tokens;
    memcpy(s->tokens, body, tokens);
    spar__cache_unpack(s->cache, 0, (int64_t)h.position, (int64_t)h.leads, body + tokens);
    s->position = (int64_t)h.position;
    s->longest = (int64_t)h.longest;
    s->source = (int64_t)h.source;
    return SPAR_OK;
}

spar_status spar_session_load(spar_session *s, const char *path) {
    spar__map map;
    SPAR_TRY(spar__map_open(path, &map));
    spar_status status = load(s, path, &map);
    spar__map_close(&map);
    return status;
}
