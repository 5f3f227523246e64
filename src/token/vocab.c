#include "token/vocab.h"

spar_status spar__vocab_create(spar__vocab *v, size_t limit, size_t bytes) {
    *v = (spar__vocab){0};
    if (limit > INT32_MAX / 4)
        return spar__fail(SPAR_ERR_LIMIT, "vocabulary of %zu tokens, at most %d", limit,
                          INT32_MAX / 4);
    size_t slots = 16;
    while (slots < limit * 2) slots *= 2;
    v->pool_capacity = bytes;
    v->limit = (int32_t)limit;
    v->mask = slots - 1;
    v->pool = spar__alloc(bytes + 1);
    v->offset = spar__array(limit + 1, sizeof *v->offset);
    v->length = spar__array(limit + 1, sizeof *v->length);
    v->flags = spar__alloc(limit + 1);
    v->slots = spar__array(slots, sizeof *v->slots);
    if (!v->pool || !v->offset || !v->length || !v->flags || !v->slots) {
        spar__vocab_free(v);
        return SPAR_ERR_MEMORY;
    }
    for (size_t i = 0; i < slots; i++) v->slots[i].id = -1;
    return SPAR_OK;
}

void spar__vocab_free(spar__vocab *v) {
    spar__free(v->pool);
    spar__free(v->offset);
    spar__free(v->length);
    spar__free(v->flags);
    spar__free(v->slots);
    *v = (spar__vocab){0};
}

spar_status spar__vocab_reserve(spar__vocab *v, size_t bytes) {
    size_t need, doubled = v->pool_capacity * 2;
    if (!spar__add(v->pool_length, bytes, &need) || need > SIZE_MAX / 4)
        return spar__fail(SPAR_ERR_LIMIT, "vocabulary of %zu bytes more", bytes);
    if (need <= v->pool_capacity) return SPAR_OK;
    if (need < doubled) need = doubled;
    char *pool = spar__resize(v->pool, need + 1, 1);
    if (!pool) return SPAR_ERR_MEMORY;
    v->pool = pool;
    v->pool_capacity = need;
    return SPAR_OK;
}

spar_status spar__vocab_add(spar__vocab *v, int64_t id, const char *bytes, size_t length) {
    if (id < 0 || id >= v->limit)
        return spar__fail(SPAR_ERR_FORMAT, "token '%.*s': id %lld, expected 0 to %d",
                          (int)(length < 64 ? length : 64), bytes, (long long)id, v->limit - 1);
    if (v->flags[id] & SPAR__PIECE_DEFINED)
        return spar__fail(SPAR_ERR_FORMAT, "token '%.*s': id %lld is taken by '%.64s'",
                          (int)(length < 64 ? length : 64), bytes, (long long)id,
                          spar__vocab_bytes(v, (int32_t)id));
    size_t end;
    if (length > UINT32_MAX || !spar__add(v->pool_length, length + 1, &end) ||
        end > v->pool_capacity)
        return spar__fail(SPAR_ERR_LIMIT, "token %lld: %zu bytes do not fit", (long long)id,
                          length);
    memcpy(v->pool + v->pool_length, bytes, length);
    v->pool[v->pool_length + length] = 0;
    v->offset[id] = v->pool_length;
    v->length[id] = (uint32_t)length;
    v->flags[id] |= SPAR__PIECE_DEFINED;
    v->pool_length = end;
    if (id >= v->size) v->size = (int32_t)id + 1;
    if (spar__vocab_find(v, bytes, length) >= 0) return SPAR_OK;
    uint64_t key = spar__vocab_key(bytes, length);
    size_t i = spar__vocab_index(v, key, length);
    while (v->slots[i].id >= 0) i = (i + 1) & v->mask;
    v->slots[i] = (spar__vocab_slot){key, (int32_t)id, (uint32_t)length};
    return SPAR_OK;
}
