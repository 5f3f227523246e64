/* Do sparse layers choose the same neurons when the weights are quantised?
 *     build/release/bench/choices MODEL OTHER TOKENS      token ids, separated by commas; prints JSON
 * Both models read the tokens as a session does; the share of equal choices is over tokens, layers and blocks. */
#include "side.h"

#include <string.h>

#include "model/inside.h"
#include "op/cache.h"

enum { MOST_TOKENS = 4096, UNCHOSEN = -1 };

typedef struct chosen {
    int layers;
    size_t each; /* entries of a layer: at least rows × blocks, UNCHOSEN beyond */
    int32_t **choices;
} chosen;

static size_t widest(const spar_model *m) {
    int64_t rows = 1;
    for (int i = 0; i < m->params.n_params; i++)
        if (m->params.params[i]->value.rows > rows) rows = m->params.params[i]->value.rows;
    return (size_t)rows;
}

static spar_status choose(const char *path, const int32_t *tokens, int n, chosen *out) {
    spar_model *m;
    spar__cache *cache = NULL;
    SPAR_TRY(spar_model_open(path, &m));
    out->layers = (int)spar__model_last(m)->shape.n_layers;
    out->each = widest(m) * (size_t)n;
    out->choices = spar__array((size_t)out->layers, sizeof *out->choices);
    spar_status status = out->choices ? SPAR_OK : SPAR_ERR_MEMORY;
    for (int i = 0; i < out->layers && !status; i++) {
        out->choices[i] = spar__array(out->each, sizeof **out->choices);
        if (!out->choices[i]) status = SPAR_ERR_MEMORY;
        else memset(out->choices[i], UNCHOSEN, out->each * sizeof **out->choices);
    }
    int32_t positions[MOST_TOKENS];
    for (int i = 0; i < n; i++) positions[i] = i;
    spar__sequence sequence = {.count = n};
    spar__rows rows = {n, 1, &sequence, positions, NULL};
    spar__draws draws = {.n = out->layers, .choices = out->choices};
    spar__pass pass = {.arena = spar__arena_create(0), .rows = &rows, .draws = &draws, .layer = -1};
    if (!status && !pass.arena) status = SPAR_ERR_MEMORY;
    if (!status) status = spar__model_cache_create(m, 1, n, n, SPAR__F32, &cache);
    pass.cache = cache;
    if (!status) {
        spar__model_hidden(&pass, m, tokens);
        status = pass.status;
    }
    spar__cache_free(cache);
    spar__arena_free(pass.arena);
    spar_model_free(m);
    return status;
}

static int read_tokens(const char *text, int32_t *tokens) {
    int n = 0;
    for (char *end; *text && n < MOST_TOKENS; text = *end ? end + 1 : end) {
        tokens[n++] = (int32_t)strtol(text, &end, 10);
        if (end == text) return 0;
    }
    return n;
}

int main(int argc, char **argv) {
    static int32_t tokens[MOST_TOKENS];
    chosen a = {0}, b = {0};
    int n = argc == 4 ? read_tokens(argv[3], tokens) : 0;
    if (n < 1) return fprintf(stderr, "choices: expected MODEL OTHER TOKENS\n"), 2;
    if (choose(argv[1], tokens, n, &a) || choose(argv[2], tokens, n, &b)) return side_failed("choices");
    if (a.layers != b.layers || a.each != b.each) return fprintf(stderr, "choices: models of different shapes\n"), 1;
    double equal = 0, all = 0;
    for (int l = 0; l < a.layers; l++)
        for (size_t i = 0; i < a.each; i++) {
            if (a.choices[l][i] == UNCHOSEN) continue;
            all++;
            equal += a.choices[l][i] == b.choices[l][i];
        }
    printf("{\"choices\": %.0f, \"equal\": %.6f}\n", all, all > 0 ? equal / all : 1.0);
    return 0;
}
