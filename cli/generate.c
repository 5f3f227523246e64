/* spar generate: continue a text, token by token. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate.h"

typedef generate_job job;

static int show(void *context, const char *text, size_t length) {
    (void)context;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return cli_interrupted();
}

static int watch(void *context, const char *text, size_t length) {
    (void)context;
    (void)text;
    (void)length;
    return cli_interrupted();
}

static json_t *to_json(const spar_generation *g) {
    json_t *tokens = json_array();
    for (size_t i = 0; i < g->n_tokens; i++) json_array_append_new(tokens, json_integer(g->tokens[i]));
    double rate = g->decode_seconds > 0 ? (double)g->n_tokens / g->decode_seconds : 0;
    return json_pack("{s:o, s:s, s:s, s:I, s:I, s:f, s:f, s:I, s:I}", "tokens", tokens, "text", g->text, "finish",
                     g->finish, "prompt_tokens", (json_int_t)g->prompt_tokens, "reused_tokens", (json_int_t)g->reused,
                     "prompt_seconds", g->prompt_seconds, "decode_tokens_per_second", rate, "drafted",
                     (json_int_t)g->drafted, "accepted", (json_int_t)g->accepted);
}

static int finish(const spar_generation *g, bool text) {
    if (cli.json) return cli_print_json(to_json(g));
    if (!text)
        for (size_t i = 0; i < g->n_tokens; i++) printf(i ? ",%d" : "%d", g->tokens[i]);
    putchar('\n');
    if (!cli.quiet)
        fprintf(stderr, "%zu tokens in %.2f s (%.1f/s), prompt of %zu in %.2f s, end: %s\n", g->n_tokens,
                g->decode_seconds, g->decode_seconds > 0 ? (double)g->n_tokens / g->decode_seconds : 0,
                g->prompt_tokens - g->reused, g->prompt_seconds, g->finish);
    if (!cli.quiet && g->drafted)
        fprintf(stderr, "%llu of %llu drafts were right\n", (unsigned long long)g->accepted,
                (unsigned long long)g->drafted);
    return cli_interrupted() ? CLI_INTERRUPTED : CLI_OK;
}

/* What the encoder reads: ids, or a text. */
static int source_ids(const job *j, const spar_model *model, int32_t **ids, size_t *count) {
    const spar_tokenizer *t = spar_model_tokenizer(model);
    bool numbers = j->source[strspn(j->source, "0123456789, ")] == 0;
    *ids = NULL;
    *count = 0;
    if (!numbers && !t) return cli_fail("%s: the model has no tokenizer: give --source as token ids", j->model);
    spar_status status = numbers ? cli_ids(j->source, ids, count)
                                 : spar_tokenizer_encode(t, j->source, strlen(j->source), SPAR_TOKENIZE_SPECIAL, ids, count);
    return status ? cli_report(status) : -1;
}

static spar_status prompt_ids(const job *j, const spar_model *model, int32_t **ids, size_t *count) {
    char text[16];
    if (!j->tokens && !j->prompt) {
        snprintf(text, sizeof text, "%d", spar_model_start(model));
        return cli_ids(text, ids, count);
    }
    if (j->tokens) return cli_ids(j->tokens, ids, count);
    const spar_tokenizer *t = spar_model_tokenizer(model);
    spar_status status =
        spar_tokenizer_encode(t, j->prompt, strlen(j->prompt), SPAR_TOKENIZE_SPECIAL, ids, count);
    if (status || *count) return status;
    /* An empty prompt begins where documents begin. */
    spar_free(*ids);
    int32_t start = spar_tokenizer_bos(t) >= 0 ? spar_tokenizer_bos(t) : spar_tokenizer_eos(t);
    snprintf(text, sizeof text, "%d", start < 0 ? 0 : start);
    return cli_ids(text, ids, count);
}

static json_t *beam_json(const spar_beam *b, const spar_tokenizer *t) {
    json_t *tokens = json_array();
    char *text = NULL;
    size_t length = 0;
    for (size_t i = 0; i < b->n_tokens; i++) json_array_append_new(tokens, json_integer(b->tokens[i]));
    if (t && spar_tokenizer_decode(t, b->tokens, b->n_tokens, &text, &length)) text = NULL;
    json_t *string = json_stringn(text ? text : "", text ? length : 0);
    spar_free(text);
    return json_pack("{s:o, s:o, s:f}", "tokens", tokens, "text", string ? string : json_string(""), "score", b->score);
}

static int print_beams(const job *j, const spar_model *model, const spar_beam *beams, size_t prompt) {
    json_t *list = json_array(), *best = beam_json(&beams[0], spar_model_tokenizer(model));
    for (int64_t i = 0; i < j->n_best; i++) json_array_append_new(list, beam_json(&beams[i], spar_model_tokenizer(model)));
    if (cli.json) {
        json_object_set_new(best, "prompt_tokens", json_integer((json_int_t)prompt));
        json_object_set_new(best, "sequences", list);
        return cli_print_json(best);
    }
    for (int64_t i = 0; i < j->n_best; i++) {
        const char *text = json_string_value(json_object_get(json_array_get(list, (size_t)i), "text"));
        if (j->n_best > 1) printf("%.4f ", beams[i].score);
        if (spar_model_tokenizer(model)) puts(text ? text : "");
        for (size_t k = 0; !spar_model_tokenizer(model) && k < beams[i].n_tokens; k++)
            printf(k + 1 < beams[i].n_tokens ? "%d," : "%d\n", beams[i].tokens[k]);
    }
    json_decref(list);
    json_decref(best);
    return CLI_OK;
}

static int on_step(void *context, int64_t step) {
    (void)context;
    (void)step;
    return cli_interrupted();
}

static int search(const job *j, const spar_model *model, const int32_t *ids, size_t count, const int32_t *source,
                  size_t n_source) {
    static const char *const rules[] = {"heuristic", "early", "never"};
    spar_beam_options o = SPAR_BEAM_OPTIONS_INIT;
    spar_beam_options_read(model, &o);
    o.beams = j->beams;
    o.max_tokens = j->max_tokens;
    if (!isnan(j->length_penalty)) o.length_penalty = j->length_penalty;
    o.ignore_eos = j->ignore_eos;
    o.source = source;
    o.n_source = n_source;
    o.on_step = on_step;
    if (j->cache_type) o.cache_type = j->cache_type;
    int rule = 0;
    while (j->early && rule < 3 && strcmp(j->early, rules[rule]) != 0) rule++;
    if (rule == 3) return cli_misuse("generate: --early-stopping: found '%s', expected heuristic, early or never", j->early);
    if (j->early) o.early_stopping = (spar_early_stopping)rule;
    if (j->n_best < 1 || j->n_best > j->beams)
        return cli_misuse("generate: --n-best: found %lld, expected 1 to --beams, %lld", (long long)j->n_best,
                          (long long)j->beams);
    spar_beam *beams;
    spar_status status = spar_beam_search(model, ids, count, &o, &beams);
    if (status) return cli_report(status);
    int code = print_beams(j, model, beams, count);
    spar_beams_free(beams, o.beams);
    return code;
}

/* The model of the drafts, or this one itself; NULL without drafts. */
static spar_status open_drafter(const job *j, const spar_model *model, const spar_session_options *options,
                                spar_model **draft, spar_drafter **out) {
    spar_session_options o = *options;
    if (!j->draft && !j->draft_layers) return SPAR_OK;
    o.layers = j->draft_layers;
    if (j->draft) {
        spar_status status = spar_model_open(j->draft, draft);
        if (status) return status;
    }
    return spar_drafter_create(model, j->draft ? *draft : model, &o, out);
}

/* The session goes on where its file says, and its file gets what it has then. */
static spar_status generate(const job *j, spar_session *session, const int32_t *ids, size_t count,
                            const spar_generate_options *o, spar_generation *made) {
    FILE *there = j->session ? fopen(j->session, "rb") : NULL;
    spar_status status = SPAR_OK;
    if (there) {
        fclose(there);
        status = spar_session_load(session, j->session);
    }
    if (!status) status = spar_generate(session, ids, count, o, made);
    if (!status && j->session && (status = spar_session_save(session, j->session))) spar_generation_free(made);
    return status;
}

static int sample(const job *j, const spar_model *model, const int32_t *ids, size_t count, const int32_t *source,
                  size_t n_source) {
    bool text = spar_model_tokenizer(model) != NULL;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_session *session = NULL;
    spar_model *draft = NULL;
    spar_generation made;
    so.context = j->context;
    if (j->cache_type) so.cache_type = j->cache_type;
    o.sampler = j->sampler;
    o.max_tokens = j->max_tokens;
    o.stops = j->stops.items;
    o.n_stops = (size_t)j->stops.count;
    o.ignore_eos = j->ignore_eos;
    o.lookup = j->lookup;
    o.reuse = j->session != NULL;
    o.on_text = cli.json || !text ? watch : show;
    spar_status status = open_drafter(j, model, &so, &draft, &o.drafter);
    if (!status) status = spar_session_create(model, &so, &session);
    if (!status && source) status = spar_session_source(session, source, n_source);
    if (!status && !cli.json && j->prompt) show(NULL, j->prompt, strlen(j->prompt));
    if (!status) status = generate(j, session, ids, count, &o, &made);
    spar_drafter_free(o.drafter);
    spar_session_free(session);
    spar_model_free(draft);
    if (status) return cli_report(status);
    int code = finish(&made, text);
    spar_generation_free(&made);
    return code;
}

static int run(const job *j, const spar_model *model) {
    bool text = spar_model_tokenizer(model) != NULL;
    if (j->prompt && !text)
        return cli_fail("%s: the model has no tokenizer: give --tokens", j->model);
    int32_t *ids, *source = NULL;
    size_t count, n_source = 0;
    if (j->source) {
        int code = source_ids(j, model, &source, &n_source);
        if (code >= 0) return code;
    }
    spar_status status = prompt_ids(j, model, &ids, &count);
    if (status) {
        spar_free(source);
        return cli_report(status);
    }
    if (j->beams > 1) {
        int code = search(j, model, ids, count, source, n_source);
        spar_free(ids);
        spar_free(source);
        return code;
    }
    int code = sample(j, model, ids, count, source, n_source);
    spar_free(ids);
    spar_free(source);
    return code;
}

static spar_logit_bias *read_biases(const cli_list *list) {
    spar_logit_bias *out = calloc((size_t)list->count + 1, sizeof *out);
    for (int i = 0; out && i < list->count; i++)
        if (sscanf(list->items[i], "%d=%f", &out[i].id, &out[i].bias) != 2) {
            free(out);
            return NULL;
        }
    return out;
}

int cmd_generate(int argc, char **argv) {
    job j = {.max_tokens = 128, .batch = 8, .beams = 1, .n_best = 1, .length_penalty = NAN, .sampler = SPAR_SAMPLER_OPTIONS_INIT};
    spar_sampler_options *s = &j.sampler;
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "the model", true},
        {"prompt", CLI_TEXT, &j.prompt, "S", "the text to continue", false},
        {"tokens", CLI_TEXT, &j.tokens, "IDS", "the same as token ids", false},
        {"source", CLI_TEXT, &j.source, "S", "encoder–decoders: text or ids for the encoder", false},
        {"max-tokens", CLI_INT, &j.max_tokens, "N", "new tokens at most (128; 0 = to the context's end)", false},
        {"context", CLI_INT, &j.context, "N", "tokens in all at most (the model's context)", false},
        {"temperature", CLI_REAL, &s->temperature, "X", "0 = greedy (1)", false},
        {"top-k", CLI_INT, &s->top_k, "K", "the K most probable (0 = off)", false},
        {"top-p", CLI_REAL, &s->top_p, "P", "the fewest whose mass reaches P (1)", false},
        {"min-p", CLI_REAL, &s->min_p, "P", "at least P times the largest probability (0)", false},
        {"typical-p", CLI_REAL, &s->typical_p, "P", "locally typical mass (1)", false},
        {"repeat-penalty", CLI_REAL, &s->repeat_penalty, "X", "of tokens seen (1)", false},
        {"frequency-penalty", CLI_REAL, &s->frequency_penalty, "X", "for each time seen (0)", false},
        {"presence-penalty", CLI_REAL, &s->presence_penalty, "X", "once for tokens seen (0)", false},
        {"penalty-last", CLI_INT, &s->penalty_last, "N", "newest tokens that penalties see (0 = all)", false},
        {"logit-bias", CLI_LIST, &j.biases, "ID=X", "added to a token's logit", false},
        {"beams", CLI_INT, &j.beams, "B", "beam search instead of sampling (1)", false},
        {"n-best", CLI_INT, &j.n_best, "N", "beams that are told (1)", false},
        {"length-penalty", CLI_REAL, &j.length_penalty, "X", "of beams: above 1 for longer ones (the model's, else 1)", false},
        {"early-stopping", CLI_TEXT, &j.early, "RULE", "of beams: heuristic, early or never (the model's, else heuristic)", false},
        {"stop", CLI_LIST, &j.stops, "S", "text that ends the generation", false},
        {"ignore-eos", CLI_FLAG, &j.ignore_eos, NULL, "special tokens are ordinary ones", false},
        {"lookup", CLI_FLAG, &j.lookup, NULL, "drafts from the text itself: sooner where it repeats", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "FILE", "many prompts, a JSON string a line; results likewise", false},
        {"batch", CLI_INT, &j.batch, "N", "prompts of --jsonl that are continued together (8)", false},
        {"draft", CLI_TEXT, &j.draft, "M", "a smaller model with the same tokens, whose drafts are checked", false},
        {"draft-layers", CLI_INT, &j.draft_layers, "N", "drafts from the first N layers, of --draft or of the model", false},
        {"session", CLI_TEXT, &j.session, "FILE", "what was read is kept there, and not read again", false},
        {"cache-type", CLI_TEXT, &j.cache_type, "T", "f32, bf16, f16 or q8_0 (f32)", false},
        {0},
    };
    const cli_usage usage = {"generate", "continue a text", options,
                             "spar generate --model run/model.gguf --prompt \"The \" --temperature 0.8"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (j.jsonl ? j.prompt || j.tokens || j.source : (j.prompt && j.tokens) || (!j.prompt && !j.tokens && !j.source))
        return cli_misuse("generate: expected one of --prompt, --tokens and --jsonl");
    if (j.jsonl && (j.beams > 1 || j.draft || j.draft_layers || j.session || j.lookup || j.stops.count))
        return cli_misuse("generate: --beams, --stop, --session and drafts are not for --jsonl");
    if (j.batch < 1 || j.batch > 4096)
        return cli_misuse("generate: --batch: found %lld, expected 1 to 4096", (long long)j.batch);
    if (j.beams > 1 && (j.draft || j.draft_layers || j.session || j.lookup))
        return cli_misuse("generate: --draft, --draft-layers, --lookup and --session are not for --beams");
    if (j.source && (j.session || j.draft || j.draft_layers))
        return cli_misuse("generate: --draft, --draft-layers and --session are not for --source");
    spar_logit_bias *biases = read_biases(&j.biases);
    if (!biases) return cli_misuse("--logit-bias: expected ID=NUMBER");
    s->biases = biases;
    s->n_biases = (size_t)j.biases.count;
    s->seed = cli.seed < 0 ? 0 : (uint64_t)cli.seed;
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) {
        free(biases);
        return cli_report(status);
    }
    cli_catch_interrupt();
    code = j.jsonl ? generate_many(&j, model) : run(&j, model);
    spar_model_free(model);
    free(biases);
    return code;
}
