/* The seed of unigram training: all substrings of words, of at most 16 characters, that occur again
 * and do not always go on alike, and frequent words whole – the inner nodes of the suffix tree, found in the sorted suffixes
 * (Abouelhoda et al. 2004, "Replacing suffix trees with enhanced suffix arrays"). */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "token/train_unigram.h"

enum { MAX_CHARS = 16, MAX_SEED = 1000000 };

typedef struct suffix {
    const char *bytes;
    uint32_t length; /* to the end of its word, at most MAX_CHARS characters */
    bool whole;      /* all of its word */
    uint64_t count;
} suffix;

static int by_bytes(const void *a, const void *b) {
    const suffix *s = a, *t = b;
    size_t n = s->length < t->length ? s->length : t->length;
    int order = memcmp(s->bytes, t->bytes, n);
    return order ? order : (s->length > t->length) - (s->length < t->length);
}

static size_t width_of(const char *at) {
    unsigned char c = (unsigned char)*at;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static spar_status suffixes(const spar__unigram_trainer *t, suffix **out, size_t *count) {
    size_t n = 0;
    suffix *list = spar__array(t->text_length + 1, sizeof *list);
    if (!list) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < t->n_words; i++) {
        const char *word = t->text + t->words[i].begin;
        size_t length = t->words[i].length;
        for (size_t at = 0; at < length; at += width_of(word + at)) {
            size_t end = at;
            for (int k = 0; k < MAX_CHARS && end < length; k++) end += width_of(word + end);
            list[n++] = (suffix){word + at, (uint32_t)(end - at), !at && end == length,
                                 t->words[i].count};
        }
    }
    qsort(list, n, sizeof *list, by_bytes);
    *out = list;
    *count = n;
    return SPAR_OK;
}

/* Bytes of whole characters that two suffixes share at their front. */
static uint32_t shared(const suffix *a, const suffix *b) {
    uint32_t most = a->length < b->length ? a->length : b->length, n = 0;
    while (n < most && a->bytes[n] == b->bytes[n]) n++;
    while (n && n < most && ((unsigned char)a->bytes[n] & 0xC0) == 0x80) n--;
    return n;
}

typedef struct found {
    double weight; /* occurrences × characters */
    uint64_t count;
    const char *bytes;
    uint32_t length;
} found;

static int by_weight(const void *a, const void *b) {
    const found *s = a, *t = b;
    if (s->weight != t->weight) return s->weight > t->weight ? -1 : 1;
    size_t n = s->length < t->length ? s->length : t->length;
    int order = memcmp(s->bytes, t->bytes, n);
    return order ? order : (s->length > t->length) - (s->length < t->length);
}

static size_t characters(const char *bytes, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    return n;
}

/* A node on the way from the root to the newest suffix. */
typedef struct open_node {
    uint32_t length;
    uint64_t count;
    const char *bytes;
} open_node;

/* Walks the sorted suffixes; a node closes when a suffix shares less with the one before. */
static size_t inner_nodes(const suffix *list, size_t n, found *out) {
    open_node stack[4 * MAX_CHARS + 2];
    int depth = 0;
    size_t n_found = 0;
    stack[0] = (open_node){0, 0, NULL};
    for (size_t i = 0, before = 0; i < n; i++) {
        uint32_t next = i + 1 < n ? shared(&list[i], &list[i + 1]) : 0;
        uint64_t count = list[i].count;
        size_t all = list[i].whole && count > 1 && list[i].length > before && list[i].length > next
                         ? characters(list[i].bytes, list[i].length)
                         : 0;
        if (all > 1)
            out[n_found++] = (found){(double)count * (double)all, count, list[i].bytes,
                                     list[i].length};
        before = next;
        while (stack[depth].length > next) {
            open_node node = stack[depth--];
            node.count += count;
            count = node.count;
            size_t chars = characters(node.bytes, node.length);
            if (chars > 1)
                out[n_found++] = (found){(double)count * (double)chars, count, node.bytes, node.length};
        }
        if (stack[depth].length < next) stack[++depth] = (open_node){next, 0, list[i].bytes};
        stack[depth].count += count;
    }
    return n_found;
}

static spar_status gather(spar__unigram_trainer *t, const spar__alphabet *alphabet, found *nodes,
                          size_t n_nodes) {
    size_t n = 0, most = n_nodes + alphabet->count;
    t->pieces = spar__array(most + 1, sizeof *t->pieces);
    t->score = spar__array(most + 1, sizeof *t->score);
    t->probability = spar__array(most + 1, sizeof *t->probability);
    t->expected = spar__array(most + 1, sizeof *t->expected);
    if (!t->pieces || !t->score || !t->probability || !t->expected) return SPAR_ERR_MEMORY;
    double sum = 0;
    char *letters = t->text + t->text_length; /* room for the alphabet was left there */
    for (size_t i = 0; i < alphabet->count; i++, n++) {
        int width = spar__utf8_encode(alphabet->codes[i], letters);
        t->pieces[n] = (spar__unigram_piece){(size_t)(letters - t->text), (uint32_t)width, true};
        t->score[n] = (double)alphabet->counts[i];
        sum += t->score[n];
        letters += width;
    }
    for (size_t i = 0; i < n_nodes; i++, n++) {
        t->pieces[n] = (spar__unigram_piece){(size_t)(nodes[i].bytes - t->text), nodes[i].length,
                                             false};
        t->score[n] = nodes[i].weight;
        sum += t->score[n];
    }
    for (size_t i = 0; i < n; i++) t->score[i] = log(t->score[i] / sum);
    t->n_pieces = n;
    t->scale = 2;
    return SPAR_OK;
}

spar_status spar__unigram_seed(spar__unigram_trainer *t, const spar__alphabet *alphabet) {
    suffix *list = NULL;
    size_t n = 0;
    SPAR_TRY(suffixes(t, &list, &n));
    found *nodes = spar__array(2 * n + 1, sizeof *nodes);
    spar_status status = nodes ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) {
        size_t n_nodes = inner_nodes(list, n, nodes);
        qsort(nodes, n_nodes, sizeof *nodes, by_weight);
        status = gather(t, alphabet, nodes, n_nodes < MAX_SEED ? n_nodes : MAX_SEED);
    }
    spar__free(nodes);
    spar__free(list);
    return status;
}
