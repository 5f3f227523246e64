/* Learning WordPiece as Hugging Face's trainer does: merges as in byte-pair encoding, on characters
 * of which those that go on within a word are written with ##; what is kept is the vocabulary. */
#include <string.h>

#include "base/text.h"
#include "token/alphabet.h"
#include "token/train_pairs.h"
#include "token/wordpiece.h"
#include "token/words.h"

static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { N_SPECIAL = sizeof special / sizeof *special };
#define PREFIX "##"

/* Ids of a character: as the beginning of a word and within one, −1 until seen there. */
typedef struct symbols {
    spar__alphabet alphabet;
    int32_t (*ids)[2];
} symbols;

static spar_status add_piece(spar__pairs *t, const char *bytes, size_t length) {
    if (t->vocab.size >= t->vocab.limit)
        return spar__fail(SPAR_ERR_ARGUMENT, "vocabulary size %d: the characters of the text alone "
                          "need more; give a lower --character-coverage", t->options->vocab_size);
    SPAR_TRY(spar__vocab_reserve(&t->vocab, length + 1));
    return spar__vocab_add(&t->vocab, t->vocab.size, bytes, length);
}

static spar_status begin_vocab(spar__pairs *t, symbols *s) {
    const spar_tokenizer_options *o = t->options;
    SPAR_TRY(spar__vocab_create(&t->vocab, (size_t)o->vocab_size, 1024));
    for (int i = 0; i < N_SPECIAL; i++)
        SPAR_TRY(add_piece(t, special[i], strlen(special[i])));
    bool standard = o->special == spar_tokenizer_default_special;
    for (int i = 0; !standard && i < o->n_special; i++)
        if (spar__vocab_find(&t->vocab, o->special[i], strlen(o->special[i])) < 0)
            SPAR_TRY(add_piece(t, o->special[i], strlen(o->special[i])));
    s->ids = spar__array(s->alphabet.count + 1, sizeof *s->ids);
    if (!s->ids) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < s->alphabet.count; i++) {
        char text[4];
        s->ids[i][0] = t->vocab.size;
        s->ids[i][1] = -1;
        SPAR_TRY(add_piece(t, text, (size_t)spar__utf8_encode(s->alphabet.codes[i], text)));
    }
    return SPAR_OK;
}

/* The symbols of a word; none when it has a character that was left out. */
static spar_status word_symbols(spar__pairs *t, symbols *s, const char *bytes, size_t length,
                                int32_t *out, uint32_t *count) {
    uint32_t n = 0;
    for (size_t at = 0; at < length; n++) {
        uint32_t code = 0;
        int width = spar__utf8_decode((const unsigned char *)bytes + at, length - at, &code);
        int64_t index = spar__alphabet_find(&s->alphabet, code);
        if (!width || index < 0) return *count = 0, SPAR_OK;
        int32_t *id = &s->ids[index][n > 0];
        if (*id < 0) {
            char text[8] = PREFIX;
            *id = t->vocab.size;
            SPAR_TRY(add_piece(t, text, 2 + (size_t)spar__utf8_encode(code, text + 2)));
        }
        out[n] = *id;
        at += (size_t)width;
    }
    *count = n;
    return SPAR_OK;
}

static spar_status begin_words(spar__pairs *t, symbols *s, const spar__words *counted) {
    t->words = spar__array(counted->count + 1, sizeof *t->words);
    t->symbols = spar__array(counted->pool.length + 1, sizeof *t->symbols);
    const spar__word **sorted = spar__words_sorted(counted);
    spar_status status = t->words && t->symbols && sorted ? SPAR_OK : SPAR_ERR_MEMORY;
    size_t used = 0;
    for (size_t i = 0; !status && i < counted->count; i++) {
        uint32_t n;
        status = word_symbols(t, s, counted->pool.bytes + sorted[i]->offset, sorted[i]->length,
                              t->symbols + used, &n);
        if (!status && n) status = spar__pairs_word(t, used, n, (int64_t)sorted[i]->count);
        used += n;
    }
    spar__free(sorted);
    return status;
}

static spar_status make(const spar__vocab *vocab, bool lower, spar_tokenizer **out) {
    json_t *pieces = json_object(), *root;
    if (!pieces) return spar__fail(SPAR_ERR_MEMORY, "out of memory: vocabulary");
    if (!vocab)
        for (int i = 0; i < N_SPECIAL; i++)
            json_object_set_new(pieces, special[i], json_integer(i));
    for (int32_t id = 0; vocab && id < vocab->size; id++)
        json_object_set_new(pieces, spar__vocab_bytes(vocab, id), json_integer(id));
    SPAR_TRY(spar__wordpiece_json(pieces, lower, &root));
    spar_status status = spar__tokenizer_from_json("trained tokenizer", root, NULL, 0, out);
    json_decref(root);
    return status;
}

static spar_status train_wordpiece(const spar_tokenizer_options *o, const spar_text_reader *reader,
                                   const spar_progress *progress, spar_tokenizer **out) {
    spar__pairs t = {.options = o, .prefix = PREFIX};
    spar__words counted = {0};
    symbols s = {0};
    spar_tokenizer *base = NULL;
    spar_status status;
    SPAR_TRY_GOTO(done, make(NULL, o->lowercase, &base));
    SPAR_TRY_GOTO(done, spar__words_count(base, reader, progress, &counted));
    SPAR_TRY_GOTO(done, spar__alphabet_of(&counted, o->character_coverage, &s.alphabet));
    SPAR_TRY_GOTO(done, begin_vocab(&t, &s));
    SPAR_TRY_GOTO(done, begin_words(&t, &s, &counted));
    spar__words_free(&counted);
    SPAR_TRY_GOTO(done, spar__pairs_learn(&t, progress));
    status = make(&t.vocab, o->lowercase, out);
done:
    spar__words_free(&counted);
    spar__alphabet_free(&s.alphabet);
    spar__free(s.ids);
    spar_tokenizer_free(base);
    spar__pairs_free(&t);
    return status;
}

const spar__trainer_kind spar__trainer_wordpiece = {"wordpiece", train_wordpiece};
