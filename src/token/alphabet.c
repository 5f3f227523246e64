#include "token/alphabet.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { CODES = 0x110000 };

typedef struct character {
    uint32_t code;
    uint64_t count;
} character;

static int by_count(const void *left, const void *right) {
    const character *a = left, *b = right;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return a->code < b->code ? -1 : a->code > b->code;
}

static int by_code(const void *left, const void *right) {
    const character *a = left, *b = right;
    return a->code < b->code ? -1 : a->code > b->code;
}

static uint64_t count_all(const spar__words *words, uint64_t *counts) {
    uint64_t total = 0;
    for (size_t i = 0; i < words->n_slots; i++) {
        const spar__word *w = &words->slots[i];
        const unsigned char *bytes = (const unsigned char *)words->pool.bytes + w->offset;
        for (size_t at = 0; w->count && at < w->length;) {
            uint32_t code;
            int n = spar__utf8_decode(bytes + at, w->length - at, &code);
            if (n && code) counts[code] += w->count, total += w->count;
            at += n ? (size_t)n : 1;
        }
    }
    return total;
}

spar_status spar__alphabet_of(const spar__words *words, double coverage, spar__alphabet *out) {
    uint64_t *counts = spar__array(CODES, sizeof *counts);
    if (!counts) return SPAR_ERR_MEMORY;
    uint64_t total = count_all(words, counts), covered = 0;
    size_t n = 0, kept = 0;
    for (uint32_t code = 1; code < CODES; code++) n += counts[code] > 0;
    character *all = spar__array(n + 1, sizeof *all);
    *out = (spar__alphabet){spar__array(n + 1, sizeof *out->codes),
                            spar__array(n + 1, sizeof *out->counts), 0};
    spar_status status = all && out->codes && out->counts ? SPAR_OK : SPAR_ERR_MEMORY;
    for (uint32_t code = 1; !status && code < CODES; code++)
        if (counts[code]) all[kept++] = (character){code, counts[code]};
    if (!status) {
        qsort(all, n, sizeof *all, by_count);
        for (kept = 0; kept < n && (double)covered < coverage * (double)total; kept++)
            covered += all[kept].count;
        qsort(all, kept, sizeof *all, by_code);
        for (size_t i = 0; i < kept; i++)
            out->codes[i] = all[i].code, out->counts[i] = all[i].count;
        out->count = kept;
    }
    spar__free(all);
    spar__free(counts);
    if (status) spar__alphabet_free(out);
    return status;
}

void spar__alphabet_free(spar__alphabet *a) {
    spar__free(a->codes);
    spar__free(a->counts);
    *a = (spar__alphabet){0};
}

int64_t spar__alphabet_find(const spar__alphabet *a, uint32_t code) {
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->codes[middle] < code) low = middle + 1;
        else high = middle;
    }
    return low < a->count && a->codes[low] == code ? (int64_t)low : -1;
}
