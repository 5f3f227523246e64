/* The public face of chat templates. */
#include <string.h>

#include "base/json.h"
#include "chat/run.h"
#include "spar/chat.h"

struct spar_chat_template {
    char *name, *source;
    spar__tokens tokens;
    spar__arena *arena;
    spar__node *tree;
};

enum { MAX_SOURCE = 1 << 20 };

spar_status spar_chat_template_parse(const char *name, const char *source, size_t length,
                                     spar_chat_template **out) {
    if (length > MAX_SOURCE)
        return spar__fail(SPAR_ERR_LIMIT, "%s: %zu bytes, at most %d", name, length, MAX_SOURCE);
    spar_chat_template *t = spar__alloc(sizeof *t);
    if (!t) return SPAR_ERR_MEMORY;
    t->name = spar__copy_string(name);
    t->source = spar__copy_bytes(source, length);
    t->arena = spar__arena_create(1 << 14);
    spar_status status = t->name && t->source && t->arena ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar__chat_lex(t->name, t->source, length, &t->tokens);
    if (!status) {
        spar__parser parser = {.name = t->name, .arena = t->arena, .tokens = &t->tokens};
        status = spar__chat_parse(&parser, &t->tree);
    }
    if (status) spar_chat_template_free(t);
    else *out = t;
    return status;
}

void spar_chat_template_free(spar_chat_template *t) {
    if (!t) return;
    spar__tokens_free(&t->tokens);
    spar__arena_free(t->arena);
    spar__free(t->name);
    spar__free(t->source);
    spar__free(t);
}

static spar_status run(const spar_chat_template *t, json_t *variables, spar__buffer *out) {
    spar__frame root = {variables, NULL};
    spar__chat c = {.name = t->name, .line = 1, .out = out, .top = &root, .root = &root};
    c.undefined = json_object();
    if (!c.undefined) return spar__fail(SPAR_ERR_MEMORY, "out of memory: template");
    spar_status status = spar__chat_run(&c, t->tree);
    json_object_clear(variables); /* what refers to `undefined` goes first */
    json_decref(c.undefined);
    return status;
}

spar_status spar_chat_template_render(const spar_chat_template *t, const char *variables,
                                      char **text, size_t *length) {
    json_error_t error;
    json_t *root = json_loads(variables, 0, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return spar__fail(SPAR_ERR_ARGUMENT, "variables of %s: line %d, column %d: %s", t->name,
                          error.line, error.column, root ? "expected a JSON object" : error.text);
    }
    spar__buffer out = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = run(t, root, &out);
    json_decref(root);
    if (!status && !spar__buffer_text(&out)) status = SPAR_ERR_MEMORY;
    if (status) return spar__buffer_free(&out), status;
    *text = out.bytes;
    *length = out.length;
    return SPAR_OK;
}
