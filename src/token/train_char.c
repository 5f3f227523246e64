/* A vocabulary of characters: those of the corpus, the most frequent where not all fit. It is
 * written as byte-pair encoding on characters without merges, which every reader of tokenizer.json
 * knows. Other characters become <unk>. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "token/train.h"

enum { CODES = 0x110000 };

typedef struct character {
    uint32_t code;
    uint64_t count;
} character;

static const char unknown[] = "<unk>";

static int by_count(const void *left, const void *right) {
    const character *a = left, *b = right;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return a->code < b->code ? -1 : a->code > b->code;
}

static int by_code(const void *left, const void *right) {
    const character *a = left, *b = right;
    return a->code < b->code ? -1 : a->code > b->code;
}

/* What is no UTF-8 is not counted, nor is U+0000, which many readers cannot hold. */
static spar_status count(const spar_text_reader *reader, const spar_progress *progress,
                         uint64_t *counts) {
    uint64_t done = 0;
    for (;;) {
        const char *text;
        size_t length;
        SPAR_TRY(reader->next(reader->context, &text, &length));
        if (!text) return SPAR_OK;
        for (size_t i = 0; i < length;) {
            uint32_t code = 0;
            int size = spar__utf8_decode((const unsigned char *)text + i, length - i, &code);
            if (size) counts[code]++;
            i += size ? (size_t)size : 1;
        }
        done += length;
        SPAR_TRY(spar__progress(progress, "counting", done, 0, ""));
    }
}

/* The characters to keep, by code, at most `most`. The caller frees *out. */
static spar_status choose(const uint64_t *counts, int64_t least, size_t most, character **out,
                          size_t *n) {
    size_t seen = 0, kept = 0;
    for (uint32_t code = 1; code < CODES; code++)
        seen += counts[code] && counts[code] >= (uint64_t)least;
    character *all = spar__array(seen + 1, sizeof *all);
    if (!all) return SPAR_ERR_MEMORY;
    for (uint32_t code = 1; code < CODES; code++)
        if (counts[code] && counts[code] >= (uint64_t)least)
            all[kept++] = (character){code, counts[code]};
    qsort(all, seen, sizeof *all, by_count);
    *n = seen < most ? seen : most;
    qsort(all, *n, sizeof *all, by_code);
    *out = all;
    return SPAR_OK;
}

static bool add_special(json_t *vocab, json_t *added, const char *text) {
    if (json_object_get(vocab, text)) return true;
    json_int_t id = (json_int_t)json_object_size(vocab);
    return !json_object_set_new(vocab, text, json_integer(id)) &&
           !json_array_append_new(added, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                                   "content", text, "single_word", 0, "lstrip", 0,
                                                   "rstrip", 0, "normalized", 0, "special", 1));
}

static json_t *describe(const spar_tokenizer_options *o, const character *kept, size_t n) {
    json_t *vocab = json_object(), *added = json_array(), *merges = json_array();
    bool good = vocab && added && merges;
    for (int i = 0; good && i < o->n_special; i++) good = add_special(vocab, added, o->special[i]);
    good = good && add_special(vocab, added, unknown);
    for (size_t i = 0; good && i < n; i++) {
        char text[8] = {0};
        spar__utf8_encode(kept[i].code, text);
        good = !json_object_set_new(vocab, text, json_integer((json_int_t)json_object_size(vocab)));
    }
    json_t *root =
        good ? json_pack("{s:s, s:n, s:n, s:O, s:n, s:n, s:n, s:{s:s}, s:{s:s, s:n, s:s, s:n, s:n, "
                         "s:b, s:b, s:b, s:O, s:O}}",
                         "version", "1.0", "truncation", "padding", "added_tokens", added,
                         "normalizer", "pre_tokenizer", "post_processor", "decoder", "type", "Fuse",
                         "model", "type", "BPE", "dropout", "unk_token", unknown,
                         "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                         "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", merges)
             : NULL;
    json_decref(vocab);
    json_decref(added);
    json_decref(merges);
    return root;
}

static spar_status train_char(const spar_tokenizer_options *o, const spar_text_reader *reader,
                              const spar_progress *progress, spar_tokenizer **out) {
    if (o->vocab_size < o->n_special + 2)
        return spar__fail(SPAR_ERR_ARGUMENT, "vocabulary size %d, expected at least %d",
                          o->vocab_size, o->n_special + 2);
    uint64_t *counts = spar__array(CODES, sizeof *counts);
    if (!counts) return SPAR_ERR_MEMORY;
    character *kept = NULL;
    size_t n, most = (size_t)(o->vocab_size - o->n_special - 1);
    spar_status status = count(reader, progress, counts);
    if (!status) status = choose(counts, o->min_frequency, most, &kept, &n);
    spar__free(counts);
    if (status) return status;
    json_t *root = describe(o, kept, n);
    spar__free(kept);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    status = spar__tokenizer_from_json("trained tokenizer", root, NULL, 0, out);
    json_decref(root);
    return status;
}

const spar__trainer_kind spar__trainer_char = {"char", train_char};
