/* WordPiece in GGUF (tokenizer.ggml.model "bert") spells pieces the other way about: U+2581 before
 * those that begin a word, nothing before those that go on; [SPECIAL] ones as they are. */
#include "token/gguf_bert.h"

#include <string.h>

#include "token/tokenizer.h"
#include "token/wordpiece.h"

#define KEY(name) "tokenizer.ggml." name
#define BEGINS    "\xE2\x96\x81"
enum { MAX_TOKENS = INT32_MAX / 8, NORMAL = 1, CONTROL = 3, UNUSED = 5 };

static bool bracketed(const char *bytes, size_t length) {
    return length > 1 && bytes[0] == '[' && bytes[length - 1] == ']';
}

static spar_status read_token(const spar__gguf_string *token, json_int_t id, spar__buffer *room,
                              json_t *vocab) {
    const char *bytes = token->bytes;
    size_t length = token->length;
    room->length = 0;
    if (length >= 3 && !memcmp(bytes, BEGINS, 3)) bytes += 3, length -= 3;
    else if (!bracketed(bytes, length)) SPAR_TRY(spar__buffer_add(room, "##", 2));
    SPAR_TRY(spar__buffer_add(room, bytes, length));
    json_t *text = json_stringn(room->bytes, room->length);
    const char *name = json_string_value(text);
    bool good = name && strlen(name) == room->length;
    if (good && !json_object_get(vocab, name))
        good = !json_object_set_new(vocab, name, json_integer(id));
    json_decref(text);
    return good ? SPAR_OK
                : spar__fail(SPAR_ERR_FORMAT, "key '" KEY("tokens") "': token %lld is no text",
                             (long long)id);
}

spar_status spar__wordpiece_from_gguf(const spar__gguf *gguf, spar_tokenizer **out) {
    spar__gguf_value tokens;
    spar__gguf_string token;
    SPAR_TRY(spar__gguf_texts(gguf, KEY("tokens"), 1, MAX_TOKENS, &tokens));
    json_t *vocab = json_object(), *root;
    spar__buffer room = spar__buffer_make(SIZE_MAX);
    spar_status status =
        vocab ? SPAR_OK : spar__fail(SPAR_ERR_MEMORY, "out of memory: vocabulary");
    for (json_int_t id = 0; !status && spar__gguf_next_text(&tokens, &token); id++)
        status = read_token(&token, id, &room, vocab);
    spar__buffer_free(&room);
    if (status) {
        json_decref(vocab);
        return spar__fail_within(status, "%s", spar__gguf_path(gguf));
    }
    SPAR_TRY(spar__wordpiece_json(vocab, spar__wordpiece_is_lower(vocab), &root));
    status = spar__tokenizer_from_json(spar__gguf_path(gguf), root, NULL, 0, out);
    json_decref(root);
    return status;
}

spar_status spar__wordpiece_to_gguf(const spar_tokenizer *t, spar__gguf_writer *w) {
    size_t n = (size_t)t->vocab.size;
    spar__gguf_string *texts = spar__array(n, sizeof *texts);
    int32_t *types = spar__array(n, sizeof *types);
    /* Each spelling is at most three bytes longer than the piece. */
    char *room = spar__alloc(t->vocab.pool_length + 4 * n + 1), *to = room;
    spar_status status = texts && types && room ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < n; i++) {
        const char *bytes = spar__vocab_bytes(&t->vocab, (int32_t)i);
        size_t length = t->vocab.length[i];
        bool goes_on = length > 2 && !memcmp(bytes, "##", 2);
        texts[i].bytes = to;
        if (!goes_on && !bracketed(bytes, length)) memcpy(to, BEGINS, 3), to += 3;
        memcpy(to, bytes + (goes_on ? 2 : 0), length - (goes_on ? 2 : 0));
        to += length - (goes_on ? 2 : 0);
        texts[i].length = (size_t)(to - texts[i].bytes);
        uint8_t flags = t->vocab.flags[i];
        types[i] = flags & SPAR__PIECE_SPECIAL ? CONTROL : flags ? NORMAL : UNUSED;
    }
    if (!status) status = spar__gguf_add_text(w, KEY("model"), "bert", 4);
    if (!status) status = spar__gguf_add_text(w, KEY("pre"), "default", 7);
    if (!status) status = spar__gguf_add_texts(w, KEY("tokens"), texts, n);
    if (!status)
        status = spar__gguf_add_numbers(w, KEY("token_type"), SPAR__GGUF_INT32, types, n);
    spar__free(texts);
    spar__free(types);
    spar__free(room);
    return status;
}
