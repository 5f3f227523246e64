/* The metrics of a run: a SQLite database, RUN/metrics.db, that any SQLite tool can read.
 *
 *     run     (key TEXT PRIMARY KEY, value TEXT)                 facts of the run
 *     steps   (step INTEGER PRIMARY KEY, tokens, seconds,        one row a step; NULL where there
 *              loss, valid_loss, lr, grad_norm,                  is no number
 *              tokens_per_second REAL)
 *     series  (name TEXT, step INTEGER, value REAL)              any other numbers by step
 *
 * Rows are written in one transaction a second, so that a killed process loses at most that. */
#ifndef SPAR_METRICS_H
#define SPAR_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The columns of `steps` besides step: X(name, what it is). NaN stands for "no number". */
#define SPAR_METRICS_MAP(X)                                                                        \
    X(tokens, "tokens trained on since the run began")                                             \
    X(seconds, "seconds of training since the run began")                                          \
    X(loss, "training loss, nats per token")                                                       \
    X(valid_loss, "loss on validation text, nats per token")                                       \
    X(lr, "learning rate")                                                                         \
    X(grad_norm, "L2 norm of the gradient before clipping")                                        \
    X(tokens_per_second, "training speed")

typedef struct spar_metrics_row {
    uint64_t step; /* steps done, so the first row has 1 */
#define SPAR_METRICS_FIELD(name, text) double name;
    SPAR_METRICS_MAP(SPAR_METRICS_FIELD)
#undef SPAR_METRICS_FIELD
} spar_metrics_row;

/* ---- Writing ----------------------------------------------------------------------------------
 */
typedef struct spar_metrics_writer spar_metrics_writer;

/* Opens or makes the database at `path` for a run that has done `step` steps: rows of later steps,
 * which a resumed run makes again, are deleted (step 0: all). FORMAT when the file is another. One
 * thread at a time; others may read meanwhile. */
spar_status spar_metrics_create(const char *path, uint64_t step, spar_metrics_writer **out);
/* Sets a fact of the run ("config", "parameters" …), written at once. */
spar_status spar_metrics_set(spar_metrics_writer *writer, const char *key, const char *value);
/* Adds a step's row; a second one of the same step replaces the first. */
spar_status spar_metrics_add(spar_metrics_writer *writer, const spar_metrics_row *row);
/* Adds one number of any other series ("layer.3.update_ratio"). */
spar_status spar_metrics_add_value(spar_metrics_writer *writer, uint64_t step, const char *name,
                                   double value);
/* Writes what was added; done by itself about once a second. A failed write (a full disk) is
 * tried again with the next. */
spar_status spar_metrics_flush(spar_metrics_writer *writer);
void spar_metrics_writer_free(spar_metrics_writer *writer); /* flushes first; NULL is fine */

/* ---- Reading ----------------------------------------------------------------------------------
 */
typedef struct spar_metrics spar_metrics;

/* Opens RUN/metrics.db (`path` is the folder) or the database itself, also while it is written.
 * NOT_FOUND when there is none, FORMAT when it is none of ours. One thread at a time. */
spar_status spar_metrics_open(const char *path, spar_metrics **out);
void spar_metrics_free(spar_metrics *metrics); /* NULL is fine */

/* A column of `steps` or a name of `series`, without missing numbers, by ascending step:
 * x [n], y [n] where x is another column ("tokens", "seconds") or "step". The caller frees *x and
 * *y with spar_free. n is 0 when there are no such numbers; NOT_FOUND (it names the nearest) when
 * `name` is neither, ARGUMENT for an unknown x. */
spar_status spar_metrics_series(const spar_metrics *metrics, const char *name, const char *x_name,
                                double **x, double **y, size_t *n);
/* A fact of the run; NOT_FOUND when it has none such. The caller frees with spar_free. */
spar_status spar_metrics_get(const spar_metrics *metrics, const char *key, char **value);
/* All names of numbers that there are, columns first: the array and its strings are one block that
 * the caller frees with spar_free. */
spar_status spar_metrics_names(const spar_metrics *metrics, char ***names, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
