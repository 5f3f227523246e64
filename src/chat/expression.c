/* Expressions, in Jinja's order of precedence: x if y else z; or; and; not; comparisons and in; + −;
 * ~; * / // %; **; signs; then attributes, items and calls; filters and tests bind tightest. */
#include <string.h>

#include "chat/node.h"

static spar_status enter(spar__parser *p) {
    if (++p->depth <= 4 * SPAR__CHAT_DEPTH) return SPAR_OK;
    return spar__fail(SPAR_ERR_LIMIT, "%s: line %d: an expression is nested too deeply", p->name,
                      p->tokens->at[p->at].line);
}

static spar_status binary(spar__parser *p, spar__node_kind kind, const char *operator_,
                          spar__node *left, spar__node **out) {
    SPAR_TRY(spar__node_new(p, kind, out));
    (*out)->text = operator_;
    (*out)->a = left;
    return SPAR_OK;
}

spar_status spar__parse_arguments(spar__parser *p, spar__node **list) {
    spar__node **last = list;
    *list = NULL;
    for (; !spar__token_take(p, TOKEN_OPERATOR, ")"); last = &(*last)->next) {
        if (*list) {
            SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, ","));
            if (spar__token_take(p, TOKEN_OPERATOR, ")")) return SPAR_OK;
        }
        spar__parser ahead = *p;
        ahead.at++;
        if (spar__token_is(p, TOKEN_NAME, NULL) && spar__token_is(&ahead, TOKEN_OPERATOR, "=")) {
            SPAR_TRY(spar__node_new(p, NODE_KEYWORD, last));
            SPAR_TRY(spar__token_text(p, &(*last)->text));
            p->at += 2;
            SPAR_TRY(spar__parse_expression(p, &(*last)->a));
        } else {
            SPAR_TRY(spar__parse_expression(p, last));
        }
    }
    return SPAR_OK;
}

/* Elements up to `end`; of a dictionary NODE_PAIR with a: key, b: value. */
static spar_status elements(spar__parser *p, const char *end, bool pairs, spar__node **list) {
    spar__node **last = list;
    while (!spar__token_take(p, TOKEN_OPERATOR, end)) {
        if (*list) {
            SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, ","));
            if (spar__token_take(p, TOKEN_OPERATOR, end)) return SPAR_OK;
        }
        if (pairs) {
            SPAR_TRY(spar__node_new(p, NODE_PAIR, last));
            SPAR_TRY(spar__parse_expression(p, &(*last)->a));
            SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, ":"));
            SPAR_TRY(spar__parse_expression(p, &(*last)->b));
        } else {
            SPAR_TRY(spar__parse_expression(p, last));
        }
        last = &(*last)->next;
    }
    return SPAR_OK;
}

static spar_status constant(spar__parser *p, json_t *value, spar__node **out) {
    SPAR_TRY(spar__node_new(p, NODE_CONSTANT, out));
    (*out)->value = value;
    p->at++;
    return SPAR_OK;
}

static spar_status name(spar__parser *p, spar__node **out) {
    static const struct {
        const char *name;
        int value; /* 1, 0, or −1 for none */
    } constants[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", -1}, {"None", -1}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (spar__token_is(p, TOKEN_NAME, constants[i].name))
            return constant(p, constants[i].value < 0 ? json_null() : json_boolean(constants[i].value),
                            out);
    SPAR_TRY(spar__node_new(p, NODE_NAME, out));
    SPAR_TRY(spar__token_text(p, &(*out)->text));
    p->at++;
    return SPAR_OK;
}

static spar_status primary(spar__parser *p, spar__node **out) {
    const spar__token *t = &p->tokens->at[p->at];
    if (t->type == TOKEN_NAME) return name(p, out);
    if (t->type == TOKEN_INTEGER || t->type == TOKEN_REAL) return constant(p, t->value, out);
    if (t->type == TOKEN_STRING) {
        SPAR_TRY(constant(p, t->value, out));
        while (spar__token_is(p, TOKEN_STRING, NULL)) { /* "a" "b" is one string */
            spar__node *joined, *right;
            SPAR_TRY(binary(p, NODE_BINARY, "~", *out, &joined));
            SPAR_TRY(constant(p, p->tokens->at[p->at].value, &right));
            joined->b = right;
            *out = joined;
        }
        return SPAR_OK;
    }
    if (spar__token_take(p, TOKEN_OPERATOR, "(")) {
        if (spar__token_take(p, TOKEN_OPERATOR, ")")) return spar__node_new(p, NODE_LIST, out);
        SPAR_TRY(spar__parse_tuple(p, out));
        return spar__token_expect(p, TOKEN_OPERATOR, ")");
    }
    bool list = spar__token_take(p, TOKEN_OPERATOR, "[");
    if (!list && !spar__token_take(p, TOKEN_OPERATOR, "{"))
        return spar__parse_failed(p, "an expression");
    SPAR_TRY(spar__node_new(p, list ? NODE_LIST : NODE_DICT, out));
    return elements(p, list ? "]" : "}", !list, &(*out)->list);
}

/* [x] (b) or [from:to:step] (NODE_SLICE: list of up to three, absent ones NODE_PASS). */
static spar_status subscript(spar__parser *p, spar__node *of, spar__node **out) {
    spar__node *parts[3] = {NULL}, *n;
    int count = 0;
    SPAR_TRY(spar__node_new(p, NODE_ITEM, &n));
    n->a = of;
    while (count < 3) {
        if (!spar__token_is(p, TOKEN_OPERATOR, ":") && !spar__token_is(p, TOKEN_OPERATOR, "]"))
            SPAR_TRY(spar__parse_expression(p, &parts[count]));
        count++;
        if (!spar__token_take(p, TOKEN_OPERATOR, ":")) break;
    }
    SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, "]"));
    bool slice = count > 1;
    if (!slice && !parts[0]) return spar__parse_failed(p, "an index");
    n->b = parts[0];
    for (int i = 2; slice && i >= 0; i--) {
        if (!parts[i]) SPAR_TRY(spar__node_new(p, NODE_PASS, &parts[i]));
        parts[i]->next = n->list;
        n->list = parts[i];
    }
    if (slice) n->kind = NODE_SLICE;
    *out = n;
    return SPAR_OK;
}

static spar_status postfix(spar__parser *p, spar__node *node, spar__node **out) {
    for (;;) {
        spar__node *n;
        if (spar__token_take(p, TOKEN_OPERATOR, ".")) {
            SPAR_TRY(spar__node_new(p, NODE_ATTRIBUTE, &n));
            if (!spar__token_is(p, TOKEN_NAME, NULL) && !spar__token_is(p, TOKEN_INTEGER, NULL))
                return spar__parse_failed(p, "a name");
            SPAR_TRY(spar__token_text(p, &n->text));
            if (spar__token_is(p, TOKEN_INTEGER, NULL)) n->value = p->tokens->at[p->at].value;
            p->at++;
            n->a = node;
        } else if (spar__token_take(p, TOKEN_OPERATOR, "[")) {
            SPAR_TRY(subscript(p, node, &n));
        } else if (spar__token_take(p, TOKEN_OPERATOR, "(")) {
            SPAR_TRY(spar__node_new(p, NODE_CALL, &n));
            n->a = node;
            SPAR_TRY(spar__parse_arguments(p, &n->list));
        } else {
            return *out = node, SPAR_OK;
        }
        node = n;
    }
}

/* The argument of a test that is given without brackets: x is divisibleby 3. */
static bool begins_argument(const spar__parser *p) {
    static const char *const others[] = {"else", "or", "and", "is", "if", "in", "not"};
    const spar__token *t = &p->tokens->at[p->at];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (spar__token_is(p, TOKEN_NAME, others[i])) return false;
    return t->type == TOKEN_NAME || t->type == TOKEN_STRING || t->type == TOKEN_INTEGER ||
           t->type == TOKEN_REAL || spar__token_is(p, TOKEN_OPERATOR, "[") ||
           spar__token_is(p, TOKEN_OPERATOR, "{");
}

static spar_status parse_test(spar__parser *p, spar__node *node, spar__node **out) {
    bool inverse = spar__token_take(p, TOKEN_NAME, "not");
    spar__node *n, *negated;
    SPAR_TRY(spar__node_new(p, NODE_TEST, &n));
    if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a test");
    SPAR_TRY(spar__token_text(p, &n->text));
    p->at++;
    n->a = node;
    if (spar__token_take(p, TOKEN_OPERATOR, "(")) SPAR_TRY(spar__parse_arguments(p, &n->list));
    else if (begins_argument(p)) {
        SPAR_TRY(primary(p, &n->list));
        SPAR_TRY(postfix(p, n->list, &n->list));
    }
    *out = n;
    if (!inverse) return SPAR_OK;
    SPAR_TRY(spar__node_new(p, NODE_NOT, &negated));
    negated->a = n;
    *out = negated;
    return SPAR_OK;
}

spar_status spar__parse_filters(spar__parser *p, spar__node *node, spar__node **out) {
    for (;;) {
        spar__node *n;
        if (spar__token_take(p, TOKEN_OPERATOR, "|")) {
            SPAR_TRY(spar__node_new(p, NODE_FILTER, &n));
            if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a filter");
            SPAR_TRY(spar__token_text(p, &n->text));
            p->at++;
            n->a = node;
            if (spar__token_take(p, TOKEN_OPERATOR, "(")) SPAR_TRY(spar__parse_arguments(p, &n->list));
        } else if (spar__token_take(p, TOKEN_NAME, "is")) {
            SPAR_TRY(parse_test(p, node, &n));
        } else {
            return *out = node, SPAR_OK;
        }
        SPAR_TRY(postfix(p, n, &node));
    }
}

static spar_status unary(spar__parser *p, bool filters, spar__node **out) {
    SPAR_TRY(enter(p));
    spar__node *n;
    bool minus = spar__token_take(p, TOKEN_OPERATOR, "-");
    if (minus || spar__token_take(p, TOKEN_OPERATOR, "+")) {
        SPAR_TRY(spar__node_new(p, NODE_NEGATE, &n));
        SPAR_TRY(unary(p, false, &n->a));
        if (!minus) n = n->a;
    } else {
        SPAR_TRY(primary(p, &n));
    }
    SPAR_TRY(postfix(p, n, &n));
    if (filters) SPAR_TRY(spar__parse_filters(p, n, &n));
    p->depth--;
    *out = n;
    return SPAR_OK;
}

/* One level of operators that group from the left; `levels` from loosest to tightest. */
static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
enum { N_LEVELS = sizeof levels / sizeof *levels };

static spar_status arithmetic(spar__parser *p, int level, spar__node **out) {
    if (level == N_LEVELS) return unary(p, true, out);
    SPAR_TRY(arithmetic(p, level + 1, out));
    for (;;) {
        const char *found = NULL;
        for (int i = 0; levels[level][i] && !found; i++)
            if (spar__token_take(p, TOKEN_OPERATOR, levels[level][i])) found = levels[level][i];
        if (!found) return SPAR_OK;
        spar__node *n;
        SPAR_TRY(binary(p, NODE_BINARY, found, *out, &n));
        SPAR_TRY(arithmetic(p, level + 1, &n->b));
        *out = n;
    }
}

/* a < b < c is a < b and b < c. */
static spar_status comparison(spar__parser *p, spar__node **out) {
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    spar__node *left, *all = NULL;
    SPAR_TRY(arithmetic(p, 0, &left));
    for (;;) {
        const char *found = NULL;
        for (size_t i = 0; i < sizeof operators / sizeof *operators && !found; i++)
            if (spar__token_take(p, TOKEN_OPERATOR, operators[i])) found = operators[i];
        spar__parser ahead = *p;
        ahead.at++;
        bool not_in = !found && spar__token_is(p, TOKEN_NAME, "not") &&
                      spar__token_is(&ahead, TOKEN_NAME, "in");
        if (not_in) p->at++;
        if (!found && spar__token_take(p, TOKEN_NAME, "in")) found = "in";
        if (!found) return *out = all ? all : left, SPAR_OK;
        spar__node *n, *both;
        SPAR_TRY(binary(p, NODE_BINARY, found, left, &n));
        SPAR_TRY(arithmetic(p, 0, &n->b));
        left = n->b;
        if (not_in) {
            SPAR_TRY(spar__node_new(p, NODE_NOT, &both));
            both->a = n;
            n = both;
        }
        if (all) {
            SPAR_TRY(binary(p, NODE_AND, "and", all, &both));
            both->b = n;
            n = both;
        }
        all = n;
    }
}

static spar_status negation(spar__parser *p, spar__node **out) {
    if (!spar__token_take(p, TOKEN_NAME, "not")) return comparison(p, out);
    SPAR_TRY(enter(p));
    SPAR_TRY(spar__node_new(p, NODE_NOT, out));
    SPAR_TRY(negation(p, &(*out)->a));
    p->depth--;
    return SPAR_OK;
}

static spar_status conjunction(spar__parser *p, spar__node **out) {
    SPAR_TRY(negation(p, out));
    while (spar__token_take(p, TOKEN_NAME, "and")) {
        spar__node *n;
        SPAR_TRY(binary(p, NODE_AND, "and", *out, &n));
        SPAR_TRY(negation(p, &n->b));
        *out = n;
    }
    return SPAR_OK;
}

spar_status spar__parse_condition(spar__parser *p, spar__node **out) {
    SPAR_TRY(conjunction(p, out));
    while (spar__token_take(p, TOKEN_NAME, "or")) {
        spar__node *n;
        SPAR_TRY(binary(p, NODE_OR, "or", *out, &n));
        SPAR_TRY(conjunction(p, &n->b));
        *out = n;
    }
    return SPAR_OK;
}

/* NODE_CHOOSE, a if c else b; without else: undefined. */
spar_status spar__parse_expression(spar__parser *p, spar__node **out) {
    SPAR_TRY(enter(p));
    SPAR_TRY(spar__parse_condition(p, out));
    while (spar__token_take(p, TOKEN_NAME, "if")) {
        spar__node *n;
        SPAR_TRY(binary(p, NODE_CHOOSE, "if", *out, &n));
        SPAR_TRY(spar__parse_condition(p, &n->c));
        if (spar__token_take(p, TOKEN_NAME, "else")) SPAR_TRY(spar__parse_expression(p, &n->b));
        *out = n;
    }
    p->depth--;
    return SPAR_OK;
}

spar_status spar__parse_tuple(spar__parser *p, spar__node **out) {
    SPAR_TRY(spar__parse_expression(p, out));
    if (!spar__token_is(p, TOKEN_OPERATOR, ",")) return SPAR_OK;
    spar__node *n, **last;
    SPAR_TRY(spar__node_new(p, NODE_LIST, &n));
    n->list = *out;
    for (last = &n->list->next; spar__token_take(p, TOKEN_OPERATOR, ",");) {
        const spar__token *t = &p->tokens->at[p->at];
        if (t->type == TOKEN_BLOCK_END || t->type == TOKEN_VARIABLE_END ||
            spar__token_is(p, TOKEN_OPERATOR, ")"))
            break;
        SPAR_TRY(spar__parse_expression(p, last));
        last = &(*last)->next;
    }
    *out = n;
    return SPAR_OK;
}

/* A name; name.attribute; or several names (NODE_LIST), in brackets or not. */
spar_status spar__parse_target(spar__parser *p, spar__node **out) {
    bool bracket = spar__token_take(p, TOKEN_OPERATOR, "(");
    spar__node *first = NULL, **last = &first, *n;
    do {
        if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a name");
        SPAR_TRY(name(p, last));
        if ((*last)->kind != NODE_NAME) return spar__parse_failed(p, "a name to set");
        if (spar__token_take(p, TOKEN_OPERATOR, ".")) {
            SPAR_TRY(spar__node_new(p, NODE_ATTRIBUTE, &n));
            if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a name");
            SPAR_TRY(spar__token_text(p, &n->text));
            p->at++;
            n->a = *last;
            *last = n;
        }
        last = &(*last)->next;
    } while (spar__token_take(p, TOKEN_OPERATOR, ","));
    if (bracket) SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, ")"));
    *out = first;
    if (!first->next) return SPAR_OK;
    SPAR_TRY(spar__node_new(p, NODE_LIST, out));
    (*out)->list = first;
    return SPAR_OK;
}
