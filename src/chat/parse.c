/* Statements. */
#include <string.h>

#include "chat/node.h"

spar_status spar__node_new(spar__parser *p, spar__node_kind kind, spar__node **out) {
    spar__node *n = spar__arena_take(p->arena, sizeof *n);
    if (!n) return SPAR_ERR_MEMORY;
    *n = (spar__node){.kind = kind, .line = p->tokens->at[p->at].line};
    *out = n;
    return SPAR_OK;
}

spar_status spar__token_text(spar__parser *p, const char **out) {
    const spar__token *t = &p->tokens->at[p->at];
    char *copy = spar__arena_take(p->arena, t->length + 1);
    if (!copy) return SPAR_ERR_MEMORY;
    memcpy(copy, t->text, t->length);
    copy[t->length] = 0;
    *out = copy;
    return SPAR_OK;
}

bool spar__token_is(const spar__parser *p, spar__token_type type, const char *text) {
    const spar__token *t = &p->tokens->at[p->at];
    return t->type == type &&
           (!text || (strlen(text) == t->length && !memcmp(text, t->text, t->length)));
}

bool spar__token_take(spar__parser *p, spar__token_type type, const char *text) {
    bool is = spar__token_is(p, type, text);
    p->at += is;
    return is;
}

spar_status spar__parse_failed(const spar__parser *p, const char *expected) {
    const spar__token *t = &p->tokens->at[p->at];
    char *string = t->type == TOKEN_STRING ? json_dumps(t->value, JSON_ENCODE_ANY) : NULL;
    const char *what = t->type == TOKEN_END                                            ? "the end"
                       : t->type == TOKEN_BLOCK_END || t->type == TOKEN_VARIABLE_END ? "the tag's end"
                       : t->type == TOKEN_DATA                                         ? "text"
                                                                                       : NULL;
    spar_status status =
        spar__fail(SPAR_ERR_FORMAT, "%s: line %d: found '%.*s', expected %s", p->name, t->line,
                   what || string ? 40 : (int)(t->length < 40 ? t->length : 40),
                   what ? what : string ? string : t->text, expected);
    free(string);
    return status;
}

spar_status spar__token_expect(spar__parser *p, spar__token_type type, const char *text) {
    if (spar__token_take(p, type, text)) return SPAR_OK;
    return spar__parse_failed(p, text ? text : type == TOKEN_NAME ? "a name" : "the tag's end");
}

static spar_status block_end(spar__parser *p) { return spar__token_expect(p, TOKEN_BLOCK_END, NULL); }

static spar_status statements(spar__parser *p, const char *const *ends, spar__node **out);

/* The body up to one of the words that end it, which is left to be read. */
static spar_status body(spar__parser *p, const char *const *ends, spar__node **out) {
    SPAR_TRY(block_end(p));
    return statements(p, ends, out);
}

static spar_status closed(spar__parser *p, const char *end, spar__node **out) {
    const char *const ends[] = {end, NULL};
    SPAR_TRY(body(p, ends, out));
    p->at++; /* the word */
    return block_end(p);
}

/* a: condition, list: body, b: what else. */
static spar_status parse_if(spar__parser *p, spar__node **out) {
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    spar__node *n;
    SPAR_TRY(spar__node_new(p, NODE_IF, &n));
    SPAR_TRY(spar__parse_expression(p, &n->a));
    SPAR_TRY(body(p, ends, &n->list));
    *out = n;
    if (spar__token_take(p, TOKEN_NAME, "elif")) return parse_if(p, &n->b);
    if (spar__token_take(p, TOKEN_NAME, "else")) SPAR_TRY(body(p, last, &n->b));
    SPAR_TRY(spar__token_expect(p, TOKEN_NAME, "endif"));
    return block_end(p);
}

/* a: target, b: what is iterated, c: condition; list: body, value of `text` unused; the else branch
 * hangs below an extra NODE_PASS at the head of the list. */
static spar_status parse_for(spar__parser *p, spar__node **out) {
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    spar__node *n, *otherwise, *inside;
    SPAR_TRY(spar__node_new(p, NODE_FOR, &n));
    SPAR_TRY(spar__node_new(p, NODE_PASS, &otherwise));
    SPAR_TRY(spar__parse_target(p, &n->a));
    SPAR_TRY(spar__token_expect(p, TOKEN_NAME, "in"));
    SPAR_TRY(spar__parse_condition(p, &n->b));
    if (spar__token_take(p, TOKEN_NAME, "if")) SPAR_TRY(spar__parse_expression(p, &n->c));
    if (spar__token_is(p, TOKEN_NAME, "recursive"))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: 'recursive' loops are not supported",
                          p->name, n->line);
    p->loops++;
    SPAR_TRY(body(p, ends, &inside));
    p->loops--;
    if (spar__token_take(p, TOKEN_NAME, "else")) SPAR_TRY(body(p, last, &otherwise->list));
    SPAR_TRY(spar__token_expect(p, TOKEN_NAME, "endfor"));
    otherwise->next = inside;
    n->list = otherwise;
    *out = n;
    return block_end(p);
}

/* a: target, b: value or (set block) c: filters around the text, list: body. */
static spar_status parse_set(spar__parser *p, spar__node **out) {
    spar__node *n, *text;
    SPAR_TRY(spar__node_new(p, NODE_SET, &n));
    SPAR_TRY(spar__parse_target(p, &n->a));
    *out = n;
    if (spar__token_take(p, TOKEN_OPERATOR, "=")) {
        SPAR_TRY(spar__parse_tuple(p, &n->b));
        return block_end(p);
    }
    n->kind = NODE_SET_BLOCK;
    SPAR_TRY(spar__node_new(p, NODE_CONSTANT, &text));
    n->b = text; /* its value is put in when the body has run */
    SPAR_TRY(spar__parse_filters(p, text, &n->c));
    return closed(p, "endset", &n->list);
}

/* text: name; a: parameters (NODE_KEYWORD, a: default or NULL); list: body. */
static spar_status parse_macro(spar__parser *p, spar__node **out) {
    spar__node *n, **last;
    SPAR_TRY(spar__node_new(p, NODE_MACRO, &n));
    if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a name");
    SPAR_TRY(spar__token_text(p, &n->text));
    p->at++;
    SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, "("));
    for (last = &n->a; !spar__token_take(p, TOKEN_OPERATOR, ")"); last = &(*last)->next) {
        if (n->a) SPAR_TRY(spar__token_expect(p, TOKEN_OPERATOR, ","));
        SPAR_TRY(spar__node_new(p, NODE_KEYWORD, last));
        if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a name");
        SPAR_TRY(spar__token_text(p, &(*last)->text));
        p->at++;
        if (spar__token_take(p, TOKEN_OPERATOR, "="))
            SPAR_TRY(spar__parse_expression(p, &(*last)->a));
    }
    int loops = p->loops;
    p->loops = 0;
    SPAR_TRY(closed(p, "endmacro", &n->list));
    p->loops = loops;
    *out = n;
    return SPAR_OK;
}

/* b: the text's place, c: filters around it, list: body. */
static spar_status parse_filter(spar__parser *p, spar__node **out) {
    spar__node *n;
    SPAR_TRY(spar__node_new(p, NODE_FILTER_BLOCK, &n));
    SPAR_TRY(spar__node_new(p, NODE_CONSTANT, &n->b));
    SPAR_TRY(spar__node_new(p, NODE_FILTER, &n->c));
    n->c->a = n->b;
    if (!spar__token_is(p, TOKEN_NAME, NULL)) return spar__parse_failed(p, "a filter");
    SPAR_TRY(spar__token_text(p, &n->c->text));
    p->at++;
    if (spar__token_take(p, TOKEN_OPERATOR, "(")) SPAR_TRY(spar__parse_arguments(p, &n->c->list));
    SPAR_TRY(spar__parse_filters(p, n->c, &n->c));
    *out = n;
    return closed(p, "endfilter", &n->list);
}

static spar_status parse_jump(spar__parser *p, spar__node_kind kind, spar__node **out) {
    if (!p->loops) return spar__parse_failed(p, "a loop around break and continue");
    SPAR_TRY(spar__node_new(p, kind, out));
    return block_end(p);
}

static spar_status statement(spar__parser *p, spar__node **out) {
    if (spar__token_take(p, TOKEN_NAME, "if")) return parse_if(p, out);
    if (spar__token_take(p, TOKEN_NAME, "for")) return parse_for(p, out);
    if (spar__token_take(p, TOKEN_NAME, "set")) return parse_set(p, out);
    if (spar__token_take(p, TOKEN_NAME, "macro")) return parse_macro(p, out);
    if (spar__token_take(p, TOKEN_NAME, "filter")) return parse_filter(p, out);
    if (spar__token_take(p, TOKEN_NAME, "break")) return parse_jump(p, NODE_BREAK, out);
    if (spar__token_take(p, TOKEN_NAME, "continue")) return parse_jump(p, NODE_CONTINUE, out);
    if (spar__token_take(p, TOKEN_NAME, "generation")) { /* marks what the assistant said */
        SPAR_TRY(spar__node_new(p, NODE_PASS, out));
        return closed(p, "endgeneration", &(*out)->list);
    }
    const spar__token *t = &p->tokens->at[p->at];
    if (t->type != TOKEN_NAME) return spar__parse_failed(p, "a statement");
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: statement '%.*s' is not supported", p->name,
                      t->line, (int)(t->length < 40 ? t->length : 40), t->text);
}

static bool at_end(const spar__parser *p, const char *const *ends) {
    if (p->tokens->at[p->at].type != TOKEN_BLOCK) return false;
    spar__parser next = *p;
    next.at++;
    for (; ends && *ends; ends++)
        if (spar__token_is(&next, TOKEN_NAME, *ends)) return true;
    return false;
}

static spar_status statements(spar__parser *p, const char *const *ends, spar__node **out) {
    if (++p->depth > SPAR__CHAT_DEPTH)
        return spar__fail(SPAR_ERR_LIMIT, "%s: line %d: nested more than %d deep", p->name,
                          p->tokens->at[p->at].line, SPAR__CHAT_DEPTH);
    *out = NULL;
    for (spar__node **last = out; !at_end(p, ends); last = &(*last)->next) {
        const spar__token *t = &p->tokens->at[p->at];
        if (t->type == TOKEN_END) {
            if (!ends) break;
            return spar__parse_failed(p, ends[0]);
        }
        p->at++;
        if (t->type == TOKEN_DATA) {
            p->at--;
            SPAR_TRY(spar__node_new(p, NODE_DATA, last));
            p->at++;
            (*last)->text = t->text;
            (*last)->length = t->length;
        } else if (t->type == TOKEN_VARIABLE) {
            SPAR_TRY(spar__node_new(p, NODE_PRINT, last));
            SPAR_TRY(spar__parse_tuple(p, &(*last)->a));
            SPAR_TRY(spar__token_expect(p, TOKEN_VARIABLE_END, NULL));
        } else {
            SPAR_TRY(statement(p, last));
        }
    }
    if (ends) p->at++; /* the tag; its word comes next */
    p->depth--;
    return SPAR_OK;
}

spar_status spar__chat_parse(spar__parser *p, spar__node **out) { return statements(p, NULL, out); }
