/* Statements. Loops and macros have variables of their own; `if` has none. */
#include <string.h>

#include "chat/run.h"

/* Runs statements with their text going to a buffer of its own. */
static spar_status captured(spar__chat *c, const spar__node *list, json_t **text) {
    spar__buffer made = spar__buffer_make(SPAR__CHAT_TEXT), *outer = c->out;
    c->out = &made;
    spar_status status = spar__chat_run(c, list);
    c->out = outer;
    if (!status) status = spar__chat_text(c, made.bytes, made.length, text);
    spar__buffer_free(&made);
    return status;
}

static spar_status assign(spar__chat *c, const spar__node *target, json_t *value) {
    if (target->kind == NODE_NAME) {
        if (json_object_set(c->top->variables, target->text, value))
            return spar__fail(SPAR_ERR_MEMORY, "out of memory: variable");
        return SPAR_OK;
    }
    if (target->kind == NODE_ATTRIBUTE) {
        json_t *of;
        SPAR_TRY(spar__chat_value(c, target->a, &of));
        spar_status status =
            json_is_object(of) && json_object_get(of, SPAR__CHAT_NAMESPACE)
                ? spar__chat_check(c, value, of, 0)
                : spar__chat_failed(c, "'%s' is no namespace: its attributes cannot be set",
                                    target->a->text);
        if (!status) json_object_set(of, target->text, value);
        json_decref(of);
        return status;
    }
    size_t n = 0, i = 0;
    for (const spar__node *t = target->list; t; t = t->next) n++;
    if (!json_is_array(value) || json_array_size(value) != n)
        return spar__chat_failed(c, "%zu names, expected a list of as many values", n);
    for (const spar__node *t = target->list; t; t = t->next)
        SPAR_TRY(assign(c, t, json_array_get(value, i++)));
    return SPAR_OK;
}

static spar_status run_set(spar__chat *c, const spar__node *n) {
    json_t *value = NULL;
    spar_status status;
    if (n->kind == NODE_SET) status = spar__chat_value(c, n->b, &value);
    else {
        json_t *text;
        SPAR_TRY(captured(c, n->list, &text));
        ((spar__node *)n->b)->value = text;
        status = spar__chat_value(c, n->c, &value);
        ((spar__node *)n->b)->value = NULL;
        json_decref(text);
    }
    if (!status && n->kind == NODE_FILTER_BLOCK) status = spar__chat_print(c, value, false, c->out);
    else if (!status) status = assign(c, n->a, value);
    json_decref(value);
    return status;
}

static void loop_variables(spar__chat *c, json_t *loop, const json_t *list, size_t i) {
    json_int_t at = (json_int_t)i, n = (json_int_t)json_array_size(list);
    json_object_set_new(loop, "index0", json_integer(at));
    json_object_set_new(loop, "index", json_integer(at + 1));
    json_object_set_new(loop, "revindex0", json_integer(n - at - 1));
    json_object_set_new(loop, "revindex", json_integer(n - at));
    json_object_set_new(loop, "first", json_boolean(!at));
    json_object_set_new(loop, "last", json_boolean(at + 1 == n));
    json_object_set_new(loop, "length", json_integer(n));
    json_object_set_new(loop, "depth", json_integer(1));
    json_object_set_new(loop, "depth0", json_integer(0));
    json_object_set_new(loop, SPAR__CHAT_LOOP, json_true());
    json_object_set(loop, "previtem", i ? json_array_get(list, i - 1) : c->undefined);
    json_object_set(loop, "nextitem", at + 1 < n ? json_array_get(list, i + 1) : c->undefined);
}

static spar_status loop_body(spar__chat *c, const spar__node *n, const json_t *list, size_t i,
                             bool filtering, bool *keep) {
    spar__frame frame = {json_object(), c->top};
    if (!frame.variables) return spar__fail(SPAR_ERR_MEMORY, "out of memory: variables");
    c->top = &frame;
    spar_status status = spar__chat_step(c, 8);
    if (!status && !filtering) {
        json_t *loop = json_object();
        loop_variables(c, loop, list, i);
        json_object_set_new(frame.variables, "loop", loop);
    }
    if (!status) status = assign(c, n->a, json_array_get(list, i));
    if (!status && filtering) {
        json_t *value = NULL;
        status = spar__chat_value(c, n->c, &value);
        if (!status) *keep = spar__chat_true(c, value);
        json_decref(value);
    } else if (!status) {
        status = spar__chat_run(c, n->list->next);
    }
    c->top = frame.parent;
    json_decref(frame.variables);
    return status;
}

static spar_status run_for(spar__chat *c, const spar__node *n) {
    json_t *value = NULL, *list = NULL;
    spar_status status = spar__chat_value(c, n->b, &value);
    if (!status) status = spar__chat_list(c, value, &list);
    if (!status && n->c) {
        json_t *kept = json_array();
        for (size_t i = 0; !status && i < json_array_size(list); i++) {
            bool keep = false;
            status = loop_body(c, n, list, i, true, &keep);
            if (keep) json_array_append(kept, json_array_get(list, i));
        }
        json_decref(list);
        list = kept;
    }
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        status = loop_body(c, n, list, i, false, NULL);
        bool leave = c->jump == BREAK;
        c->jump = GO_ON;
        if (leave) break;
    }
    if (!status && !json_array_size(list)) status = spar__chat_run(c, n->list->list);
    json_decref(list);
    json_decref(value);
    return status;
}

static spar_status run_if(spar__chat *c, const spar__node *n) {
    json_t *value;
    SPAR_TRY(spar__chat_value(c, n->a, &value));
    bool yes = spar__chat_true(c, value);
    json_decref(value);
    return spar__chat_run(c, yes ? n->list : n->b);
}

static spar_status run_print(spar__chat *c, const spar__node *n) {
    json_t *value;
    SPAR_TRY(spar__chat_value(c, n->a, &value));
    spar_status status = spar__chat_print(c, value, false, c->out);
    json_decref(value);
    return status;
}

static spar_status run_macro(spar__chat *c, const spar__node *n) {
    int index = 0;
    while (index < c->n_macros && c->macros[index] != n) index++;
    if (index == (int)(sizeof c->macros / sizeof *c->macros))
        return spar__chat_failed(c, "more than %d macros", index);
    if (index == c->n_macros) c->macros[c->n_macros++] = n;
    json_t *value = json_pack("{s:i}", SPAR__CHAT_MACRO, index);
    json_object_set_new(c->top->variables, n->text, value);
    return SPAR_OK;
}

/* A macro sees its arguments and the template's own variables. */
spar_status spar__chat_call_macro(spar__chat *c, int index, spar__arguments *a, json_t **out) {
    const spar__node *n = c->macros[index];
    spar__frame frame = {json_object(), c->root}, *outer = c->top;
    spar_status status = frame.variables ? SPAR_OK : SPAR_ERR_MEMORY;
    if (++c->depth > SPAR__CHAT_DEPTH) status = spar__chat_failed(c, "macros call each other too deeply");
    c->top = &frame;
    int i = 0;
    for (const spar__node *p = n->a; !status && p; p = p->next, i++) {
        json_t *value = json_incref(spar__argument(a, i, p->text));
        if (!value && p->a) status = spar__chat_value(c, p->a, &value);
        if (!status) json_object_set(frame.variables, p->text, value ? value : c->undefined);
        json_decref(value);
    }
    if (!status && a->count > i)
        status = spar__chat_failed(c, "macro '%s' takes %d arguments, not %d", n->text, i, a->count);
    if (!status) status = captured(c, n->list, out);
    c->top = outer;
    c->depth--;
    json_decref(frame.variables);
    return status;
}

static spar_status run_one(spar__chat *c, const spar__node *n) {
    switch (n->kind) {
    case NODE_DATA: return spar__buffer_add(c->out, n->text, n->length);
    case NODE_PRINT: return run_print(c, n);
    case NODE_IF: return run_if(c, n);
    case NODE_FOR: return run_for(c, n);
    case NODE_MACRO: return run_macro(c, n);
    case NODE_BREAK: return c->jump = BREAK, SPAR_OK;
    case NODE_CONTINUE: return c->jump = CONTINUE, SPAR_OK;
    case NODE_PASS: return spar__chat_run(c, n->list);
    default: return run_set(c, n);
    }
}

spar_status spar__chat_run(spar__chat *c, const spar__node *list) {
    for (; list && c->jump == GO_ON; list = list->next) {
        c->line = list->line;
        SPAR_TRY(spar__chat_step(c, 1));
        SPAR_TRY(run_one(c, list));
    }
    return SPAR_OK;
}
