/* A template under way: variables, output, and what limits it. */
#ifndef SPAR_CHAT_RUN_H
#define SPAR_CHAT_RUN_H

#include "chat/node.h"

enum { SPAR__CHAT_STEPS = 4000000, SPAR__CHAT_TEXT = 1 << 26, SPAR__CHAT_LIST = 1 << 20,
       SPAR__CHAT_ARGUMENTS = 8 };

typedef struct spar__frame {
    json_t *variables;
    struct spar__frame *parent;
} spar__frame;

typedef struct spar__chat {
    const char *name;
    int line; /* of the node at work, for messages */
    spar__buffer *out;
    spar__frame *top, *root;
    json_t *undefined; /* one object that stands for it, known by its address */
    const spar__node *macros[256];
    int n_macros;
    size_t steps;
    int depth;
    enum { GO_ON, BREAK, CONTINUE } jump;
} spar__chat;

typedef struct spar__arguments {
    json_t *at[SPAR__CHAT_ARGUMENTS]; /* owned */
    int count;
    json_t *named; /* owned; NULL: none */
} spar__arguments;

spar_status spar__chat_failed(const spar__chat *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
spar_status spar__chat_step(spar__chat *c, size_t steps);

/* Statements: text goes to c->out. */
spar_status spar__chat_run(spar__chat *c, const spar__node *list);
/* *out is a new reference. */
spar_status spar__chat_value(spar__chat *c, const spar__node *node, json_t **out);
spar_status spar__chat_call_macro(spar__chat *c, int index, spar__arguments *a, json_t **out);
spar_status spar__chat_filter(spar__chat *c, const char *name, json_t *value, spar__arguments *a,
                              json_t **out);
spar_status spar__chat_test(spar__chat *c, const char *name, json_t *value, spar__arguments *a,
                            bool *out);
spar_status spar__chat_method(spar__chat *c, const char *name, json_t *value, spar__arguments *a,
                              json_t **out);
/* Global functions: range, namespace, dict, raise_exception, strftime_now. */
spar_status spar__chat_function(spar__chat *c, const char *name, spar__arguments *a, json_t **out);

/* The argument at `index` or called `name`; NULL when it is absent. Borrowed. */
json_t *spar__argument(const spar__arguments *a, int index, const char *name);
spar_status spar__argument_int(spar__chat *c, const spar__arguments *a, int index, const char *name,
                               int64_t otherwise, int64_t *out);
void spar__arguments_free(spar__arguments *a);

bool spar__chat_true(const spar__chat *c, const json_t *value);
spar_status spar__chat_equal(spar__chat *c, const json_t *a, const json_t *b, bool *out);
spar_status spar__chat_order(spar__chat *c, const json_t *a, const json_t *b, int *out);
spar_status spar__chat_contains(spar__chat *c, const json_t *value, const json_t *in, bool *out);
/* The value of a key, an index or an attribute; undefined when there is none. */
spar_status spar__chat_item(spar__chat *c, json_t *of, json_t *key, json_t **out);
/* What is iterated as a list: elements, keys, characters. */
spar_status spar__chat_list(spar__chat *c, json_t *value, json_t **out);
/* How deep values nest is limited; `forbidden`, when not NULL, may not be in it. */
spar_status spar__chat_check(spar__chat *c, const json_t *value, const json_t *forbidden, int depth);

/* A new string, NULL when there is no memory or it is not UTF-8: *out is owned. */
spar_status spar__chat_text(spar__chat *c, const char *bytes, size_t length, json_t **out);
/* Text as Python's str() gives it; `quoted`: as repr(). */
spar_status spar__chat_print(spar__chat *c, const json_t *value, bool quoted, spar__buffer *out);
/* The same for a value as a string, borrowed or made: *text is valid until `room` is freed. */
typedef struct spar__json_style {
    int indent; /* −1: one line */
    bool ascii, sort;
    const char *comma, *colon;
} spar__json_style;
spar_status spar__chat_json(spar__chat *c, const json_t *value, const spar__json_style *style,
                            int depth, spar__buffer *out);

#define SPAR__CHAT_MACRO     "\x01macro"
#define SPAR__CHAT_NAMESPACE "\x01namespace"
#define SPAR__CHAT_LOOP      "\x01loop"

#endif
