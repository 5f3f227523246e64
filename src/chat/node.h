/* Chat templates: the part of the Jinja language (jinja.palletsprojects.com) that published templates
 * use. Source becomes tokens (lex.c), tokens a tree (parse.c, expression.c), and the tree is run
 * (run.c, evaluate.c). Values are JSON values; an undefined one is a mark of its own. */
#ifndef SPAR_CHAT_NODE_H
#define SPAR_CHAT_NODE_H

#include <jansson.h>

#include "base/buffer.h"
#include "base/memory.h"

enum { SPAR__CHAT_DEPTH = 64 }; /* of nested expressions and statements, and of macro calls */

typedef enum spar__token_type {
    TOKEN_DATA, TOKEN_VARIABLE, TOKEN_VARIABLE_END, TOKEN_BLOCK, TOKEN_BLOCK_END, TOKEN_NAME,
    TOKEN_INTEGER, TOKEN_REAL, TOKEN_STRING, TOKEN_OPERATOR, TOKEN_END
} spar__token_type;

typedef struct spar__token {
    spar__token_type type;
    int line;
    const char *text; /* of names, operators and data: in the source */
    size_t length;
    json_t *value; /* of strings and numbers */
} spar__token;

typedef struct spar__tokens {
    spar__token *at;
    size_t count, capacity;
} spar__tokens;

/* With trim_blocks and lstrip_blocks, as the transformers library sets them. `name` is for messages. */
spar_status spar__chat_lex(const char *name, const char *source, size_t length, spar__tokens *out);
void spar__tokens_free(spar__tokens *tokens);

typedef enum spar__node_kind {
    /* statements */
    NODE_DATA, NODE_PRINT, NODE_IF, NODE_FOR, NODE_SET, NODE_SET_BLOCK, NODE_MACRO, NODE_FILTER_BLOCK,
    NODE_PASS, NODE_BREAK, NODE_CONTINUE,
    /* expressions */
    NODE_CONSTANT, NODE_NAME, NODE_LIST, NODE_DICT, NODE_PAIR, NODE_ATTRIBUTE, NODE_ITEM, NODE_SLICE,
    NODE_CALL, NODE_KEYWORD, NODE_FILTER, NODE_TEST, NODE_NOT, NODE_NEGATE, NODE_BINARY, NODE_AND,
    NODE_OR, NODE_CHOOSE
} spar__node_kind;

/* What a, b, c and list hold is said where the parser makes them. */
typedef struct spar__node {
    spar__node_kind kind;
    int line;
    const char *text; /* a name or an operator, 0-terminated; data: `length` bytes */
    size_t length;
    json_t *value; /* owned by the token */
    struct spar__node *a, *b, *c, *list, *next;
} spar__node;

typedef struct spar__parser {
    const char *name;
    spar__arena *arena;
    const spar__tokens *tokens;
    size_t at;
    int depth, loops;
} spar__parser;

spar_status spar__chat_parse(spar__parser *parser, spar__node **out); /* the list of statements */

/* Shared by the two halves of the parser. */
spar_status spar__parse_expression(spar__parser *p, spar__node **out); /* with a ? : and tuples not */
spar_status spar__parse_tuple(spar__parser *p, spar__node **out);      /* a, b is a list */
spar_status spar__parse_condition(spar__parser *p, spar__node **out);  /* no `x if y` */
spar_status spar__parse_filters(spar__parser *p, spar__node *node, spar__node **out);
spar_status spar__parse_target(spar__parser *p, spar__node **out); /* a, b or a.b */
spar_status spar__parse_arguments(spar__parser *p, spar__node **list);
spar_status spar__node_new(spar__parser *p, spar__node_kind kind, spar__node **out);
spar_status spar__token_text(spar__parser *p, const char **out); /* a copy of the token's text */
bool spar__token_is(const spar__parser *p, spar__token_type type, const char *text);
bool spar__token_take(spar__parser *p, spar__token_type type, const char *text);
spar_status spar__token_expect(spar__parser *p, spar__token_type type, const char *text);
spar_status spar__parse_failed(const spar__parser *p, const char *expected);

#endif
