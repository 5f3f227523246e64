/* Documents out of files: text, one document a file or between separators, and JSONL. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "data/paths.h"
#include "data/window.h"
#include "spar/data.h"

enum { DEFAULT_PIECE = 1 << 18, MIN_PIECE = 1 << 12, MAX_PIECE = 1 << 28, MAX_LINE = 1 << 28 };

struct spar_corpus {
    spar__paths paths;
    spar_corpus_format format;
    char *key, *separator;
    size_t separator_length, max_piece;
    bool replace;
    FILE *kept; /* standard input, once kept */

    size_t file;     /* the next to open, or the one that is open plus one */
    bool jsonl;      /* the open one is */
    uint64_t passed; /* bytes of files that are done */
    spar__window window;
    bool within; /* a document that has begun and not ended */
    uint64_t line;
    json_t *record; /* the line whose text is being given */
    const char *rest;
    size_t rest_length;
};

spar_status spar_corpus_open(const char *const *paths, size_t n_paths,
                             const spar_corpus_options *options, spar_corpus **out) {
    size_t piece = options->max_piece ? options->max_piece : DEFAULT_PIECE;
    if (piece < MIN_PIECE || piece > MAX_PIECE)
        return spar__fail(SPAR_ERR_ARGUMENT, "max_piece: found %zu, expected %d to %d", piece,
                          MIN_PIECE, MAX_PIECE);
    if (options->separator && !*options->separator)
        return spar__fail(SPAR_ERR_ARGUMENT, "separator: found an empty one");
    spar_corpus *c = spar__alloc(sizeof *c);
    if (!c) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    c->format = options->format;
    c->max_piece = piece;
    c->replace = options->replace_invalid;
    c->key = spar__copy_string(options->key ? options->key : "text");
    if (!c->key) SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
    if (options->separator) {
        if (!(c->separator = spar__copy_string(options->separator)))
            SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
        c->separator_length = strlen(c->separator);
    }
    for (size_t i = 0; i < n_paths; i++) SPAR_TRY_GOTO(fail, spar__paths_add(&c->paths, paths[i]));
    *out = c;
    return SPAR_OK;
fail:
    spar_corpus_free(c);
    return status;
}

void spar_corpus_free(spar_corpus *c) {
    if (!c) return;
    if (c->kept) fclose(c->kept);
    json_decref(c->record);
    spar__window_free(&c->window);
    spar__paths_free(&c->paths);
    spar__free(c->key);
    spar__free(c->separator);
    spar__free(c);
}

/* ---- Files -------------------------------------------------------------------------------- */

static bool ends_in(const char *name, size_t *length, const char *ending) {
    size_t n = strlen(ending);
    if (*length < n || memcmp(name + *length - n, ending, n)) return false;
    *length -= n;
    return true;
}

static bool is_jsonl(const spar_corpus *c, const char *path) {
    if (c->format != SPAR_CORPUS_AUTO) return c->format == SPAR_CORPUS_JSONL;
    size_t n = strlen(path);
    if (!ends_in(path, &n, ".gz")) ends_in(path, &n, ".zst");
    return ends_in(path, &n, ".jsonl") || ends_in(path, &n, ".ndjson");
}

static spar_status open_next(spar_corpus *c) {
    const char *path = c->paths.items[c->file];
    bool standard = !strcmp(path, "-");
    int fd = -1;
    if (standard) fd = c->kept ? fileno(c->kept) : STDIN_FILENO;
    if (standard && c->kept && lseek(fd, 0, SEEK_SET) < 0)
        return spar__fail(SPAR_ERR_IO, "temporary file: cannot seek: %s", strerror(errno));
    SPAR_TRY(spar__window_open(&c->window, standard ? "standard input" : path, fd, c->replace));
    c->jsonl = is_jsonl(c, path);
    c->file++;
    c->line = 0;
    return SPAR_OK;
}

static void close_file(spar_corpus *c) {
    if (c->window.stream) c->passed += spar__stream_consumed(c->window.stream);
    spar__window_close(&c->window);
}

static void drop_record(spar_corpus *c) {
    json_decref(c->record);
    c->record = NULL;
}

/* ---- Pieces ------------------------------------------------------------------------------- */

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Where to cut text[0 … n), n > most: see spar_corpus_piece. */
static size_t cut_at(const char *text, size_t most) {
    for (size_t i = most; i > most / 2; i--)
        if (text[i] == '\n' && is_word(text[i - 1])) return i;
    for (size_t i = most - 1; i > most / 2; i--)
        if (text[i] == ' ' && is_word(text[i - 1]) && is_word(text[i + 1])) return i;
    size_t i = most;
    while ((text[i] & 0xc0) == 0x80) i--;
    return i;
}

static void give(spar_corpus *c, const char *text, size_t length, bool ends,
                 spar_corpus_piece *piece) {
    *piece = (spar_corpus_piece){text, length, !c->within, ends};
    c->within = !ends;
}

/* One piece of the open text file; *given false where there was only an empty document or none. */
static spar_status next_text(spar_corpus *c, spar_corpus_piece *piece, bool *given) {
    spar__window *w = &c->window;
    size_t most = c->max_piece, separator = c->separator_length;
    SPAR_TRY(spar__window_fill(w, most + (separator ? separator : 1)));
    const char *text = spar__window_text(w);
    size_t n = spar__window_length(w), searched = n < most + separator ? n : most + separator;
    const char *found = separator && n ? memmem(text, searched, c->separator, separator) : NULL;
    size_t length, taken;
    bool ends = true;
    if (found) {
        length = (size_t)(found - text);
        taken = length + separator;
    } else if (n <= most) {
        length = taken = n;
    } else {
        length = taken = cut_at(text, most);
        ends = false;
    }
    spar__window_skip(w, taken);
    if (!found && ends) close_file(c);
    *given = length > 0;
    if (*given) give(c, text, length, ends, piece);
    return SPAR_OK;
}

static void next_of_record(spar_corpus *c, spar_corpus_piece *piece) {
    bool ends = c->rest_length <= c->max_piece;
    size_t length = ends ? c->rest_length : cut_at(c->rest, c->max_piece);
    give(c, c->rest, length, ends, piece);
    c->rest += length;
    c->rest_length -= length;
}

static spar_status parse_line(spar_corpus *c, const char *text, size_t length) {
    const char *path = c->window.path;
    unsigned long long line = c->line;
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!root)
        return spar__fail(SPAR_ERR_FORMAT, "%s: line %llu: malformed JSON: %s", path, line,
                          error.text);
    json_t *value = json_is_object(root) ? json_object_get(root, c->key) : root;
    if (!json_is_string(value)) {
        json_decref(root);
        return spar__fail(SPAR_ERR_FORMAT, "%s: line %llu: found no text under key '%s'", path,
                          line, c->key);
    }
    c->record = root;
    c->rest = json_string_value(value);
    c->rest_length = json_string_length(value);
    return SPAR_OK;
}

static bool is_blank(const char *text, size_t length) {
    size_t i = 0;
    while (i < length && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r')) i++;
    return i == length;
}

/* Reads lines until one has text or the file ends. */
static spar_status next_line(spar_corpus *c) {
    spar__window *w = &c->window;
    drop_record(c);
    c->rest_length = 0;
    size_t searched = 0, need = 1;
    while (!c->rest_length) {
        SPAR_TRY(spar__window_fill(w, need));
        const char *text = spar__window_text(w);
        size_t n = spar__window_length(w);
        const char *end = n > searched ? memchr(text + searched, '\n', n - searched) : NULL;
        if (!end && !w->at_end) {
            if (n > MAX_LINE)
                return spar__fail(SPAR_ERR_LIMIT, "%s: line %llu: longer than %d bytes", w->path,
                                  (unsigned long long)c->line + 1, MAX_LINE);
            searched = n;
            need = n + 1;
            continue;
        }
        if (!end && !n) break;
        size_t length = end ? (size_t)(end - text) : n;
        c->line++;
        drop_record(c);
        if (!is_blank(text, length)) SPAR_TRY(parse_line(c, text, length));
        spar__window_skip(w, length + (end != NULL));
        searched = 0;
        need = 1;
    }
    if (!c->rest_length) close_file(c);
    return SPAR_OK;
}

spar_status spar_corpus_next(spar_corpus *c, spar_corpus_piece *piece) {
    for (;;) {
        if (c->record && c->rest_length) {
            next_of_record(c, piece);
            return SPAR_OK;
        }
        if (!c->window.stream) {
            if (c->file == c->paths.count) return SPAR_ERR_NOT_FOUND;
            SPAR_TRY(open_next(c));
        }
        if (c->jsonl) {
            SPAR_TRY(next_line(c));
        } else {
            bool given;
            SPAR_TRY(next_text(c, piece, &given));
            if (given) return SPAR_OK;
        }
    }
}

/* ---- Going back --------------------------------------------------------------------------- */

static bool has_standard(const spar_corpus *c) {
    for (size_t i = 0; i < c->paths.count; i++)
        if (!strcmp(c->paths.items[i], "-")) return true;
    return false;
}

spar_status spar_corpus_keep(spar_corpus *c) {
    if (c->kept || !has_standard(c)) return SPAR_OK;
    if (c->file)
        return spar__fail(SPAR_ERR_ARGUMENT, "standard input: to be kept before it is read");
    FILE *file = tmpfile();
    if (!file) return spar__fail(SPAR_ERR_IO, "temporary file: cannot create: %s", strerror(errno));
    char bytes[1 << 14];
    ssize_t n;
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && fwrite(bytes, 1, (size_t)n, file) != (size_t)n) break;
    if (n || fflush(file)) {
        int why = errno;
        fclose(file);
        return spar__fail(SPAR_ERR_IO, "standard input: cannot keep: %s", strerror(why));
    }
    c->kept = file;
    return SPAR_OK;
}

spar_status spar_corpus_rewind(spar_corpus *c) {
    if (c->file && !c->kept && has_standard(c))
        return spar__fail(SPAR_ERR_ARGUMENT, "standard input: cannot be read again");
    spar__window_close(&c->window);
    drop_record(c);
    c->rest_length = 0;
    c->file = 0;
    c->passed = 0;
    c->within = false;
    return SPAR_OK;
}

void spar_corpus_progress(const spar_corpus *c, uint64_t *done, uint64_t *total) {
    *done = c->passed + (c->window.stream ? spar__stream_consumed(c->window.stream) : 0);
    *total = has_standard(c) ? 0 : c->paths.bytes;
}
