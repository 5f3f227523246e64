/* spar chat: a conversation with the model's own chat template. The loop and the commands are here,
 * reading lines in chat_line.c, the conversation itself in chat_talk.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"

typedef struct command {
    const char *name, *argument, *help;
    int (*run)(chat *c, const char *argument); /* CHAT_GO_ON or CHAT_QUIT */
} command;

static int say(const char *text) {
    fprintf(stderr, "%s\n", text);
    return CHAT_GO_ON;
}

static int refuse(const chat *c) {
    fprintf(stderr, "spar: %s\n", c->problem[0] ? c->problem : spar_error());
    return CHAT_GO_ON;
}

static int cmd_reset(chat *c, const char *argument) {
    (void)argument;
    chat_reset(c);
    return say("a new conversation");
}

static int cmd_undo(chat *c, const char *argument) {
    (void)argument;
    return say(chat_undo(c) ? "the last question and its answer are gone" : "there is nothing to undo");
}

static int cmd_retry(chat *c, const char *argument) {
    (void)argument;
    if (!chat_take_back(c)) return say("there is no answer to try again");
    return chat_answer(c) ? refuse(c) : CHAT_GO_ON;
}

static int cmd_system(chat *c, const char *argument) {
    chat_system(c, argument);
    return say(*argument ? "the system message is set" : "there is no system message");
}

static int cmd_save(chat *c, const char *argument) {
    if (!*argument) return say("/save FILE: expected a file");
    char *text = json_dumps(c->messages, JSON_INDENT(1));
    int code = text ? cli_write_file(argument, text, strlen(text)) : 1;
    free(text);
    return code ? CHAT_GO_ON : say("saved");
}

static int cmd_load(chat *c, const char *argument) {
    char *text;
    size_t length;
    json_error_t error;
    c->problem[0] = 0;
    if (cli_read(argument, &text, &length)) return refuse(c);
    json_t *messages = json_loadb(text, length, 0, &error);
    spar_free(text);
    if (!messages || !chat_load(c, messages)) {
        fprintf(stderr, "spar: %s: expected a list of {\"role\", \"content\"}%s%s\n", argument,
                messages ? "" : ": ", messages ? "" : error.text);
        json_decref(messages);
        return CHAT_GO_ON;
    }
    fprintf(stderr, "%zu messages\n", json_array_size(messages));
    return CHAT_GO_ON;
}

static int cmd_set(chat *c, const char *argument) {
    struct {
        const char *name;
        double *real;
        int64_t *whole;
    } settings[] = {{"temperature", &c->sampler.temperature, NULL},
                    {"top-p", &c->sampler.top_p, NULL},
                    {"min-p", &c->sampler.min_p, NULL},
                    {"repeat-penalty", &c->sampler.repeat_penalty, NULL},
                    {"top-k", NULL, &c->sampler.top_k},
                    {"max-tokens", NULL, &c->max_tokens}};
    enum { N = sizeof settings / sizeof *settings };
    char name[32] = "", *end;
    double value;
    const char *names[N];
    int n = 0, at = -1;
    for (int i = 0; i < N; i++) names[i] = settings[i].name;
    if (sscanf(argument, "%31s %n", name, &n) < 1) {
        for (int i = 0; i < N; i++)
            fprintf(stderr, "%s %g\n", names[i],
                    settings[i].real ? *settings[i].real : (double)*settings[i].whole);
        return CHAT_GO_ON;
    }
    for (int i = 0; i < N; i++)
        if (!strcmp(names[i], name)) at = i;
    value = strtod(argument + n, &end);
    if (at < 0) {
        int near = spar_nearest(name, names, N);
        fprintf(stderr, "/set: '%s' is not known%s%s\n", name, near < 0 ? "" : ", nearest is ",
                near < 0 ? "" : names[near]);
    } else if (end == argument + n || *end) fprintf(stderr, "/set %s: expected a number\n", name);
    else if (settings[at].real) *settings[at].real = value;
    else *settings[at].whole = (int64_t)value;
    return CHAT_GO_ON;
}

static int cmd_stats(chat *c, const char *argument) {
    (void)argument;
    fprintf(stderr, "%zu messages; %lld of %lld tokens of context, cache %.1f MB; last answer: %zu "
            "tokens, %.1f tokens/s, prompt of %zu in %.2f s\n", json_array_size(c->messages),
            (long long)spar_session_position(c->session), (long long)spar_session_context(c->session),
            (double)spar_session_cache_bytes(c->session) / 1e6, c->last_tokens,
            c->last_seconds > 0 ? (double)c->last_tokens / c->last_seconds : 0, c->last_prompt,
            c->last_prompt_seconds);
    return CHAT_GO_ON;
}

static int cmd_quit(chat *c, const char *argument) {
    (void)c;
    (void)argument;
    return CHAT_QUIT;
}

static int cmd_help(chat *c, const char *argument);

static const command commands[] = {
    {"/help", "", "this list", cmd_help},
    {"/reset", "", "begin a new conversation", cmd_reset},
    {"/undo", "", "take the last question and its answer back", cmd_undo},
    {"/retry", "", "another answer to the last question", cmd_retry},
    {"/system", "[TEXT]", "set the system message", cmd_system},
    {"/save", "FILE", "write the conversation as JSON", cmd_save},
    {"/load", "FILE", "go on with a saved conversation", cmd_load},
    {"/set", "[NAME VALUE]", "temperature, top-k, top-p, min-p, repeat-penalty, max-tokens", cmd_set},
    {"/stats", "", "tokens, context, speed", cmd_stats},
    {"/quit", "", "leave (also /exit and Ctrl-D)", cmd_quit},
    {"/exit", "", NULL, cmd_quit},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int cmd_help(chat *c, const char *argument) {
    (void)c;
    (void)argument;
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].help)
            fprintf(stderr, "%-8s %-13s %s\n", commands[i].name, commands[i].argument, commands[i].help);
    return say("A line that ends with \\ goes on; \"\"\" begins and ends several lines. Ctrl-C stops an "
               "answer.");
}

static int run_command(chat *c, const char *line) {
    size_t n = strcspn(line, " \t");
    const char *argument = line + n + strspn(line + n, " \t"), *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strlen(names[i]) == n && !strncmp(names[i], line, n)) return commands[i].run(c, argument);
    }
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(n < 30 ? n : 30), line);
    int near = spar_nearest(name, names, N_COMMANDS);
    fprintf(stderr, "%s: no such command%s%s; /help lists them\n", name, near < 0 ? "" : ", nearest is ",
            near < 0 ? "" : names[near]);
    return CHAT_GO_ON;
}

static int talk(chat *c) {
    chat_reader *reader = chat_reader_open();
    if (!reader) return cli_fail("out of memory");
    if (!cli.json && !cli.quiet && chat_reader_terminal(reader))
        fprintf(stderr, "/help lists commands, Ctrl-D leaves.\n");
    char *line;
    int go_on = CHAT_GO_ON;
    while (go_on == CHAT_GO_ON && (line = chat_read(reader))) {
        if (*line == '/') go_on = run_command(c, line);
        else if (*line) {
            spar_status status = chat_ask(c, line);
            if (status) refuse(c);
            c->failed = c->failed || status;
        }
        free(line);
    }
    chat_reader_close(reader);
    if (cli.json) return cli_print_json(json_pack("{s:O}", "messages", c->messages));
    return c->failed && !isatty_input() ? CLI_FAILED : CLI_OK;
}

int cmd_chat(int argc, char **argv) {
    chat c = {.sampler = SPAR_SAMPLER_OPTIONS_INIT, .max_tokens = 1024};
    c.sampler.temperature = 0.8;
    c.sampler.top_p = 0.95;
    const cli_option options[] = {
        {"model", CLI_TEXT, &c.path, "M", "the model", true},
        {"system", CLI_TEXT, &c.system, "TEXT", "the system message", false},
        {"template", CLI_TEXT, &c.template_path, "F", "a chat template (Jinja) in place of the model's own; "
         "chatml", false},
        {"max-tokens", CLI_INT, &c.max_tokens, "N", "tokens of an answer at most (1024; 0 = to the "
         "context's end)", false},
        {"context", CLI_INT, &c.context, "N", "tokens in all at most (the model's context)", false},
        {"temperature", CLI_REAL, &c.sampler.temperature, "X", "0 = greedy (0.8)", false},
        {"top-k", CLI_INT, &c.sampler.top_k, "K", "the K most probable (0 = off)", false},
        {"top-p", CLI_REAL, &c.sampler.top_p, "P", "the fewest whose mass reaches P (0.95)", false},
        {"min-p", CLI_REAL, &c.sampler.min_p, "P", "at least P times the largest probability (0)", false},
        {"repeat-penalty", CLI_REAL, &c.sampler.repeat_penalty, "X", "of tokens seen (1)", false},
        {0},
    };
    const cli_usage usage = {"chat", "A conversation; /help lists commands.", options,
                             "spar chat --model model.gguf --system \"Answer in one sentence.\""};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    c.sampler.seed = cli.seed < 0 ? 0 : (uint64_t)cli.seed;
    code = chat_open(&c);
    if (!code) code = talk(&c);
    chat_close(&c);
    return code;
}
