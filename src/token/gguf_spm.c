/* SentencePiece models in GGUF: tokenizer.ggml.model "llama" (byte-pair encoding) and "t5"
 * (unigram). */
#include <string.h>

#include "token/gguf.h"
#include "token/gguf_spm.h"
#include "token/spm.h"

#define KEY(name) "tokenizer.ggml." name
enum { MAX_TOKENS = INT32_MAX / 8 };

static spar_status read_pieces(const spar__gguf *gguf, spar__spm *s) {
    spar__gguf_value tokens, scores, types = {0};
    spar__gguf_string token;
    SPAR_TRY(spar__gguf_texts(gguf, KEY("tokens"), 1, MAX_TOKENS, &tokens));
    size_t n = tokens.count;
    SPAR_TRY(spar__gguf_numbers(gguf, KEY("scores"), n, n, &scores));
    if (spar__gguf_find(gguf, KEY("token_type"), NULL))
        SPAR_TRY(spar__gguf_numbers(gguf, KEY("token_type"), n, n, &types));
    s->pieces = spar__array(n, sizeof *s->pieces);
    if (!s->pieces) return SPAR_ERR_MEMORY;
    s->count = (int32_t)n;
    for (size_t i = 0; spar__gguf_next_text(&tokens, &token); i++) {
        int64_t type = types.count ? spar__gguf_integer_at(&types, i) : SPAR__SPM_NORMAL;
        if (type < SPAR__SPM_NORMAL || type > SPAR__SPM_BYTE)
            return spar__fail(SPAR_ERR_FORMAT, "%s: key '" KEY("token_type") "': token %zu has type "
                              "%lld, expected 1 to 6", spar__gguf_path(gguf), i, (long long)type);
        s->pieces[i] = (spar__spm_piece){token.bytes, token.length,
                                         (float)spar__gguf_real_at(&scores, i), (uint8_t)type};
        if (type == SPAR__SPM_BYTE) s->byte_fallback = true;
    }
    return SPAR_OK;
}

/* The map is an array of bytes: the size of its trie, the trie, the strings. */
static spar_status read_map(const spar__gguf *gguf, spar__spm *s) {
    spar__gguf_value map;
    uint32_t size;
    if (!spar__gguf_find(gguf, KEY("precompiled_charsmap"), NULL)) return SPAR_OK;
    SPAR_TRY(spar__gguf_numbers(gguf, KEY("precompiled_charsmap"), 0, SIZE_MAX, &map));
    if (map.length < 4 || map.length != map.count) return SPAR_OK;
    memcpy(&size, map.bytes, 4);
    if (size % 4 || size > map.length - 4)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '" KEY("precompiled_charsmap") "': trie of %u "
                          "bytes, at most %zu fit", spar__gguf_path(gguf), size, map.length - 4);
    s->map = map.bytes + 4;
    s->map_units = size / 4;
    s->map_strings_length = map.length - 4 - size;
    return SPAR_OK;
}

static spar_status read_id(const spar__gguf *gguf, const char *key, int32_t otherwise,
                           int32_t count, int32_t *out) {
    int64_t id;
    SPAR_TRY(spar__gguf_integer_or(gguf, key, -1, count - 1, otherwise, &id));
    *out = (int32_t)id;
    return SPAR_OK;
}

static spar_status read_settings(const spar__gguf *gguf, spar__spm *s, bool *add_bos,
                                 bool *add_eos) {
    bool bpe = s->algorithm == SPAR__SPM_BPE;
    SPAR_TRY(read_id(gguf, KEY("unknown_token_id"), bpe ? 0 : 2, s->count, &s->unk));
    SPAR_TRY(read_id(gguf, KEY("bos_token_id"), bpe ? 1 : -1, s->count, &s->bos));
    SPAR_TRY(read_id(gguf, KEY("eos_token_id"), bpe ? 2 : 1, s->count, &s->eos));
    SPAR_TRY(read_id(gguf, KEY("padding_token_id"), bpe ? -1 : 0, s->count, &s->pad));
    SPAR_TRY(spar__gguf_bool_or(gguf, KEY("add_bos_token"), bpe, add_bos));
    SPAR_TRY(spar__gguf_bool_or(gguf, KEY("add_eos_token"), !bpe, add_eos));
    SPAR_TRY(spar__gguf_bool_or(gguf, KEY("add_space_prefix"), true, &s->dummy_prefix));
    SPAR_TRY(spar__gguf_bool_or(gguf, KEY("remove_extra_whitespaces"), false, &s->remove_extra));
    SPAR_TRY(spar__gguf_bool_or(gguf, KEY("escape_whitespaces"), true, &s->escape));
    return spar__gguf_bool_or(gguf, KEY("treat_whitespace_as_suffix"), false, &s->suffix);
}

spar_status spar__spm_from_gguf(const spar__gguf *gguf, bool bpe, spar_tokenizer **out) {
    spar__spm s = {.algorithm = bpe ? SPAR__SPM_BPE : SPAR__SPM_UNIGRAM};
    spar__buffer file = spar__buffer_make(SIZE_MAX);
    bool add_bos, add_eos;
    spar_status status = read_pieces(gguf, &s);
    if (!status) status = read_map(gguf, &s);
    if (!status) status = read_settings(gguf, &s, &add_bos, &add_eos);
    if (!status) status = spar__spm_write(&s, &file);
    if (!status)
        status = spar__tokenizer_from_spm(spar__gguf_path(gguf), file.bytes, file.length, add_bos,
                                          add_eos, out);
    spar__buffer_free(&file);
    spar__spm_free(&s);
    return status;
}

spar_status spar__spm_to_gguf(const spar_tokenizer *t, spar__gguf_writer *w) {
    const spar__spm *s = t->model_state;
    size_t n = (size_t)s->count;
    bool bpe = s->algorithm == SPAR__SPM_BPE;
    spar__gguf_string *texts = spar__array(n, sizeof *texts);
    float *scores = spar__array(n, sizeof *scores);
    int32_t *types = spar__array(n, sizeof *types);
    spar_status status = texts && scores && types ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < n; i++) {
        texts[i] = (spar__gguf_string){s->pieces[i].bytes, s->pieces[i].length};
        scores[i] = s->pieces[i].score;
        types[i] = s->pieces[i].type;
    }
    if (!status) status = spar__gguf_add_text(w, KEY("model"), bpe ? "llama" : "t5", bpe ? 5 : 2);
    if (!status) status = spar__gguf_add_texts(w, KEY("tokens"), texts, n);
    if (!status)
        status = spar__gguf_add_numbers(w, KEY("scores"), SPAR__GGUF_FLOAT32, scores, n);
    if (!status)
        status = spar__gguf_add_numbers(w, KEY("token_type"), SPAR__GGUF_INT32, types, n);
    if (!status) status = spar__gguf_add_bool(w, KEY("add_space_prefix"), s->dummy_prefix);
    if (!status) status = spar__gguf_add_bool(w, KEY("remove_extra_whitespaces"), s->remove_extra);
    if (!status) status = spar__gguf_add_bool(w, KEY("escape_whitespaces"), s->escape);
    if (!status) status = spar__gguf_add_bool(w, KEY("treat_whitespace_as_suffix"), s->suffix);
    if (!status && s->map)
        status = spar__gguf_add_numbers(w, KEY("precompiled_charsmap"), SPAR__GGUF_UINT8,
                                        s->map - 4, 4 + s->map_units * 4 + s->map_strings_length);
    spar__free(texts);
    spar__free(scores);
    spar__free(types);
    return status;
}
