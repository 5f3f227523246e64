/* Sequences that are fed together have the bits that each has alone: every kind, every class of types, batches that
 * come and go, tokens one by one beside prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spar/machine.h"
#include "spar/session.h"
#include "../support/decoders.h"

enum { SLOTS = 18, ROUNDS = 3 };
static const char *const types[] = {"f32", "q8_0", "bf16", "q4_0"};
enum { N_TYPES = sizeof types / sizeof *types };

static int32_t token_of(int slot, int64_t position) {
    /* Several slots say the same for a while: what they choose is shared. */
    int64_t voice = position % 3 ? slot : slot / 4;
    return (int32_t)((voice * 17 + position * position * 5 + position) % DECODER_VOCABULARY);
}

/* How many tokens a slot is fed in a round: mostly one, sometimes a piece of a prompt, sometimes none. */
static size_t count_of(int slot, int round) {
    if (round == 0) return (size_t)(1 + slot % 7);
    if ((slot + round) % 11 == 0) return 6;
    return (slot * 5 + round) % 9 == 0 ? 0 : 1;
}

static void check(int kind, const char *type) {
    spar_model *m = decoder_make(kind, type, 3);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 8;
    spar_batch *batch;
    spar_session *alone[SLOTS];
    int32_t tokens[SLOTS][8];
    if (spar_batch_create(m, &o, SLOTS, &batch)) fail_msg("%s: %s", decoder_text(kind), spar_error());
    for (int s = 0; s < SLOTS; s++) assert_int_equal(spar_session_create(m, &o, &alone[s]), SPAR_OK);
    for (int round = 0; round < ROUNDS; round++) {
        spar_batch_item items[SLOTS];
        size_t n = 0;
        for (int s = 0; s < SLOTS; s++) {
            size_t count = count_of(s, round);
            for (size_t i = 0; i < count; i++) tokens[s][i] = token_of(s, spar_batch_length(batch, s) + (int64_t)i);
            if (count) items[n++] = (spar_batch_item){s, tokens[s], count, NULL};
        }
        if (spar_batch_feed(batch, items, n)) fail_msg("%s in %s: %s", decoder_text(kind), type, spar_error());
        for (size_t i = 0; i < n; i++) {
            const float *want;
            assert_int_equal(spar_session_feed(alone[items[i].slot], items[i].tokens, items[i].count, &want), SPAR_OK);
            if (memcmp(items[i].logits, want, DECODER_VOCABULARY * sizeof *want) != 0)
                fail_msg("%s in %s: slot %d of %zu differs from alone in round %d", decoder_text(kind), type,
                         items[i].slot, n, round);
        }
    }
    for (int s = 0; s < SLOTS; s++) spar_session_free(alone[s]);
    spar_batch_free(batch);
    spar_model_free(m);
}

/* What several prompts begin with is read once. */
static void check_copy(int kind, const char *type) {
    spar_model *m = decoder_make(kind, type, 3);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 20;
    spar_batch *batch;
    spar_session *alone;
    int32_t tokens[40];
    const float *want;
    for (int i = 0; i < 40; i++) tokens[i] = token_of(1, i);
    assert_int_equal(spar_batch_create(m, &o, 3, &batch), SPAR_OK);
    spar_batch_item prompt = {0, tokens, 20, NULL};
    assert_int_equal(spar_batch_feed(batch, &prompt, 1), SPAR_OK);
    for (int s = 1; s < 3; s++)
        if (spar_batch_copy(batch, 0, s, 20)) fail_msg("%s: %s", decoder_text(kind), spar_error());
    assert_int_equal(spar_batch_copy(batch, 0, 0, 20), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_batch_copy(batch, 0, 9, 20), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_batch_copy(batch, 0, 1, 21), SPAR_ERR_LIMIT);
    spar_batch_item items[3] = {{0, tokens + 20, 3, NULL}, {1, tokens + 23, 5, NULL}, {2, tokens + 28, 1, NULL}};
    assert_int_equal(spar_batch_feed(batch, items, 3), SPAR_OK);
    for (int s = 0; s < 3; s++) {
        assert_int_equal(spar_session_create(m, &o, &alone), SPAR_OK);
        assert_int_equal(spar_session_feed(alone, tokens, 20, NULL), SPAR_OK);
        assert_int_equal(spar_session_feed(alone, items[s].tokens, items[s].count, &want), SPAR_OK);
        if (memcmp(items[s].logits, want, DECODER_VOCABULARY * sizeof *want) != 0)
            fail_msg("%s in %s: slot %d differs from one that read all", decoder_text(kind), type, s);
        spar_session_free(alone);
    }
    spar_batch_free(batch);
    spar_model_free(m);
}

static void copied(void **state) {
    (void)state;
    for (int k = 0; k < decoders_count(); k++) check_copy(k, types[k % N_TYPES]);
}

static void together(void **state) {
    (void)state;
    for (int k = 0; k < decoders_count(); k++)
        for (int t = 0; t < N_TYPES; t++)
            if (t < 2 || (k + t) % 2) check(k, types[t]); /* the last two in turn */
}

int main(void) {
    spar_threads_set(1); /* the models are too small for more */
    const struct CMUnitTest tests[] = {cmocka_unit_test(together), cmocka_unit_test(copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
