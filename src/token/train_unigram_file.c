/* From text to words, from trained pieces to a tokenizer.json of kind Unigram. */
#include <string.h>

#include "base/text.h"
#include "token/train_unigram.h"

enum { MAX_WORD = 512 }; /* longer ones are taken apart: nothing is learned from their joints */

static const char unknown[] = "<unk>";

static json_t *normalizer_json(void) {
    return json_pack("{s:s, s:[{s:s}, {s:s}, {s:s, s:b, s:b}, {s:s, s:{s:s}, s:s}]}", "type",
                     "Sequence", "normalizers", "type", "Nmt", "type", "NFKC", "type", "Strip",
                     "strip_left", 1, "strip_right", 1, "type", "Replace", "pattern", "Regex",
                     " {2,}", "content", " ");
}

static json_t *metaspace_json(void) {
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xE2\x96\x81",
                     "prepend_scheme", "always", "split", 1);
}

static bool add_special(json_t *vocab, json_t *added, const char *text) {
    json_int_t id = (json_int_t)json_array_size(vocab);
    return !json_array_append_new(vocab, json_pack("[s, f]", text, 0.0)) &&
           !json_array_append_new(added, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                                   "content", text, "single_word", 0, "lstrip", 0,
                                                   "rstrip", 0, "normalized", 0, "special", 1));
}

/* Special tokens, <unk>, and with byte fallback the bytes. */
static json_t *first_pieces(const spar_tokenizer_options *o, json_t *added, double lowest,
                            json_int_t *unk) {
    json_t *vocab = json_array();
    *unk = -1;
    bool good = vocab != NULL;
    for (int i = 0; good && i < o->n_special; i++) {
        if (!strcmp(o->special[i], unknown)) *unk = i;
        good = add_special(vocab, added, o->special[i]);
    }
    if (good && *unk < 0) {
        *unk = o->n_special;
        good = add_special(vocab, added, unknown);
    }
    for (int byte = 0; good && o->byte_fallback && byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        good = !json_array_append_new(vocab, json_pack("[s, f]", name, lowest));
    }
    if (good) return vocab;
    json_decref(vocab);
    return NULL;
}

static spar_status make(const spar_tokenizer_options *o, const spar__unigram_trainer *t,
                        const size_t *order, size_t n, spar_tokenizer **out) {
    json_int_t unk;
    double lowest = n ? t->score[order[n - 1]] : 0;
    json_t *added = json_array(), *vocab = first_pieces(o, added, lowest, &unk);
    for (size_t i = 0; vocab && i < n; i++) {
        const spar__unigram_piece *p = &t->pieces[order[i]];
        json_array_append_new(vocab, json_pack("[s%, f]", t->text + p->begin, (size_t)p->length,
                                               t->score[order[i]]));
    }
    json_t *decoder = o->byte_fallback ? json_pack("{s:s, s:[{s:s}, o]}", "type", "Sequence",
                                                   "decoders", "type", "ByteFallback",
                                                   metaspace_json())
                                       : metaspace_json();
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:{s:s, s:I, s:b, s:o}}",
                             "version", "1.0", "truncation", "padding", "added_tokens", added,
                             "normalizer", normalizer_json(), "pre_tokenizer", metaspace_json(),
                             "post_processor", "decoder", decoder, "model", "type", "Unigram",
                             "unk_id", unk, "byte_fallback", o->byte_fallback, "vocab", vocab);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    spar_status status = spar__tokenizer_from_json("trained tokenizer", root, NULL, 0, out);
    json_decref(root);
    return status;
}

static void add_part(spar__unigram_trainer *t, size_t begin, size_t end, uint64_t count) {
    if (begin == end) return;
    t->words[t->n_words++] = (spar__unigram_word){begin, (uint32_t)(end - begin), count};
    if (end - begin > t->longest) t->longest = end - begin;
}

/* Words are cut where a character was left out. */
static spar_status take_words(spar__unigram_trainer *t, const spar__words *counted,
                              const spar__alphabet *alphabet) {
    const spar__word **sorted = spar__words_sorted(counted);
    t->text = spar__alloc(counted->pool.length + 4 * alphabet->count + 1);
    t->words = spar__array(counted->pool.length + 1, sizeof *t->words);
    spar_status status = sorted && t->text && t->words ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < counted->count; i++) {
        const char *bytes = counted->pool.bytes + sorted[i]->offset;
        size_t length = sorted[i]->length, part = t->text_length;
        memcpy(t->text + part, bytes, length);
        t->text_length += length;
        for (size_t at = 0; at < length;) {
            uint32_t code = 0;
            int n = spar__utf8_decode((const unsigned char *)bytes + at, length - at, &code);
            size_t here = t->text_length - length + at, width = n ? (size_t)n : 1;
            bool out = !n || spar__alphabet_find(alphabet, code) < 0;
            if (out || here - part >= MAX_WORD) {
                add_part(t, part, here, sorted[i]->count);
                part = out ? here + width : here;
            }
            at += width;
        }
        add_part(t, part, t->text_length, sorted[i]->count);
    }
    spar__free(sorted);
    return status;
}

static int by_score(const void *a, const void *b, void *context) {
    const spar__unigram_trainer *t = context;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    if (t->score[i] != t->score[k]) return t->score[i] > t->score[k] ? -1 : 1;
    return i < k ? -1 : i > k;
}

/* All characters, and of the others those of highest probability. */
static spar_status finish(const spar_tokenizer_options *o, spar__unigram_trainer *t, size_t wanted,
                          spar_tokenizer **out) {
    size_t *order = spar__array(t->n_pieces + 1, sizeof *order), n = 0, singles = 0, taken = 0;
    if (!order) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < t->n_pieces; i++) order[i] = i, singles += t->pieces[i].single;
    qsort_r(order, t->n_pieces, sizeof *order, by_score, t);
    for (size_t i = 0; i < t->n_pieces; i++) {
        bool single = t->pieces[order[i]].single;
        if (!single && taken + singles >= wanted) continue;
        taken += !single;
        order[n++] = order[i];
    }
    spar_status status = make(o, t, order, n, out);
    spar__free(order);
    return status;
}

static spar_status train(const spar_tokenizer_options *o, spar__unigram_trainer *t,
                         const spar_text_reader *reader, const spar_progress *progress,
                         spar__words *counted, spar__alphabet *alphabet, spar_tokenizer **base,
                         spar_tokenizer **out) {
    SPAR_TRY(make(o, t, NULL, 0, base)); /* no pieces yet: it normalises and splits */
    SPAR_TRY(spar__words_count(*base, reader, progress, counted));
    SPAR_TRY(spar__alphabet_of(counted, o->character_coverage, alphabet));
    int32_t others = spar_tokenizer_size(*base);
    if ((int64_t)o->vocab_size < others + (int64_t)alphabet->count)
        return spar__fail(SPAR_ERR_ARGUMENT, "vocabulary size %d, expected at least %lld: the text "
                          "has %zu characters (a lower --character-coverage leaves rare ones out)",
                          o->vocab_size, others + (long long)alphabet->count, alphabet->count);
    SPAR_TRY(take_words(t, counted, alphabet));
    spar__words_free(counted);
    SPAR_TRY(spar__unigram_seed(t, alphabet));
    size_t wanted = (size_t)(o->vocab_size - others);
    SPAR_TRY(spar__unigram_learn(t, wanted, progress));
    return finish(o, t, wanted, out);
}

static spar_status train_unigram(const spar_tokenizer_options *o, const spar_text_reader *reader,
                                 const spar_progress *progress, spar_tokenizer **out) {
    spar__unigram_trainer t = {0};
    spar__words counted = {0};
    spar__alphabet alphabet = {0};
    spar_tokenizer *base = NULL;
    spar_status status = train(o, &t, reader, progress, &counted, &alphabet, &base, out);
    spar_tokenizer_free(base);
    spar__words_free(&counted);
    spar__alphabet_free(&alphabet);
    spar__free(t.text);
    spar__free(t.words);
    spar__free(t.pieces);
    spar__free(t.score);
    spar__free(t.probability);
    spar__free(t.expected);
    spar__trie_free(&t.trie);
    return status;
}

const spar__trainer_kind spar__trainer_unigram = {"unigram", train_unigram};
