/* A model file that lies: every truncation of a small model is an error, and every flip of a bit in
 * its header an error or a model that runs. Meant to run with sanitizers too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/gguf.h"
#include "spar/model.h"

static const char config[] =
    "{\"model\": {\"architecture\": \"decoder\", \"vocab_size\": 7, \"context\": 8, \"d_model\": 8,"
    " \"n_layers\": 1, \"position\": \"rotary\", \"attention\": {\"n_heads\": 2, \"pattern\":"
    " {\"kind\": \"band\", \"width\": 3}}, \"feedforward\": {\"kind\": \"gated\", \"d_ff\": 8}}}";

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

/* Bytes of the small model, and how many of them lie before its numbers. */
static char *make(size_t *length, size_t *header) {
    spar_config *c;
    spar_model *m;
    spar__gguf *g;
    char *bytes;
    const char *path = scratch("small.gguf");
    ok(spar_config_parse(config, strlen(config), &c));
    ok(spar_model_create(c, 1, &m));
    ok(spar_model_save(m, NULL, "f32", path));
    spar_model_free(m);
    spar_config_free(c);
    ok(spar__read_file(path, 1 << 20, &bytes, length));
    ok(spar__gguf_open(path, &g));
    size_t data = 0;
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++) data += spar__gguf_tensor_at(g, i)->bytes;
    spar__gguf_free(g);
    *header = *length - data;
    return bytes;
}

/* Opens the file and, where that works, runs the model. */
static bool runs(const char *path) {
    spar_model *m;
    if (spar_model_open(path, &m)) {
        assert_true(strlen(spar_error()) > 0);
        return false;
    }
    const int32_t tokens[] = {1, 2, 0};
    float *logits = calloc(3 * (size_t)spar_model_vocab_size(m), sizeof *logits);
    assert_non_null(logits);
    if (spar_model_logits(m, tokens, 3, logits)) assert_true(strlen(spar_error()) > 0);
    free(logits);
    spar_model_free(m);
    return true;
}

static void truncations(void **state) {
    (void)state;
    size_t length, header;
    char *bytes = make(&length, &header);
    assert_true(runs(scratch_file("whole.gguf", bytes, length)));
    for (size_t n = 0; n < length; n++)
        if (runs(scratch_file("cut.gguf", bytes, n))) fail_msg("%zu of %zu bytes were taken", n, length);
    spar__free(bytes);
}

static void flipped_bits(void **state) {
    (void)state;
    size_t length, header, taken = 0;
    char *bytes = make(&length, &header);
    for (size_t bit = 0; bit < 8 * header; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        taken += runs(scratch_file("flipped.gguf", bytes, length));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_in_range(taken, 1, 8 * header / 2); /* most of them are found */
    spar__free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(truncations), cmocka_unit_test(flipped_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
