/* Metrics in SQLite. Rows wait in memory and are written in one short transaction about once a
 * second, so that readers are never locked out for long. The rollback journal is kept (no WAL: a
 * run folder on a network file system must work); with synchronous=NORMAL a killed process leaves
 * either all of a transaction or none of it. */
#include "spar/metrics.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/text.h"

enum { APPLICATION_ID = 0x53504152, VERSION = 1, BUSY_MS = 5000, MAX_WAITING = 1 << 20 };

static const char *const columns[] = {
#define NAME(name, text) #name,
    SPAR_METRICS_MAP(NAME)
#undef NAME
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

typedef struct waiting {
    uint64_t step;
    double values[N_COLUMNS]; /* only the first with a name */
    const char *name;         /* one of the writer's names; NULL: a row of steps */
} waiting;

struct spar_metrics_writer {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *add_row, *add_value;
    waiting *waiting;
    size_t n_waiting, capacity;
    char **names; /* of series, each once */
    size_t n_names, name_room, name_hint;
    double flushed;
};

struct spar_metrics {
    sqlite3 *db;
    char *path;
};

static spar_status fail(sqlite3 *db, const char *path) {
    int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
    spar_status status = code == SQLITE_NOMEM                              ? SPAR_ERR_MEMORY
                         : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? SPAR_ERR_FORMAT
                                                                           : SPAR_ERR_IO;
    return spar__fail(status, "%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
}

static spar_status run(sqlite3 *db, const char *path, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? SPAR_OK : fail(db, path);
}

static spar_status prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **out) {
    return sqlite3_prepare_v2(db, sql, -1, out, NULL) == SQLITE_OK ? SPAR_OK : fail(db, path);
}

static spar_status get_int(sqlite3 *db, const char *path, const char *sql, int64_t *out) {
    sqlite3_stmt *statement;
    SPAR_TRY(prepare(db, path, sql, &statement));
    spar_status status = SPAR_OK;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        status = fail(db, path);
    sqlite3_finalize(statement);
    return status;
}

/* Whether the database is ours; a new, empty one has neither number. */
static spar_status check(sqlite3 *db, const char *path, bool *is_new) {
    int64_t application, version, tables;
    SPAR_TRY(get_int(db, path, "PRAGMA application_id", &application));
    SPAR_TRY(get_int(db, path, "PRAGMA user_version", &version));
    SPAR_TRY(get_int(db, path, "SELECT count(*) FROM sqlite_master", &tables));
    *is_new = !application && !tables;
    if (*is_new) return SPAR_OK;
    if (application != APPLICATION_ID)
        return spar__fail(SPAR_ERR_FORMAT, "%s: a database, but not of metrics", path);
    if (version != VERSION)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: version: found %lld, expected %d", path,
                          (long long)version, VERSION);
    return SPAR_OK;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static spar_status make_tables(sqlite3 *db, const char *path) {
    char sql[1024];
    int n = snprintf(sql, sizeof sql,
                     "BEGIN IMMEDIATE; PRAGMA application_id=%d; PRAGMA user_version=%d;"
                     "CREATE TABLE run(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
                     "CREATE TABLE steps(step INTEGER PRIMARY KEY",
                     APPLICATION_ID, VERSION);
    for (int i = 0; i < N_COLUMNS; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ", %s REAL", columns[i]);
    snprintf(sql + n, sizeof sql - (size_t)n,
             ");"
             "CREATE TABLE series(name TEXT, step INTEGER, value REAL, PRIMARY KEY(name, step))"
             " WITHOUT ROWID;"
             "COMMIT");
    return run(db, path, sql);
}

static spar_status open_writer(spar_metrics_writer *w, uint64_t step) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(w->path, &w->db, flags, NULL) != SQLITE_OK) return fail(w->db, w->path);
    sqlite3_busy_timeout(w->db, BUSY_MS);
    bool is_new;
    SPAR_TRY(check(w->db, w->path, &is_new));
    SPAR_TRY(run(w->db, w->path, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=NORMAL"));
    if (is_new) SPAR_TRY(make_tables(w->db, w->path));
    char sql[256];
    unsigned long long last = step < INT64_MAX ? step : INT64_MAX;
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; DELETE FROM steps WHERE step > %llu;"
             "DELETE FROM series WHERE step > %llu; COMMIT",
             last, last);
    SPAR_TRY(run(w->db, w->path,
                 step ? sql
                      : "BEGIN IMMEDIATE; DELETE FROM steps;"
                        "DELETE FROM series; DELETE FROM run; COMMIT"));
    int n = snprintf(sql, sizeof sql, "REPLACE INTO steps VALUES(?");
    for (int i = 0; i < N_COLUMNS; i++) n += snprintf(sql + n, sizeof sql - (size_t)n, ",?");
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    SPAR_TRY(prepare(w->db, w->path, sql, &w->add_row));
    return prepare(w->db, w->path, "REPLACE INTO series VALUES(?1, ?2, ?3)", &w->add_value);
}

static void free_writer(spar_metrics_writer *w) {
    for (size_t i = 0; i < w->n_names; i++) spar__free(w->names[i]);
    spar__free(w->names);
    sqlite3_finalize(w->add_row);
    sqlite3_finalize(w->add_value);
    sqlite3_close(w->db);
    spar__free(w->waiting);
    spar__free(w->path);
    spar__free(w);
}

spar_status spar_metrics_create(const char *path, uint64_t step, spar_metrics_writer **out) {
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return spar__fail(SPAR_ERR_IO, "%s: not a regular file", path);
    spar_metrics_writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    w->path = spar__copy_string(path);
    spar_status status = w->path ? open_writer(w, step) : SPAR_ERR_MEMORY;
    if (status) {
        free_writer(w);
        return status;
    }
    w->flushed = spar__seconds();
    *out = w;
    return SPAR_OK;
}

spar_status spar_metrics_set(spar_metrics_writer *w, const char *key, const char *value) {
    sqlite3_stmt *statement;
    SPAR_TRY(prepare(w->db, w->path, "REPLACE INTO run VALUES(?1, ?2)", &statement));
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, value, -1, SQLITE_STATIC);
    spar_status status = sqlite3_step(statement) == SQLITE_DONE ? SPAR_OK : fail(w->db, w->path);
    sqlite3_finalize(statement);
    return status;
}

static spar_status write_one(spar_metrics_writer *w, const waiting *it) {
    sqlite3_stmt *s = it->name ? w->add_value : w->add_row;
    int at = 0;
    sqlite3_reset(s);
    if (it->name) sqlite3_bind_text(s, ++at, it->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, ++at, (sqlite3_int64)it->step);
    /* SQLite stores NaN as NULL. */
    for (int i = 0; i < (it->name ? 1 : N_COLUMNS); i++)
        sqlite3_bind_double(s, ++at, it->values[i]);
    spar_status status = sqlite3_step(s) == SQLITE_DONE ? SPAR_OK : fail(w->db, w->path);
    sqlite3_reset(s);
    return status;
}

spar_status spar_metrics_flush(spar_metrics_writer *w) {
    w->flushed = spar__seconds();
    if (!w->n_waiting) return SPAR_OK;
    SPAR_TRY(run(w->db, w->path, "BEGIN IMMEDIATE"));
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < w->n_waiting; i++) status = write_one(w, &w->waiting[i]);
    if (!status) status = run(w->db, w->path, "COMMIT");
    if (status) {
        if (!sqlite3_get_autocommit(w->db)) sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    w->n_waiting = 0;
    return SPAR_OK;
}

static spar_status wait_for_write(spar_metrics_writer *w, waiting it) {
    if (w->n_waiting == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 256;
        waiting *grown =
            capacity <= MAX_WAITING ? spar__resize(w->waiting, capacity, sizeof *grown) : NULL;
        if (!grown)
            return capacity <= MAX_WAITING
                       ? SPAR_ERR_MEMORY
                       : spar__fail(SPAR_ERR_LIMIT, "%s: %d rows wait to be written", w->path,
                                    MAX_WAITING);
        w->waiting = grown;
        w->capacity = capacity;
    }
    w->waiting[w->n_waiting++] = it;
    return spar__seconds() - w->flushed >= 1 ? spar_metrics_flush(w) : SPAR_OK;
}

/* Series come in the same order step after step, so the next name is usually found at once. */
static const char *keep_name(spar_metrics_writer *w, const char *name) {
    for (size_t i = 0; i < w->n_names; i++) {
        size_t at = (w->name_hint + i) % w->n_names;
        if (strcmp(w->names[at], name)) continue;
        w->name_hint = at + 1;
        return w->names[at];
    }
    if (w->n_names == w->name_room) {
        size_t room = w->name_room ? w->name_room * 2 : 64;
        char **grown = spar__resize(w->names, room, sizeof *grown);
        if (!grown) return NULL;
        w->names = grown;
        w->name_room = room;
    }
    char *copy = spar__copy_string(name);
    if (copy) w->names[w->n_names++] = copy;
    return copy;
}

static spar_status check_step(const spar_metrics_writer *w, uint64_t step) {
    if (step <= INT64_MAX) return SPAR_OK;
    return spar__fail(SPAR_ERR_ARGUMENT, "%s: step %llu is too large", w->path,
                      (unsigned long long)step);
}

spar_status spar_metrics_add(spar_metrics_writer *w, const spar_metrics_row *row) {
    SPAR_TRY(check_step(w, row->step));
    waiting it = {row->step,
                  {
#define VALUE(name, text) row->name,
                      SPAR_METRICS_MAP(VALUE)
#undef VALUE
                  },
                  NULL};
    return wait_for_write(w, it);
}

spar_status spar_metrics_add_value(spar_metrics_writer *w, uint64_t step, const char *name,
                                   double value) {
    SPAR_TRY(check_step(w, step));
    waiting it = {step, {value}, keep_name(w, name)};
    return it.name ? wait_for_write(w, it) : SPAR_ERR_MEMORY;
}

void spar_metrics_writer_free(spar_metrics_writer *w) {
    if (!w) return;
    (void)spar_metrics_flush(w);
    free_writer(w);
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* Read-write where that can be, because a killed writer's journal has to be rolled back. */
static spar_status open_reader(spar_metrics *m) {
    if (sqlite3_open_v2(m->path, &m->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        sqlite3_close(m->db);
        m->db = NULL;
        if (sqlite3_open_v2(m->path, &m->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
            return fail(m->db, m->path);
    }
    sqlite3_busy_timeout(m->db, BUSY_MS);
    bool is_new;
    SPAR_TRY(check(m->db, m->path, &is_new));
    return is_new ? spar__fail(SPAR_ERR_FORMAT, "%s: holds no metrics", m->path) : SPAR_OK;
}

spar_status spar_metrics_open(const char *path, spar_metrics **out) {
    spar_metrics *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    m->path =
        spar__folder_exists(path) ? spar__path_join(path, "metrics.db") : spar__copy_string(path);
    spar_status status = SPAR_OK;
    if (!m->path)
        status = SPAR_ERR_MEMORY;
    else if (!spar__file_exists(m->path))
        status = spar__fail(SPAR_ERR_NOT_FOUND, "%s: there is no such file", m->path);
    else
        status = open_reader(m);
    if (status)
        spar_metrics_free(m);
    else
        *out = m;
    return status;
}

void spar_metrics_free(spar_metrics *m) {
    if (!m) return;
    sqlite3_close(m->db);
    spar__free(m->path);
    spar__free(m);
}

static bool is_column(const char *name) {
    for (int i = 0; i < N_COLUMNS; i++)
        if (!strcmp(columns[i], name)) return true;
    return false;
}

/* All rows of a statement with two numbers. */
static spar_status collect(const spar_metrics *m, sqlite3_stmt *s, double **x, double **y,
                           size_t *n) {
    double *xs = NULL, *ys = NULL;
    size_t count = 0, capacity = 0;
    spar_status status = SPAR_OK;
    int code = SQLITE_ROW;
    while (!status) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            double *more_x = spar__resize(xs, capacity, sizeof *xs);
            if (more_x) xs = more_x;
            double *more_y = spar__resize(ys, capacity, sizeof *ys);
            if (more_y) ys = more_y;
            if (!more_x || !more_y) {
                status = SPAR_ERR_MEMORY;
                break;
            }
        }
        if ((code = sqlite3_step(s)) != SQLITE_ROW) break;
        xs[count] = sqlite3_column_double(s, 0);
        ys[count++] = sqlite3_column_double(s, 1);
    }
    if (!status && code != SQLITE_DONE) status = fail(m->db, m->path);
    if (status) {
        spar__free(xs);
        spar__free(ys);
        return status;
    }
    *x = xs;
    *y = ys;
    *n = count;
    return SPAR_OK;
}

static spar_status unknown_name(const spar_metrics *m, const char *name) {
    char **names;
    size_t n;
    SPAR_TRY(spar_metrics_names(m, &names, &n));
    int near = spar__nearest(name, (const char *const *)names, (int)n);
    spar_status status =
        near < 0 ? spar__fail(SPAR_ERR_NOT_FOUND, "%s: no series '%s'", m->path, name)
                 : spar__fail(SPAR_ERR_NOT_FOUND, "%s: no series '%s', did you mean '%s'?", m->path,
                              name, names[near]);
    spar__free(names);
    return status;
}

spar_status spar_metrics_series(const spar_metrics *m, const char *name, const char *x_name,
                                double **x, double **y, size_t *n) {
    bool by_step = !strcmp(x_name, "step"), column = is_column(name);
    if (!by_step && !is_column(x_name))
        return spar__fail(SPAR_ERR_ARGUMENT, "x: found '%s', expected step, tokens or seconds",
                          x_name);
    char sql[512];
    if (column)
        snprintf(sql, sizeof sql,
                 "SELECT %s, %s FROM steps WHERE %s IS NOT NULL AND %s IS NOT NULL ORDER BY step",
                 x_name, name, x_name, name);
    else
        snprintf(sql, sizeof sql,
                 "SELECT %s%s, value FROM series AS s %s WHERE name = ?1 AND value IS NOT NULL "
                 "ORDER BY s.step",
                 by_step ? "s." : "t.", x_name,
                 by_step ? "" : "JOIN steps AS t ON t.step = s.step");
    sqlite3_stmt *statement;
    SPAR_TRY(prepare(m->db, m->path, sql, &statement));
    if (!column) sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    double *xs, *ys;
    size_t count;
    spar_status status = collect(m, statement, &xs, &ys, &count);
    sqlite3_finalize(statement);
    if (status) return status;
    if (!count && !column) {
        spar__free(xs);
        spar__free(ys);
        return unknown_name(m, name);
    }
    *x = xs;
    *y = ys;
    *n = count;
    return SPAR_OK;
}

spar_status spar_metrics_get(const spar_metrics *m, const char *key, char **value) {
    sqlite3_stmt *statement;
    SPAR_TRY(prepare(m->db, m->path, "SELECT value FROM run WHERE key = ?1", &statement));
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    spar_status status = SPAR_OK;
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) {
        status = spar__fail(SPAR_ERR_NOT_FOUND, "%s: the run has no '%s'", m->path, key);
    } else if (code != SQLITE_ROW) {
        status = fail(m->db, m->path);
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        char *copy = spar__copy_string(text ? text : "");
        if (copy)
            *value = copy;
        else
            status = SPAR_ERR_MEMORY;
    }
    sqlite3_finalize(statement);
    return status;
}

/* Puts the 0-terminated names in `text` into one block behind an array of pointers to them. */
static spar_status make_names(const spar__buffer *text, size_t count, char ***names) {
    size_t pointers, bytes;
    if (!spar__mul(count + 1, sizeof(char *), &pointers) ||
        !spar__add(pointers, text->length, &bytes))
        return spar__fail(SPAR_ERR_LIMIT, "too many series");
    char **block = spar__alloc(bytes);
    if (!block) return SPAR_ERR_MEMORY;
    char *p = (char *)block + pointers;
    memcpy(p, text->bytes, text->length);
    for (size_t i = 0; i < count; i++, p += strlen(p) + 1) block[i] = p;
    *names = block;
    return SPAR_OK;
}

spar_status spar_metrics_names(const spar_metrics *m, char ***names, size_t *n) {
    spar__buffer text = spar__buffer_make(1 << 24);
    sqlite3_stmt *statement = NULL;
    size_t count = N_COLUMNS;
    spar_status status = SPAR_OK;
    for (int i = 0; i < N_COLUMNS; i++)
        SPAR_TRY_GOTO(done, spar__buffer_add(&text, columns[i], strlen(columns[i]) + 1));
    const char *sql = "SELECT DISTINCT name FROM series WHERE name IS NOT NULL ORDER BY name";
    SPAR_TRY_GOTO(done, prepare(m->db, m->path, sql, &statement));
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (!name) SPAR_TRY_GOTO(done, fail(m->db, m->path));
        SPAR_TRY_GOTO(done, spar__buffer_add(&text, name, strlen(name) + 1));
        count++;
    }
    if (code != SQLITE_DONE) SPAR_TRY_GOTO(done, fail(m->db, m->path));
    SPAR_TRY_GOTO(done, make_names(&text, count, names));
    *n = count;
done:
    sqlite3_finalize(statement);
    spar__buffer_free(&text);
    return status;
}
