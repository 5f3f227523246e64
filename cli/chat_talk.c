/* The conversation: messages through the template to tokens, and the model's answer. The session keeps
 * what it has read; only what is new is fed, unless the template changed what stood before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"

static const char chatml[] =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

static json_t *role_text(const spar_tokenizer *t, int32_t id) {
    size_t n;
    const char *piece = spar_tokenizer_piece(t, id, &n);
    json_t *text = json_stringn(piece, n);
    return text ? text : json_string("");
}

static spar_status render(const chat *c, json_t *messages, bool prompt, char **text, size_t *length) {
    const spar_tokenizer *t = spar_model_tokenizer(c->model);
    json_t *variables = json_pack("{s:O, s:b, s:o, s:o}", "messages", messages, "add_generation_prompt",
                                  prompt, "bos_token", role_text(t, spar_tokenizer_bos(t)), "eos_token",
                                  role_text(t, spar_tokenizer_eos(t)));
    char *json = json_dumps(variables, JSON_COMPACT);
    json_decref(variables);
    spar_status status = json ? spar_chat_template_render(c->form, json, text, length)
                              : SPAR_ERR_MEMORY;
    free(json);
    return status;
}

static json_t *message_json(const char *role, const char *content) {
    json_t *text = json_string(content);
    return json_pack("{s:s, s:o}", "role", role, "content", text ? text : json_string(""));
}

/* What stands behind an answer up to the next white space: the model is to end with it. */
static void find_end_of_turn(chat *c) {
    static const char mark[] = "SPAR-ANSWER";
    json_t *messages = json_pack("[o, o]", message_json("user", "question"),
                                 message_json("assistant", mark));
    char *text;
    size_t length;
    if (!render(c, messages, false, &text, &length)) {
        const char *end = strstr(text, mark);
        end = end ? end + sizeof mark - 1 : "";
        end += strspn(end, " \n");
        size_t n = strcspn(end, " \n");
        if (n) c->end_of_turn = strndup(end, n);
        spar_free(text);
    }
    json_decref(messages);
}

static spar_status read_template(chat *c) {
    char *source = NULL;
    size_t length = 0;
    const char *name = c->template_path ? c->template_path : c->path;
    spar_status status = SPAR_OK;
    if (c->template_path && !strcmp(c->template_path, "chatml"))
        return spar_chat_template_parse("chatml", chatml, sizeof chatml - 1, &c->form);
    if (c->template_path) status = cli_read(c->template_path, &source, &length);
    else if (!(status = spar_chat_template_find(c->path, &source))) length = strlen(source);
    if (!status) status = spar_chat_template_parse(name, source, length, &c->form);
    spar_free(source);
    return status;
}

int chat_open(chat *c) {
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.context = c->context;
    spar_status status = spar_model_open(c->path, &c->model);
    if (status) return cli_report(status);
    if (!spar_model_tokenizer(c->model)) return cli_fail("%s: the model has no tokenizer", c->path);
    status = read_template(c);
    if (status == SPAR_ERR_NOT_FOUND && !c->template_path)
        return cli_fail("%s; give --template FILE, or --template chatml", spar_error());
    if (!status) status = spar_session_create(c->model, &o, &c->session);
    if (status) return cli_report(status);
    c->messages = json_array();
    if (!c->messages) return cli_fail("out of memory");
    chat_reset(c);
    find_end_of_turn(c);
    return CLI_OK;
}

void chat_close(chat *c) {
    spar_chat_template_free(c->form);
    spar_session_free(c->session);
    spar_model_free(c->model);
    json_decref(c->messages);
    free(c->end_of_turn);
}

static const char *role_at(const chat *c, size_t i) {
    const char *role = json_string_value(json_object_get(json_array_get(c->messages, i), "role"));
    return role ? role : "";
}

static bool drop_last(chat *c, const char *role) {
    size_t n = json_array_size(c->messages);
    if (!n || strcmp(role_at(c, n - 1), role)) return false;
    json_array_remove(c->messages, n - 1);
    return true;
}

void chat_reset(chat *c) {
    json_array_clear(c->messages);
    if (c->system) json_array_append_new(c->messages, message_json("system", c->system));
}

bool chat_take_back(chat *c) {
    c->sampler.seed++;
    return drop_last(c, "assistant");
}

bool chat_undo(chat *c) {
    bool answer = drop_last(c, "assistant"), question = drop_last(c, "user");
    return answer || question;
}

void chat_system(chat *c, const char *text) {
    if (json_array_size(c->messages) && !strcmp(role_at(c, 0), "system"))
        json_array_remove(c->messages, 0);
    if (*text) json_array_insert_new(c->messages, 0, message_json("system", text));
}

bool chat_load(chat *c, json_t *messages) {
    size_t i;
    const json_t *one;
    bool good = json_is_array(messages);
    json_array_foreach(messages, i, one)
        good = good && json_is_string(json_object_get(one, "role")) &&
               json_is_string(json_object_get(one, "content"));
    if (!good) return false;
    json_decref(c->messages);
    c->messages = messages;
    return true;
}

static int show(void *context, const char *text, size_t length) {
    (void)context;
    if (!cli.json) {
        fwrite(text, 1, length, stdout);
        fflush(stdout);
    }
    return chat_stopped();
}

static spar_status generate(chat *c, const int32_t *ids, size_t count, spar_generation *made) {
    size_t context = (size_t)spar_session_context(c->session);
    spar_status status;
    if (count >= context) { /* told, never cut */
        snprintf(c->problem, sizeof c->problem, "the context is full: the conversation has %zu tokens, "
                 "at most %zu leave room for an answer: /undo, /reset or a shorter message", count,
                 context - 1);
        return SPAR_ERR_LIMIT;
    }
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    const char *stops[] = {c->end_of_turn};
    o.sampler = c->sampler;
    o.max_tokens = c->max_tokens;
    o.stops = stops;
    o.n_stops = c->end_of_turn ? 1 : 0;
    o.on_text = show;
    o.reuse = 1; /* earlier turns are not read again */
    chat_listen();
    status = spar_generate(c->session, ids, count, &o, made);
    if (status) spar_session_reset(c->session);
    return status;
}

static void finish(chat *c, const spar_generation *made) {
    const char *text = made->text + strspn(made->text, " \n");
    json_t *content = json_stringn(text, strlen(text));
    json_array_append_new(c->messages, json_pack("{s:s, s:o}", "role", "assistant", "content",
                                                 content ? content : json_string("")));
    c->last_tokens = made->n_tokens;
    c->last_seconds = made->decode_seconds;
    c->last_prompt = made->prompt_tokens - made->reused;
    c->last_prompt_seconds = made->prompt_seconds;
    if (!cli.json) putchar('\n');
    fflush(stdout);
    bool full = spar_session_position(c->session) == spar_session_context(c->session);
    if (!strcmp(made->finish, "cancelled")) fprintf(stderr, "(stopped)\n");
    else if (!strcmp(made->finish, "length") && full)
        fprintf(stderr, "(the context is full: %lld tokens; /undo or /reset make room)\n",
                (long long)spar_session_context(c->session));
    else if (!strcmp(made->finish, "length"))
        fprintf(stderr, "(ended at %lld tokens: /set max-tokens N)\n", (long long)c->max_tokens);
}

spar_status chat_answer(chat *c) {
    char *text;
    size_t length, count;
    int32_t *ids;
    spar_generation made;
    c->problem[0] = 0;
    spar_status status = render(c, c->messages, true, &text, &length);
    if (status) return status;
    status = spar_tokenizer_encode(spar_model_tokenizer(c->model), text, length,
                                   SPAR_TOKENIZE_CONTROL, &ids, &count);
    spar_free(text);
    if (status) return status;
    status = generate(c, ids, count, &made);
    spar_free(ids);
    if (status) return status;
    finish(c, &made);
    spar_generation_free(&made);
    return SPAR_OK;
}

spar_status chat_ask(chat *c, const char *text) {
    json_array_append_new(c->messages, message_json("user", text));
    spar_status status = chat_answer(c);
    if (status) drop_last(c, "user");
    return status;
}
