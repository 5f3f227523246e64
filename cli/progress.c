/* Progress on standard error, and Ctrl-C. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;
static struct timespec interrupted_at;

/* A second Ctrl-C ends the process at once; but timeout(1) and some shells deliver one signal twice,
 * to the process and to its group. */
static void on_signal(int number) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double since = (double)(now.tv_sec - interrupted_at.tv_sec) + 1e-9 * (double)(now.tv_nsec - interrupted_at.tv_nsec);
    if (interrupted && since > 0.3) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    if (!interrupted) interrupted_at = now;
    interrupted = 1;
}

void cli_catch_interrupt(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void) { return interrupted != 0; }

/* The piece of work under way; a report with another name begins a new one. */
static struct {
    char what[64];
    uint64_t first; /* `done` of its first report: a resumed run does not begin at 0 */
    double began, shown;
    bool open; /* the bar's line has no newline yet */
} work;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
    return 80;
}

static void print_time(char *out, size_t room, double left) {
    long s = (long)(left + 0.5);
    if (left > 359999) snprintf(out, room, "?");
    else if (s >= 3600) snprintf(out, room, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(out, room, "%ld:%02ld", s / 60, s % 60);
}

static void print_rate(char *out, size_t room, double rate) {
    if (rate >= 1e6) snprintf(out, room, "%.1fM/s", rate / 1e6);
    else if (rate >= 1e4) snprintf(out, room, "%.1fk/s", rate / 1e3);
    else snprintf(out, room, "%.*f/s", rate < 10 ? 2 : rate < 100 ? 1 : 0, rate);
}

/* "1200/2000  loss 3.21  12.3/s  1:05 left"; without a total there is nothing left to name. */
static void describe(char *out, size_t room, uint64_t done, uint64_t total, const char *text,
                     double now) {
    char rate[32] = "", left[32] = "";
    double elapsed = now - work.began, made = (double)(done - work.first);
    if (elapsed > 0 && made > 0) {
        print_rate(rate, sizeof rate, made / elapsed);
        if (total >= done) print_time(left, sizeof left, (double)(total - done) * elapsed / made);
    }
    int n = total ? snprintf(out, room, "%llu/%llu", (unsigned long long)done,
                             (unsigned long long)total)
                  : snprintf(out, room, "%llu", (unsigned long long)done);
    snprintf(out + n, room - (size_t)n, "%s%.200s%s%s%s%s%s", *text ? "  " : "", text,
             *rate ? "  " : "", rate, total && *left ? "  " : "", total ? left : "",
             total && *left ? " left" : "");
}

static void draw(const char *what, uint64_t done, uint64_t total, const char *words) {
    int width = columns() - 1 - (int)strlen(what) - (int)strlen(words) - 5;
    if (width > 40) width = 40;
    fprintf(stderr, "\r\033[K%.*s  ", columns() / 4, what);
    if (total && width >= 8) {
        int full = (int)((double)(done < total ? done : total) / (double)total * width);
        fprintf(stderr, "[%.*s%*s] ", full, "########################################",
                width - full, "");
    }
    fprintf(stderr, "%.*s", columns() - 3 - columns() / 4, words);
    work.open = true;
}

static int report(void *context, const char *what, uint64_t done, uint64_t total,
                  const char *text) {
    (void)context;
    if (cli.quiet) return interrupted;
    static int terminal = -1;
    if (terminal < 0) terminal = isatty(STDERR_FILENO);
    double now = seconds();
    if (strcmp(what, work.what) != 0 || done < work.first) {
        cli_progress_end();
        snprintf(work.what, sizeof work.what, "%s", what);
        work.first = done;
        work.began = now;
        work.shown = terminal ? 0 : now;
    }
    bool whole = total && done >= total;
    if (!whole && now - work.shown < (terminal ? 0.1 : 10)) return interrupted;
    char words[320];
    describe(words, sizeof words, done, total, text ? text : "", now);
    if (terminal) draw(what, done, total, words);
    else fprintf(stderr, "%s  %s\n", what, words);
    work.shown = now;
    return interrupted;
}

spar_progress cli_progress(void) {
    if (!interrupted) cli_catch_interrupt();
    return (spar_progress){report, NULL};
}

void cli_progress_end(void) {
    if (work.open) fputc('\n', stderr);
    work.open = false;
}
