/* Sections of a checkpoint: "run" (JSON), "weight/PARAMETER" and the optimiser's "SLOT/PARAMETER",
 * both as the numbers lie in memory. */
#include "train/state.h"

#include <stdio.h>
#include <string.h>

#include "format/checkpoint.h"

struct spar__state {
    spar__checkpoint *file;
    json_t *run; /* {"optimizer", "seconds", "config": {"model", "train"}} */
};

enum { NAME = 256 };

static void weight_name(char name[NAME], const spar__param *param) {
    snprintf(name, NAME, "weight/%s", param->name);
}

static size_t weight_bytes(const spar__param *param) {
    return (size_t)(param->value.rows * param->value.cols) * sizeof(real);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static spar_status read_run(spar__state *state) {
    const void *bytes;
    size_t length;
    SPAR_TRY(spar__checkpoint_section(state->file, "run", &bytes, &length));
    state->run = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json_object_get(json_object_get(state->run, "config"), "model")) &&
        json_is_string(json_object_get(state->run, "optimizer")))
        return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: section 'run': expected a run's JSON",
                      spar__checkpoint_path(state->file));
}

spar_status spar__state_open(const char *folder, spar__state **out) {
    spar__state *state = spar__alloc(sizeof *state);
    if (!state) return SPAR_ERR_MEMORY;
    spar_status status = spar__checkpoint_open_newest(folder, &state->file);
    if (!status) status = read_run(state);
    if (status)
        spar__state_free(state);
    else
        *out = state;
    return status;
}

void spar__state_free(spar__state *state) {
    if (!state) return;
    json_decref(state->run);
    spar__checkpoint_free(state->file);
    spar__free(state);
}

const json_t *spar__state_config(const spar__state *state) {
    return json_object_get(state->run, "config");
}

uint64_t spar__state_step(const spar__state *state) {
    return spar__checkpoint_step(state->file);
}

double spar__state_seconds(const spar__state *state) {
    return json_number_value(json_object_get(state->run, "seconds"));
}

static spar_status load_section(const spar__state *state, const char *name, void *to,
                                size_t length) {
    const void *bytes;
    SPAR_TRY(spar__checkpoint_exact(state->file, name, length, &bytes));
    memcpy(to, bytes, length);
    return SPAR_OK;
}

spar_status spar__state_load(const spar__state *state, spar__trainer *trainer) {
    const char *kind = json_string_value(json_object_get(state->run, "optimizer"));
    if (strcmp(kind, spar__optimiser_name(trainer->optimiser)))
        return spar__fail(
            SPAR_ERR_CONFIG, "train.optimizer.kind: found '%s', expected '%s' as in %s",
            spar__optimiser_name(trainer->optimiser), kind, spar__checkpoint_path(state->file));
    char name[NAME];
    for (int i = 0; i < spar__model_n_params(trainer->model); i++) {
        spar__param *param = spar__model_param(trainer->model, i);
        weight_name(name, param);
        SPAR_TRY(load_section(state, name, param->value.data, weight_bytes(param)));
    }
    for (int i = 0; i < spar__optimiser_n_arrays(trainer->optimiser); i++) {
        spar__optimiser_array a;
        spar__optimiser_array_at(trainer->optimiser, i, &a);
        SPAR_TRY(load_section(state, a.name, a.data, a.count * sizeof *a.data));
    }
    trainer->step = spar__state_step(state);
    return SPAR_OK;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static spar_status write_run(spar__checkpoint_writer *w, const spar__trainer *trainer,
                             const json_t *config, double seconds) {
    json_t *run =
        json_pack("{s:s, s:f, s:O}", "optimizer", spar__optimiser_name(trainer->optimiser),
                  "seconds", seconds, "config", (json_t *)config);
    char *text = run ? json_dumps(run, JSON_COMPACT) : NULL;
    json_decref(run);
    if (!text) return spar__fail(SPAR_ERR_MEMORY, "out of memory: checkpoint");
    spar_status status = spar__checkpoint_add(w, "run", text, strlen(text));
    free(text);
    return status;
}

static spar_status write_all(spar__checkpoint_writer *w, const spar__trainer *trainer,
                             const json_t *config, double seconds) {
    char name[NAME];
    SPAR_TRY(write_run(w, trainer, config, seconds));
    for (int i = 0; i < spar__model_n_params(trainer->model); i++) {
        const spar__param *param = spar__model_param(trainer->model, i);
        weight_name(name, param);
        SPAR_TRY(spar__checkpoint_add(w, name, param->value.data, weight_bytes(param)));
    }
    for (int i = 0; i < spar__optimiser_n_arrays(trainer->optimiser); i++) {
        spar__optimiser_array a;
        spar__optimiser_array_at(trainer->optimiser, i, &a);
        SPAR_TRY(spar__checkpoint_add(w, a.name, a.data, a.count * sizeof *a.data));
    }
    return SPAR_OK;
}

spar_status spar__state_save(const char *folder, const spar__trainer *trainer, const json_t *config,
                             double seconds) {
    spar__checkpoint_writer *w;
    SPAR_TRY(spar__checkpoint_create(folder, trainer->step, &w));
    spar_status status = write_all(w, trainer, config, seconds);
    if (!status) return spar__checkpoint_commit(w, (int)trainer->set.keep);
    spar__checkpoint_abandon(w);
    return status;
}
