#include "data/shard.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shards are mapped as they lie: little-endian"
#endif

static const char magic[8] = {'S', 'P', 'A', 'R', 'D', 'A', 'T', 'A'};

enum { VERSION = 1, CHUNK = 4096 };

/* ---- Writing ------------------------------------------------------------------------------ */

spar_status spar__shard_begin(spar__shard_writer *w, const char *path, size_t vocab_size,
                              bool continues) {
    if (!w->hash && !(w->hash = XXH3_createState()))
        return spar__fail(SPAR_ERR_MEMORY, "%s: no memory for a checksum", path);
    XXH3_64bits_reset(w->hash);
    SPAR_TRY(spar__writer_open(path, &w->file));
    w->header = (spar__shard_header){.version = VERSION,
                                     .width = vocab_size <= 1 << 16 ? 2 : 4,
                                     .flags = continues ? SPAR__SHARD_CONTINUES : 0,
                                     .vocab_size = vocab_size};
    memcpy(w->header.magic, magic, sizeof magic);
    SPAR_TRY(spar__writer_write(w->file, &w->header, sizeof w->header));
    return continues ? spar__shard_document_begin(w) : SPAR_OK;
}

spar_status spar__shard_document_begin(spar__shard_writer *w) {
    if (w->header.documents == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 256;
        spar__shard_document *grown = spar__resize(w->documents, capacity, sizeof *grown);
        if (!grown) return SPAR_ERR_MEMORY;
        w->documents = grown;
        w->capacity = capacity;
    }
    w->documents[w->header.documents++] = (spar__shard_document){w->header.tokens, 0};
    return SPAR_OK;
}

static spar_status put(spar__shard_writer *w, const void *bytes, size_t length) {
    XXH3_64bits_update(w->hash, bytes, length);
    return spar__writer_write(w->file, bytes, length);
}

spar_status spar__shard_add(spar__shard_writer *w, const int32_t *tokens, size_t count,
                            uint64_t bytes) {
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint64_t)tokens[i] >= w->header.vocab_size)
            return spar__fail(SPAR_ERR_ARGUMENT, "token %d, expected 0 to %llu", tokens[i],
                              (unsigned long long)w->header.vocab_size - 1);
    if (w->header.width == 4) {
        SPAR_TRY(put(w, tokens, count * sizeof *tokens));
    } else {
        uint16_t narrow[CHUNK];
        for (size_t at = 0; at < count; at += CHUNK) {
            size_t n = count - at < CHUNK ? count - at : CHUNK;
            for (size_t i = 0; i < n; i++) narrow[i] = (uint16_t)tokens[at + i];
            SPAR_TRY(put(w, narrow, n * sizeof *narrow));
        }
    }
    w->header.tokens += count;
    w->documents[w->header.documents - 1].bytes += bytes;
    return SPAR_OK;
}

spar_status spar__shard_end(spar__shard_writer *w, uint64_t *hash) {
    spar__shard_header *h = &w->header;
    static const char zeros[8];
    SPAR_TRY(put(w, zeros, -(h->tokens * h->width) % 8));
    size_t table = h->documents * sizeof *w->documents;
    SPAR_TRY(spar__writer_write(w->file, w->documents, table));
    h->tokens_hash = XXH3_64bits_digest(w->hash);
    h->documents_hash = XXH3_64bits(w->documents, table);
    h->hash = XXH3_64bits(h, offsetof(spar__shard_header, hash));
    SPAR_TRY(spar__writer_patch(w->file, 0, h, sizeof *h));
    spar__writer *file = w->file;
    w->file = NULL;
    SPAR_TRY(spar__writer_commit(file));
    *hash = h->hash;
    return SPAR_OK;
}

void spar__shard_writer_free(spar__shard_writer *w) {
    spar__writer_abandon(w->file);
    XXH3_freeState(w->hash);
    spar__free(w->documents);
    *w = (spar__shard_writer){0};
}

/* ---- Reading ------------------------------------------------------------------------------ */

static spar_status check_header(const char *path, const spar__map *map, spar__shard_header *h) {
    if (map->length < sizeof *h)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, expected at least %zu", path,
                          map->length, sizeof *h);
    memcpy(h, map->bytes, sizeof *h);
    if (memcmp(h->magic, magic, sizeof magic))
        return spar__fail(SPAR_ERR_FORMAT, "%s: not a data shard", path);
    if (h->hash != XXH3_64bits(h, offsetof(spar__shard_header, hash)))
        return spar__fail(SPAR_ERR_FORMAT, "%s: header damaged: its checksum is wrong", path);
    if (h->version != VERSION)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: version: found %u, expected %d", path,
                          h->version, VERSION);
    if ((h->width != 2 && h->width != 4) || h->flags & ~SPAR__SHARD_CONTINUES)
        return spar__fail(SPAR_ERR_FORMAT, "%s: found tokens of %u bytes with flags 0x%x", path,
                          h->width, h->flags);
    if (!h->vocab_size || h->vocab_size > (h->width == 2 ? UINT64_C(1) << 16 : INT32_MAX))
        return spar__fail(SPAR_ERR_FORMAT, "%s: vocab_size: found %llu", path,
                          (unsigned long long)h->vocab_size);
    return SPAR_OK;
}

/* Sets where tokens and table lie, after checking that the file is exactly that long. */
static spar_status check_layout(const char *path, spar__shard *s, size_t *padded) {
    const spar__shard_header *h = &s->header;
    size_t table, end;
    if (!h->tokens || !h->documents || !spar__mul(h->tokens, h->width, padded) ||
        !spar__align(*padded, 8, padded) || !spar__mul(h->documents, 16, &table) ||
        !spar__add(sizeof *h, *padded, &end) || !spar__add(end, table, &end) ||
        end != s->map.length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, expected %llu tokens and %llu documents",
                          path, s->map.length, (unsigned long long)h->tokens,
                          (unsigned long long)h->documents);
    s->tokens = s->map.bytes + sizeof *h;
    s->documents = (const void *)(s->tokens + *padded);
    return SPAR_OK;
}

static spar_status verify_content(const char *path, const spar__shard *s, size_t padded) {
    const spar__shard_header *h = &s->header;
    if (XXH3_64bits(s->tokens, padded) != h->tokens_hash)
        return spar__fail(SPAR_ERR_FORMAT, "%s: tokens damaged: their checksum is wrong", path);
    if (XXH3_64bits(s->documents, h->documents * 16) != h->documents_hash)
        return spar__fail(SPAR_ERR_FORMAT, "%s: documents damaged: their checksum is wrong", path);
    for (uint64_t i = 0; i < h->documents; i++) {
        uint64_t start = s->documents[i].start;
        if (start >= h->tokens || (i ? start <= s->documents[i - 1].start : start != 0))
            return spar__fail(SPAR_ERR_FORMAT, "%s: document %llu: begins at token %llu", path,
                              (unsigned long long)i, (unsigned long long)start);
    }
    return SPAR_OK;
}

spar_status spar__shard_open(const char *path, bool verify, spar__shard *out) {
    spar__shard s = {0};
    spar_status status;
    size_t padded = 0;
    SPAR_TRY(spar__map_open(path, &s.map));
    SPAR_TRY_GOTO(fail, check_header(path, &s.map, &s.header));
    SPAR_TRY_GOTO(fail, check_layout(path, &s, &padded));
    if (verify) SPAR_TRY_GOTO(fail, verify_content(path, &s, padded));
    *out = s;
    return SPAR_OK;
fail:
    spar__map_close(&s.map);
    return status;
}

void spar__shard_close(spar__shard *s) {
    spar__map_close(&s->map);
}

bool spar__shard_read(const spar__shard *s, uint64_t start, size_t count, int32_t *tokens) {
    uint32_t most = 0;
    if (s->header.width == 2) {
        const uint16_t *from = (const uint16_t *)s->tokens + start;
        for (size_t i = 0; i < count; i++) {
            uint32_t token = from[i];
            most = token > most ? token : most;
            tokens[i] = (int32_t)token;
        }
    } else {
        const uint32_t *from = (const uint32_t *)s->tokens + start;
        for (size_t i = 0; i < count; i++) {
            uint32_t token = from[i];
            most = token > most ? token : most;
            tokens[i] = (int32_t)token;
        }
    }
    return !count || most < s->header.vocab_size;
}

uint64_t spar__shard_find(const spar__shard *s, uint64_t token) {
    uint64_t low = 0, high = s->header.documents;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (s->documents[middle].start <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t spar__shard_document_end(const spar__shard *s, uint64_t index) {
    return index + 1 < s->header.documents ? s->documents[index + 1].start : s->header.tokens;
}
