#include "train/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

struct spar__records {
    spar_metrics_writer *metrics;
    bool warned; /* of metrics that could not be written */
    FILE *log;
    char *log_path;
};

/* Cuts a log after its line of `step`. A line that a kill cut short belongs to a step after it. */
static spar_status cut_log(FILE *file, const char *path, uint64_t step) {
    char line[512];
    long keep = 0;
    while (fgets(line, sizeof line, file)) {
        unsigned long long at;
        if (!strchr(line, '\n') || sscanf(line, "{\"step\": %llu", &at) != 1 || at > step) break;
        keep = ftell(file);
    }
    if (ferror(file) || ftruncate(fileno(file), keep) || fseek(file, keep, SEEK_SET))
        return spar__fail(SPAR_ERR_IO, "%s: cannot cut to step %llu: %s", path,
                          (unsigned long long)step, strerror(errno));
    return SPAR_OK;
}

static spar_status open_log(spar__records *r, const char *path, uint64_t step) {
    if (!(r->log_path = spar__copy_string(path))) return SPAR_ERR_MEMORY;
    bool old = step && spar__file_exists(path);
    if (!(r->log = fopen(path, old ? "r+" : "w")))
        return spar__fail(SPAR_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    return old ? cut_log(r->log, path, step) : SPAR_OK;
}

spar_status spar__records_open(const char *folder, const char *log, uint64_t step,
                               const char *config, spar__records **out) {
    spar__records *r = spar__alloc(sizeof *r);
    char *path = spar__path_join(folder, "metrics.db");
    spar_status status = r && path ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar_metrics_create(path, step, &r->metrics);
    if (!status) status = spar_metrics_set(r->metrics, "config", config);
    if (!status && log) status = open_log(r, log, step);
    spar__free(path);
    if (status)
        spar__records_free(r);
    else
        *out = r;
    return status;
}

void spar__records_free(spar__records *r) {
    if (!r) return;
    spar_metrics_writer_free(r->metrics);
    if (r->log) fclose(r->log);
    spar__free(r->log_path);
    spar__free(r);
}

void spar__records_log(spar__records *r, uint64_t step, const spar__step_record *record) {
    if (!r->log) return;
    fprintf(r->log, "{\"step\": %llu, \"loss\": %.9g, \"grad_norm\": %.9g, \"lr\": %.12g}\n",
            (unsigned long long)step, record->loss, record->grad_norm, record->lr);
    fflush(r->log);
}

static void missing(spar__records *r, uint64_t step) {
    if (r->warned) return;
    spar__log(SPAR_LOG_WARNING, "%s; metrics are missing from step %llu on", spar_error(),
              (unsigned long long)step);
    r->warned = true;
}

void spar__records_add(spar__records *r, const spar_metrics_row *row) {
    if (r->metrics && spar_metrics_add(r->metrics, row)) missing(r, row->step);
}

typedef struct told {
    spar__records *records;
    uint64_t step;
} told;

static void add_value(void *context, const char *name, double value) {
    const told *t = context;
    if (spar_metrics_add_value(t->records->metrics, t->step, name, value)) missing(t->records, t->step);
}

void spar__records_observe(spar__records *r, uint64_t step, const spar__observer *observer) {
    if (r->metrics) spar__observer_each(observer, add_value, &(told){r, step});
}

void spar__records_flush(spar__records *r, uint64_t step) {
    if (r->metrics && spar_metrics_flush(r->metrics)) missing(r, step);
}

spar_status spar__records_close(spar__records *r) {
    spar_status status = SPAR_OK;
    if (r->log) {
        bool bad = ferror(r->log) != 0;
        if (fclose(r->log) || bad)
            status = spar__fail(SPAR_ERR_IO, "%s: the log is incomplete: %s", r->log_path,
                                strerror(errno));
        r->log = NULL;
    }
    spar__records_free(r);
    return status;
}
