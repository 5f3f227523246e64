/* Learning byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019). */
#include <string.h>

#include "token/spell.h"
#include "token/train_pairs.h"
#include "token/words.h"

static spar_status begin_vocab(spar__pairs *t) {
    const spar_tokenizer_options *o = t->options;
    size_t bytes = 512;
    for (int i = 0; i < o->n_special; i++) bytes += strlen(o->special[i]) + 1;
    if (o->vocab_size < 256 + o->n_special)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "vocabulary size %d, expected at least %d: 256 bytes and %d special "
                          "tokens", o->vocab_size, 256 + o->n_special, o->n_special);
    SPAR_TRY(spar__vocab_create(&t->vocab, (size_t)o->vocab_size, bytes));
    for (int i = 0; i < o->n_special; i++)
        SPAR_TRY(spar__vocab_add(&t->vocab, i, o->special[i], strlen(o->special[i])));
    /* In the order of the characters that spell them, as GPT-2 has them. */
    uint8_t byte_of[0x144] = {0};
    for (int byte = 0; byte < 256; byte++) byte_of[spar__spell_code((uint8_t)byte)] = (uint8_t)byte;
    for (uint32_t code = 0; code < 0x144; code++) {
        char byte = (char)byte_of[code];
        if (spar__spell_code((uint8_t)byte) == code)
            SPAR_TRY(spar__vocab_add(&t->vocab, t->vocab.size, &byte, 1));
    }
    return SPAR_OK;
}

static spar_status begin_words(spar__pairs *t, const spar__words *counted) {
    int32_t byte_id[256];
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        byte_id[i] = spar__vocab_find(&t->vocab, &byte, 1);
    }
    t->words = spar__array(counted->count, sizeof *t->words);
    t->symbols = spar__array(counted->pool.length, sizeof *t->symbols);
    if (!t->words || !t->symbols) return SPAR_ERR_MEMORY;
    if (counted->count > UINT32_MAX) return spar__fail(SPAR_ERR_LIMIT, "too many different words");
    for (size_t i = 0; i < counted->pool.length; i++)
        t->symbols[i] = byte_id[(uint8_t)counted->pool.bytes[i]];
    for (size_t i = 0; i < counted->n_slots; i++) {
        const spar__word *w = &counted->slots[i];
        if (!w->count) continue;
        SPAR_TRY(spar__pairs_word(t, w->offset, w->length, (int64_t)w->count));
    }
    return SPAR_OK;
}

/* ---- Result --------------------------------------------------------------------------------- */

/* A token as the file spells it, in a new JSON string. */
static json_t *spelled(const spar__pairs *t, int32_t id, char *room_for_text) {
    const char *bytes = spar__vocab_bytes(&t->vocab, id);
    if (id < t->options->n_special) return json_string(bytes);
    return json_stringn(room_for_text,
                        spar__spell_encode(bytes, t->vocab.length[id], room_for_text));
}

static spar_status result_json(const spar__pairs *t, json_t **out) {
    uint32_t longest = 0;
    for (int32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.length[id] > longest) longest = t->vocab.length[id];
    char *text = spar__array((size_t)longest + 1, 2);
    if (!text) return SPAR_ERR_MEMORY;
    json_t *vocab = json_object(), *merges = json_array();
    for (int32_t id = 0; id < t->vocab.size; id++) {
        json_t *name = spelled(t, id, text);
        json_object_set_new(vocab, json_string_value(name), json_integer(id));
        json_decref(name);
    }
    for (size_t i = 0; i < t->n_merges; i++) {
        json_t *left = spelled(t, (int32_t)(t->merges[i] >> 32), text);
        json_t *right = spelled(t, (int32_t)(uint32_t)t->merges[i], text);
        json_array_append_new(merges, json_pack("[o, o]", left, right));
    }
    spar__free(text);
    return spar__bpe_json(vocab, merges, t->options->splitter, t->options->special,
                          t->options->n_special, out);
}

static spar_status result(const spar__pairs *t, spar_tokenizer **out) {
    json_t *root;
    SPAR_TRY(result_json(t, &root));
    spar_status status = spar__tokenizer_from_json("trained tokenizer", root, NULL, 0, out);
    json_decref(root);
    return status;
}

static spar_status train_bpe(const spar_tokenizer_options *options, const spar_text_reader *reader,
                             const spar_progress *progress, spar_tokenizer **out) {
    spar__pairs t = {.options = options};
    spar__words counted = {0};
    spar_tokenizer *base = NULL;
    spar_status status;
    SPAR_TRY_GOTO(done, begin_vocab(&t));
    SPAR_TRY_GOTO(done, result(&t, &base)); /* no merges yet: it only splits */
    SPAR_TRY_GOTO(done, spar__words_count(base, reader, progress, &counted));
    SPAR_TRY_GOTO(done, begin_words(&t, &counted));
    spar__words_free(&counted);
    SPAR_TRY_GOTO(done, spar__pairs_learn(&t, progress));
    status = result(&t, out);
done:
    spar__words_free(&counted);
    spar_tokenizer_free(base);
    spar__pairs_free(&t);
    return status;
}

const spar__trainer_kind spar__trainer_bpe = {"bpe", train_bpe};
