/* The parts of spar chat. */
#ifndef SPAR_CLI_CHAT_H
#define SPAR_CLI_CHAT_H

#include "cli.h"
#include "spar/chat.h"
#include "spar/session.h"

enum { CHAT_GO_ON, CHAT_QUIT };

typedef struct chat {
    const char *path, *system, *template_path;
    int64_t max_tokens, context;
    spar_sampler_options sampler;
    spar_model *model;
    spar_session *session;
    spar_chat_template *form;
    json_t *messages;
    char *end_of_turn; /* what the template puts behind an answer; NULL: nothing that could be found */
    size_t last_tokens, last_prompt;
    double last_seconds, last_prompt_seconds;
    bool failed;
    char problem[256]; /* of the last answer, where it is not the library's */
} chat;

int chat_open(chat *c); /* an exit code */
void chat_close(chat *c);
void chat_reset(chat *c);
bool chat_undo(chat *c);      /* the last question and its answer */
bool chat_take_back(chat *c); /* the last answer */
void chat_system(chat *c, const char *text);
bool chat_load(chat *c, json_t *messages); /* takes the list when it is one of messages */
spar_status chat_ask(chat *c, const char *text);
spar_status chat_answer(chat *c); /* to the last question */

/* Lines from a terminal, with editing and history, or from a pipe. */
typedef struct chat_reader chat_reader;
chat_reader *chat_reader_open(void);
bool chat_reader_terminal(const chat_reader *reader);
char *chat_read(chat_reader *reader); /* one message or command, to be freed; NULL at the end */
void chat_reader_close(chat_reader *reader);
bool isatty_input(void);
/* Ctrl-C since the last call of chat_listen. */
void chat_listen(void);
bool chat_stopped(void);

#endif
