#include "decoders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "head/head.h"

/* What the tables' defaults do not show. */
static const char *const others[] = {
    "\"attention\": {\"n_heads\": 2, \"n_kv_heads\": 1, \"pattern\": [\"causal\", {\"kind\": \"band\", \"width\": 5}]}, "
    "\"position\": \"rotary\", \"norm\": {\"kind\": \"rms\"}, \"feedforward\": {\"kind\": \"gated\", \"d_ff\": 96}",
    "\"attention\": {\"n_heads\": 2, \"pattern\": [[\"band:3\", {\"kind\": \"strided\", \"stride\": 4}], "
    "{\"kind\": \"fixed\", \"block\": 4, \"summary\": 2}]}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 2, \"d_ff\": 128}, \"head\": {\"kind\": \"sparse\", \"modules\": 2}, "
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4}, \"attention\": {\"n_heads\": 2}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 4, \"d_ff\": 256, \"shared\": 32}, \"attention\": {\"n_heads\": 2}",
    "\"feedforward\": {\"kind\": \"experts\", \"n_experts\": 4, \"top_k\": 2, \"expert\": {\"kind\": \"sparse\", "
    "\"block\": 4, \"d_ff\": 128}}, \"attention\": {\"n_heads\": 2}",
    "\"recurrent\": {\"width\": 8, \"layers\": 2}, \"attention\": {\"n_heads\": 2}",
    NULL};

static void put_kind(char *out, size_t size, const char *key, const spar__kind *kind) {
    int n = snprintf(out, size, "\"%s\": {\"kind\": \"%s\"", key, kind->name);
    for (const spar_option *o = kind->options; o && o->key; o++)
        if (isnan(o->fallback)) n += snprintf(out + n, size - (size_t)n, ", \"%s\": %g", o->key, o->least + 7);
    snprintf(out + n, size - (size_t)n, "}");
}

/* The n-th of all kinds, as members of a "model" section; false beyond the last. */
static bool nth(int n, char *out, size_t size) {
    char kind[512];
    const spar__kind *k;
    const spar_pattern_kind *pattern;
    for (int i = 0; others[i]; i++)
        if (n-- == 0) return snprintf(out, size, "%s", others[i]) > 0;
    for (int i = 0; (pattern = spar_pattern_at(i)); i++) {
        if (n-- != 0) continue;
        k = (const spar__kind *)pattern;
        put_kind(kind, sizeof kind, "pattern", k);
        bool content = pattern->content != NULL;
        return snprintf(out, size, "%s\"attention\": {\"n_heads\": 2, %s}", content ? "\"projection\": \"shared-qk\", " : "",
                        kind) > 0;
    }
    static const struct {
        const char *key;
        const spar__kind *(*at)(int index);
    } rooms[] = {{"feedforward", spar__feedforward_at}, {"projection", spar__projection_at},
                 {"position", spar__position_at}, {"head", spar__head_at}};
    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++)
        for (int i = 0; (k = rooms[r].at(i)); i++) {
            bool decodes = rooms[r].at != spar__head_at || !strcmp(k->name, "tied") || !strcmp(k->name, "separate") ||
                           !strcmp(k->name, "sparse");
            if (!decodes || n-- != 0) continue;
            put_kind(kind, sizeof kind, rooms[r].key, k);
            return snprintf(out, size, "\"attention\": {\"n_heads\": 2}, %s", kind) > 0;
        }
    for (int i = 0; spar__residual_at(i); i++) {
        if (n-- != 0) continue;
        const spar__residual_kind *residual = spar__residual_at(i);
        return snprintf(out, size, "\"attention\": {\"n_heads\": 2}, %s\"residual\": \"%s\"",
                        residual->joined ? "\"head\": \"separate\", " : "", residual->name) > 0;
    }
    return false;
}

int decoders_count(void) {
    char text[1024];
    int n = 0;
    while (nth(n, text, sizeof text)) n++;
    return n;
}

const char *decoder_text(int index) {
    static char text[2048];
    char members[1024];
    nth(index, members, sizeof members);
    snprintf(text, sizeof text, "{\"model\": {\"vocab_size\": %d, \"context\": %d, \"d_model\": 64, \"n_layers\": 2, "
                                "\"init_std\": 0.3, %s}}", DECODER_VOCABULARY, DECODER_CONTEXT, members);
    return text;
}

spar_model *decoder_make(int index, const char *type, unsigned seed) {
    const char *text = decoder_text(index);
    spar_config *config;
    spar_model *model;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create_as(config, type, seed, &model)) {
        fprintf(stderr, "%s in %s: %s\n", text, type, spar_error());
        exit(1);
    }
    spar_config_free(config);
    return model;
}
