/* Reading what is said: by libedit on a terminal, else line by line; Ctrl-C. */
#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat.h"

static volatile sig_atomic_t stopped;

static void on_interrupt(int number) {
    (void)number;
    stopped = 1;
}

void chat_listen(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    stopped = 0;
    sigaction(SIGINT, &action, NULL);
}

bool chat_stopped(void) { return stopped != 0; }

bool isatty_input(void) { return isatty(STDIN_FILENO); }

struct chat_reader {
    EditLine *edit;
    History *history;
    bool more; /* within a message of several lines */
};

static char *prompt(EditLine *edit) {
    chat_reader *reader = NULL;
    static char first[] = "> ", next[] = ". ";
    el_get(edit, EL_CLIENTDATA, &reader);
    return reader && reader->more ? next : first;
}

chat_reader *chat_reader_open(void) {
    chat_reader *r = calloc(1, sizeof *r);
    HistEvent event;
    if (!r || !isatty_input() || cli.json) return r;
    r->edit = el_init("spar", stdin, stderr, stderr);
    r->history = history_init();
    if (r->edit && r->history) {
        history(r->history, &event, H_SETSIZE, 1000);
        el_set(r->edit, EL_CLIENTDATA, r);
        el_set(r->edit, EL_PROMPT, prompt);
        el_set(r->edit, EL_EDITOR, "emacs");
        el_set(r->edit, EL_HIST, history, r->history);
        el_source(r->edit, NULL);
    }
    return r;
}

bool chat_reader_terminal(const chat_reader *r) { return r->edit != NULL; }

/* One line without its end, to be freed; NULL at the end. */
static char *read_line(chat_reader *r, bool *interrupted) {
    char *line = NULL;
    size_t room = 0;
    *interrupted = false;
    chat_listen();
    if (r->edit) {
        int count = 0;
        const char *text = el_gets(r->edit, &count);
        if (text && count > 0) line = strndup(text, (size_t)count);
        else if (chat_stopped()) *interrupted = true;
    } else if (getline(&line, &room, stdin) < 0) {
        free(line);
        line = NULL;
    }
    if (line) line[strcspn(line, "\r\n")] = 0;
    return line;
}

static char *joined(char *first, char *second) {
    size_t n = first ? strlen(first) : 0, m = strlen(second);
    char *both = realloc(first, n + m + 2);
    if (both) {
        if (first) both[n++] = '\n';
        memcpy(both + n, second, m + 1);
    }
    free(second);
    return both;
}

char *chat_read(chat_reader *r) {
    char *message = NULL, *line;
    bool quoted = false, interrupted;
    r->more = false;
    for (;;) {
        line = read_line(r, &interrupted);
        if (interrupted) { /* what was typed is dropped */
            fprintf(stderr, "(Ctrl-D or /quit leaves)\n");
            el_reset(r->edit);
            free(message);
            message = NULL;
            quoted = r->more = false;
            continue;
        }
        if (!line) break;
        size_t n = strlen(line);
        if (!r->more && n >= 3 && !strncmp(line, "\"\"\"", 3)) {
            quoted = true;
            memmove(line, line + 3, n - 2);
            n -= 3;
        }
        bool closes = quoted && n >= 3 && !strcmp(line + n - 3, "\"\"\"");
        bool goes_on = !quoted && n && line[n - 1] == '\\';
        if (closes) line[n - 3] = 0;
        if (goes_on) line[n - 1] = 0;
        message = joined(message, line);
        r->more = (quoted && !closes) || goes_on;
        if (!r->more) break;
    }
    HistEvent event;
    if (message && *message && r->history) history(r->history, &event, H_ENTER, message);
    return message;
}

void chat_reader_close(chat_reader *r) {
    if (r->edit) el_end(r->edit);
    if (r->history) history_end(r->history);
    free(r);
}
