/* Expressions. */
#include <math.h>
#include <string.h>

#include "chat/run.h"

static json_t *look_up(const spar__chat *c, const char *name) {
    for (const spar__frame *f = c->top; f; f = f->parent) {
        json_t *found = json_object_get(f->variables, name);
        if (found) return found;
    }
    return c->undefined;
}

static spar_status arguments(spar__chat *c, const spar__node *list, spar__arguments *out) {
    for (; list; list = list->next) {
        json_t *value;
        SPAR_TRY(spar__chat_value(c, list->kind == NODE_KEYWORD ? list->a : list, &value));
        if (list->kind == NODE_KEYWORD) {
            if (!out->named) out->named = json_object();
            json_object_set_new(out->named, list->text, value);
        } else if (out->count == SPAR__CHAT_ARGUMENTS) {
            json_decref(value);
            return spar__chat_failed(c, "more than %d arguments", SPAR__CHAT_ARGUMENTS);
        } else {
            out->at[out->count++] = value;
        }
    }
    return SPAR_OK;
}

static spar_status call_value(spar__chat *c, json_t *callee, const char *name, spar__arguments *a,
                              json_t **out) {
    const json_t *macro = json_is_object(callee) ? json_object_get(callee, SPAR__CHAT_MACRO) : NULL;
    if (macro) return spar__chat_call_macro(c, (int)json_integer_value(macro), a, out);
    return spar__chat_failed(c, callee == c->undefined ? "function '%.64s' is not supported"
                                                       : "'%.64s' is no function", name);
}

static spar_status call(spar__chat *c, const spar__node *n, json_t **out) {
    spar__arguments a = {0};
    json_t *callee = NULL;
    const spar__node *of = n->a;
    spar_status status = arguments(c, n->list, &a);
    c->line = n->line;
    if (status) {
    } else if (of->kind == NODE_NAME) {
        callee = json_incref(look_up(c, of->text));
        status = callee == c->undefined ? spar__chat_function(c, of->text, &a, out)
                                        : call_value(c, callee, of->text, &a, out);
    } else if (of->kind == NODE_ATTRIBUTE) {
        json_t *self = NULL;
        status = spar__chat_value(c, of->a, &self);
        json_t *member = !status && json_is_object(self) ? json_object_get(self, of->text) : NULL;
        if (!status && json_is_object(member) && json_object_get(member, SPAR__CHAT_MACRO))
            status = call_value(c, member, of->text, &a, out);
        else if (!status) status = spar__chat_method(c, of->text, self, &a, out);
        json_decref(self);
    } else {
        status = spar__chat_failed(c, "a call of what has no name is not supported");
    }
    json_decref(callee);
    spar__arguments_free(&a);
    return status;
}

/* ---- Operators ---- */

static spar_status join(spar__chat *c, const json_t *a, const json_t *b, json_t **out) {
    spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = spar__chat_print(c, a, false, &text);
    if (!status) status = spar__chat_print(c, b, false, &text);
    if (!status) status = spar__chat_text(c, text.bytes, text.length, out);
    spar__buffer_free(&text);
    return status;
}

static spar_status repeat(spar__chat *c, const json_t *value, json_int_t times, json_t **out) {
    size_t n = json_is_string(value) ? json_string_length(value) : json_array_size(value), bytes;
    if (times < 0) times = 0;
    if (!spar__mul(n, (size_t)times, &bytes) || bytes > SPAR__CHAT_LIST)
        return spar__chat_failed(c, "%zu × %lld is too long", n, (long long)times);
    SPAR_TRY(spar__chat_step(c, bytes));
    if (json_is_array(value)) {
        *out = json_array();
        while (times--) json_array_extend(*out, (json_t *)value);
        return SPAR_OK;
    }
    spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    while (!status && times--) status = spar__buffer_add(&text, json_string_value(value), n);
    if (!status) status = spar__chat_text(c, text.bytes, text.length, out);
    spar__buffer_free(&text);
    return status;
}

static bool whole(const json_t *v) { return json_is_integer(v) || json_is_boolean(v); }
static json_int_t whole_of(const json_t *v) {
    return json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
}
static double real_of(const json_t *v) {
    return json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
}

static spar_status whole_numbers(spar__chat *c, char op, json_int_t a, json_int_t b, json_t **out) {
    json_int_t r = 0;
    bool over = false;
    switch (op) {
    case '+': over = __builtin_add_overflow(a, b, &r); break;
    case '-': over = __builtin_sub_overflow(a, b, &r); break;
    case '*': over = __builtin_mul_overflow(a, b, &r); break;
    default: /* // and %, which round down */
        if (!b) return spar__chat_failed(c, "division by zero");
        if (b == -1) {
            over = op == 'd' && __builtin_sub_overflow((json_int_t)0, a, &r);
            break;
        }
        r = op == 'd' ? a / b - (a % b && (a < 0) != (b < 0))
                      : a % b + (a % b && (a < 0) != (b < 0) ? b : 0);
    }
    if (over) return spar__chat_failed(c, "a number is too large");
    *out = json_integer(r);
    return SPAR_OK;
}

static spar_status arithmetic(spar__chat *c, const char *name, const json_t *a, const json_t *b,
                              json_t **out) {
    char op = !strcmp(name, "//") ? 'd' : !strcmp(name, "**") ? 'p' : name[0];
    if (op == '+' && json_is_string(a) && json_is_string(b)) return join(c, a, b, out);
    if (op == '+' && json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) + json_array_size(b) > SPAR__CHAT_LIST)
            return spar__chat_failed(c, "a list of more than %d items", SPAR__CHAT_LIST);
        SPAR_TRY(spar__chat_step(c, json_array_size(a) + json_array_size(b)));
        *out = json_copy((json_t *)a);
        json_array_extend(*out, (json_t *)b);
        return SPAR_OK;
    }
    if (op == '*' && (json_is_string(a) || json_is_array(a)) && whole(b))
        return repeat(c, a, whole_of(b), out);
    if (op == '*' && json_is_string(b) && whole(a)) return repeat(c, b, whole_of(a), out);
    if (!(whole(a) || json_is_real(a)) || !(whole(b) || json_is_real(b)))
        return spar__chat_failed(c, a == c->undefined || b == c->undefined
                                        ? "operator '%s' with what is undefined"
                                        : "operator '%s' does not take these values", name);
    if (whole(a) && whole(b) && op != '/' && op != 'p')
        return whole_numbers(c, op, whole_of(a), whole_of(b), out);
    double x = real_of(a), y = real_of(b), r = op == '+'   ? x + y
                                               : op == '-' ? x - y
                                               : op == '*' ? x * y
                                               : op == 'p' ? pow(x, y)
                                                           : x / y;
    if ((op == '/' || op == 'd' || op == '%') && y == 0)
        return spar__chat_failed(c, "division by zero");
    if (op == 'd') r = floor(r);
    if (op == '%') r = x - floor(x / y) * y;
    bool exact = op == 'p' && whole(a) && whole(b) && y >= 0 && fabs(r) < 9e15;
    *out = exact ? json_integer((json_int_t)r) : json_real(r);
    return *out ? SPAR_OK : spar__chat_failed(c, "a number is not finite");
}

static spar_status operate(spar__chat *c, const char *op, const json_t *a, const json_t *b,
                           json_t **out) {
    bool yes = false;
    int order = 0;
    if (!strcmp(op, "~")) return join(c, a, b, out);
    if (!strcmp(op, "==") || !strcmp(op, "!=")) {
        SPAR_TRY(spar__chat_equal(c, a, b, &yes));
        yes = yes == (*op == '=');
    } else if (!strcmp(op, "in")) {
        SPAR_TRY(spar__chat_contains(c, a, b, &yes));
    } else if (*op == '<' || *op == '>') {
        SPAR_TRY(spar__chat_order(c, a, b, &order));
        yes = *op == '<' ? order < 0 || (op[1] && !order) : order > 0 || (op[1] && !order);
    } else {
        return arithmetic(c, op, a, b, out);
    }
    *out = json_boolean(yes);
    return SPAR_OK;
}

static spar_status binary(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *a = NULL, *b = NULL;
    spar_status status = spar__chat_value(c, n->a, &a);
    if (!status) status = spar__chat_value(c, n->b, &b);
    c->line = n->line;
    if (!status) status = operate(c, n->text, a, b, out);
    json_decref(a);
    json_decref(b);
    return status;
}

/* and, or give one of their values; x if y else z. */
static spar_status choose(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *value;
    SPAR_TRY(spar__chat_value(c, n->kind == NODE_CHOOSE ? n->c : n->a, &value));
    bool yes = spar__chat_true(c, value);
    if (n->kind != NODE_CHOOSE && yes == (n->kind == NODE_OR)) return *out = value, SPAR_OK;
    json_decref(value);
    const spar__node *then = n->kind == NODE_CHOOSE && yes ? n->a : n->b;
    if (!then) return *out = json_incref(c->undefined), SPAR_OK;
    return spar__chat_value(c, then, out);
}

/* ---- Parts of values ---- */

static spar_status slice(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *of = NULL, *list = NULL;
    int64_t at[3] = {0, 0, 1};
    bool given[3] = {false};
    int i = 0;
    spar_status status = spar__chat_value(c, n->a, &of);
    for (const spar__node *p = n->list; !status && p; p = p->next, i++) {
        json_t *value = NULL;
        if (p->kind == NODE_PASS) continue;
        status = spar__chat_value(c, p, &value);
        if (!status && json_is_integer(value)) at[i] = json_integer_value(value), given[i] = true;
        else if (!status && !json_is_null(value))
            status = spar__chat_failed(c, "a slice: expected whole numbers");
        json_decref(value);
    }
    if (!status && !at[2]) status = spar__chat_failed(c, "a slice with step 0");
    if (!status && !json_is_array(of) && !json_is_string(of))
        status = spar__chat_failed(c, "a slice of what is neither list nor text");
    if (!status) status = spar__chat_list(c, of, &list);
    if (!status) {
        int64_t size = (int64_t)json_array_size(list), step = at[2];
        for (int k = 0; k < 2; k++) {
            int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
            if (!given[k]) at[k] = (k == 0) == (step > 0) ? low : high;
            else {
                if (at[k] < 0) at[k] += size;
                at[k] = at[k] < low ? low : at[k] > high ? high : at[k];
            }
        }
        json_t *made = json_array();
        for (int64_t k = at[0]; step > 0 ? k < at[1] : k > at[1];) {
            json_array_append(made, json_array_get(list, (size_t)k));
            if (__builtin_add_overflow(k, step, &k)) break;
        }
        spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
        for (size_t k = 0; json_is_string(of) && !status && k < json_array_size(made); k++)
            status = spar__chat_print(c, json_array_get(made, k), false, &text);
        if (!status && json_is_string(of)) status = spar__chat_text(c, text.bytes, text.length, out);
        else if (!status) *out = json_incref(made);
        spar__buffer_free(&text);
        json_decref(made);
    }
    json_decref(list);
    json_decref(of);
    return status;
}

static spar_status item(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *of = NULL, *key = NULL;
    spar_status status = spar__chat_value(c, n->a, &of);
    if (!status && n->kind == NODE_ITEM) status = spar__chat_value(c, n->b, &key);
    else if (!status) key = n->value ? json_incref(n->value) : json_string(n->text);
    c->line = n->line;
    if (!status && of == c->undefined && n->a->kind == NODE_NAME)
        status = spar__chat_failed(c, "'%s' is undefined", n->a->text);
    if (!status) status = spar__chat_item(c, of, key, out);
    json_decref(of);
    json_decref(key);
    return status;
}

static spar_status collect(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *made = n->kind == NODE_LIST ? json_array() : json_object(), *value, *key;
    spar_status status = SPAR_OK;
    for (const spar__node *p = n->list; !status && p; p = p->next) {
        if (n->kind == NODE_LIST) {
            status = spar__chat_value(c, p, &value);
            if (!status) json_array_append_new(made, value);
            continue;
        }
        status = spar__chat_value(c, p->a, &key);
        if (status) break;
        status = spar__chat_value(c, p->b, &value);
        if (!status && !json_is_string(key)) status = spar__chat_failed(c, "a key that is no text");
        if (!status) json_object_set(made, json_string_value(key), value);
        if (!status || value) json_decref(status ? NULL : value);
        json_decref(key);
    }
    if (!status) status = spar__chat_check(c, made, NULL, 0);
    if (status) json_decref(made);
    else *out = made;
    return status;
}

/* A filter or a test with its arguments. */
static spar_status applied(spar__chat *c, const spar__node *n, json_t **out) {
    spar__arguments a = {0};
    json_t *value = NULL;
    bool yes = false;
    spar_status status = spar__chat_value(c, n->a, &value);
    if (!status) status = arguments(c, n->list, &a);
    c->line = n->line;
    if (!status && n->kind == NODE_FILTER) status = spar__chat_filter(c, n->text, value, &a, out);
    else if (!status) {
        status = spar__chat_test(c, n->text, value, &a, &yes);
        if (!status) *out = json_boolean(yes);
    }
    spar__arguments_free(&a);
    json_decref(value);
    return status;
}

static spar_status negate(spar__chat *c, const spar__node *n, json_t **out) {
    json_t *value;
    SPAR_TRY(spar__chat_value(c, n->a, &value));
    spar_status status = SPAR_OK;
    if (n->kind == NODE_NOT) *out = json_boolean(!spar__chat_true(c, value));
    else if (json_is_real(value)) *out = json_real(-json_real_value(value));
    else if (whole(value)) status = whole_numbers(c, '-', 0, whole_of(value), out);
    else status = spar__chat_failed(c, "minus what is no number");
    json_decref(value);
    return status;
}

spar_status spar__chat_value(spar__chat *c, const spar__node *n, json_t **out) {
    SPAR_TRY(spar__chat_step(c, 1));
    *out = NULL;
    switch (n->kind) {
    case NODE_CONSTANT: return *out = json_incref(n->value), SPAR_OK;
    case NODE_NAME: return *out = json_incref(look_up(c, n->text)), SPAR_OK;
    case NODE_LIST:
    case NODE_DICT: return collect(c, n, out);
    case NODE_ATTRIBUTE:
    case NODE_ITEM: return item(c, n, out);
    case NODE_SLICE: return slice(c, n, out);
    case NODE_CALL: return call(c, n, out);
    case NODE_FILTER:
    case NODE_TEST: return applied(c, n, out);
    case NODE_NOT:
    case NODE_NEGATE: return negate(c, n, out);
    case NODE_AND:
    case NODE_OR:
    case NODE_CHOOSE: return choose(c, n, out);
    default: return binary(c, n, out);
    }
}
