/* spar generate --jsonl: many prompts, continued together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate.h"

typedef struct many {
    const spar_tokenizer *tokenizer;
    spar_prompt *prompts;
    int32_t **ids;
    json_t **results; /* that wait for those before them */
    size_t n, told;
    bool failed;
} many;

static int add_prompt(many *m, const char *path, size_t line, const char *text, size_t length) {
    json_error_t error;
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY, &error);
    spar_prompt *prompts = realloc(m->prompts, (m->n + 1) * sizeof *prompts);
    if (prompts) m->prompts = prompts;
    int32_t **ids = realloc(m->ids, (m->n + 1) * sizeof *ids);
    if (ids) m->ids = ids;
    if (!prompts || !ids) return cli_fail("out of memory: prompts");
    if (!json_is_string(value)) {
        json_decref(value);
        return cli_fail("%s: line %zu: expected a JSON string", path, line);
    }
    spar_status status = spar_tokenizer_encode(m->tokenizer, json_string_value(value), json_string_length(value),
                                               SPAR_TOKENIZE_SPECIAL, &m->ids[m->n], &m->prompts[m->n].count);
    json_decref(value);
    if (status) return cli_report(status);
    m->prompts[m->n].tokens = m->ids[m->n];
    if (!m->prompts[m->n++].count) return cli_fail("%s: line %zu: the prompt has no tokens", path, line);
    return CLI_OK;
}

static int read_prompts(many *m, const char *path) {
    char *text;
    size_t length, line = 0;
    if (cli_read(path, &text, &length)) return cli_report(SPAR_ERR_IO);
    int code = CLI_OK;
    for (char *at = text, *end = text + length; !code && at < end;) {
        char *next = memchr(at, '\n', (size_t)(end - at));
        size_t n = next ? (size_t)(next - at) : (size_t)(end - at);
        line++;
        if (strspn(at, " \t\r") < n) code = add_prompt(m, path, line, at, n);
        at += n + 1;
    }
    spar_free(text);
    return code;
}

/* Results are told in the order of the prompts. */
static int on_done(void *context, size_t prompt, const spar_generation *g) {
    many *m = context;
    json_t *tokens = json_array();
    char *text = NULL;
    size_t length = 0;
    for (size_t i = 0; i < g->n_tokens; i++) json_array_append_new(tokens, json_integer(g->tokens[i]));
    if (spar_tokenizer_decode(m->tokenizer, g->tokens, g->n_tokens, &text, &length)) text = NULL;
    json_t *string = json_stringn(text ? text : "", text ? length : 0);
    spar_free(text);
    m->results[prompt] = json_pack("{s:o, s:o, s:s, s:I}", "tokens", tokens, "text", string ? string : json_string(""),
                                   "finish", g->finish, "prompt_tokens", (json_int_t)g->prompt_tokens);
    for (; m->told < m->n && m->results[m->told]; m->told++) {
        json_t *result = m->results[m->told];
        m->results[m->told] = NULL;
        if (cli_print_json(result)) m->failed = true;
    }
    return m->failed || cli_interrupted();
}

int generate_many(const generate_job *job, const spar_model *model) {
    many m = {.tokenizer = spar_model_tokenizer(model)};
    if (!m.tokenizer) return cli_fail("%s: the model has no tokenizer, which --jsonl needs", job->model);
    int code = read_prompts(&m, job->jsonl);
    m.results = calloc(m.n + 1, sizeof *m.results);
    if (!code && !m.results) code = cli_fail("out of memory: results");
    if (!code && m.n) {
        spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
        spar_together_options o = SPAR_TOGETHER_OPTIONS_INIT;
        size_t reused = 0;
        so.context = job->context;
        so.chunk = 64; /* what prompts share is read once, in pieces of so many tokens */
        if (job->cache_type) so.cache_type = job->cache_type;
        o.sampler = job->sampler;
        o.max_tokens = job->max_tokens;
        o.ignore_eos = job->ignore_eos;
        o.on_done = on_done;
        o.context = &m;
        int together = m.n < (size_t)job->batch ? (int)m.n : (int)job->batch;
        spar_status status = spar_generate_together(model, &so, together, m.prompts, m.n, &o, &reused);
        if (status) code = m.failed ? CLI_FAILED : cli_report(status);
        else if (!cli.quiet && reused) fprintf(stderr, "%zu tokens that prompts share were not read again\n", reused);
    }
    for (size_t i = 0; i < m.n; i++) {
        spar_free(m.ids[i]);
        if (m.results) json_decref(m.results[i]);
    }
    free(m.ids);
    free(m.prompts);
    free(m.results);
    return code;
}
