#include "op/observe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { WINDOW = 100, NAME_SIZE = 48, NAMED_SHARES = 64 };

typedef struct number {
    char name[NAME_SIZE];
    int layer;     /* −1: of the model as a whole */
    int first;     /* the first number with this name */
    double weight; /* of a loss, else 0 */
    double sum;
    int64_t count;
} number;

typedef struct choices {
    char name[NAME_SIZE];
    int layer;
    int64_t groups, n, warn_after;
    int64_t *step;            /* [groups, n] of this step */
    int64_t *window, *before; /* of the steps since the last multiple of WINDOW; of the WINDOW before */
    int64_t *watched;         /* of the steps since the last multiple of warn_after */
    bool seen;                /* in this step */
} choices;

struct spar__observer {
    number *numbers;
    choices *choices;
    int n_numbers, n_choices, number_room, choice_room;
    int number_hint, choice_hint; /* where the next is likely found: steps resemble each other */
};

spar__observer *spar__observer_create(void) { return spar__alloc(sizeof(spar__observer)); }

void spar__observer_free(spar__observer *o) {
    if (!o) return;
    for (int i = 0; i < o->n_choices; i++) spar__free(o->choices[i].step);
    spar__free(o->choices);
    spar__free(o->numbers);
    spar__free(o);
}

void spar__observer_begin(spar__observer *o) {
    o->number_hint = o->choice_hint = 0;
    for (int i = 0; i < o->n_numbers; i++) o->numbers[i].sum = o->numbers[i].count = 0;
    for (int i = 0; i < o->n_choices; i++) {
        choices *c = &o->choices[i];
        c->seen = false;
        memset(c->step, 0, (size_t)(c->groups * c->n) * sizeof *c->step);
    }
}

/* ---- Numbers ---- */

static bool is_number(const number *e, int layer, const char *name) {
    return e->layer == layer && strcmp(e->name, name) == 0;
}

/* The entry, made at first sight. NULL without memory. */
static number *find_number(spar__observer *o, int layer, const char *name) {
    int first = -1;
    if (o->number_hint < o->n_numbers && is_number(&o->numbers[o->number_hint], layer, name))
        return &o->numbers[o->number_hint++];
    for (int i = 0; i < o->n_numbers; i++) {
        if (is_number(&o->numbers[i], layer, name)) return o->number_hint = i + 1, &o->numbers[i];
        if (first < 0 && strcmp(o->numbers[i].name, name) == 0) first = i;
    }
    if (o->n_numbers == o->number_room) {
        int room = o->number_room ? 2 * o->number_room : 64;
        number *grown = spar__resize(o->numbers, (size_t)room, sizeof *grown);
        if (!grown) return NULL;
        o->numbers = grown;
        o->number_room = room;
    }
    number *e = &o->numbers[o->n_numbers];
    *e = (number){.layer = layer, .first = first < 0 ? o->n_numbers : first};
    snprintf(e->name, sizeof e->name, "%s", name);
    o->number_hint = ++o->n_numbers;
    return e;
}

static bool add_number(spar__observer *o, int layer, const char *name, double value, double weight) {
    number *e = find_number(o, layer, name);
    if (!e) return false;
    e->sum += value;
    e->weight = weight;
    e->count++;
    return true;
}

void spar__observe(spar__pass *pass, const char *name, double value) {
    if (spar__observing(pass) && !add_number(pass->observer, pass->layer, name, value, 0))
        spar__stop(pass, SPAR_ERR_MEMORY);
}

void spar__observe_loss(spar__pass *pass, const char *name, double value, double weight) {
    if (spar__observing(pass) && !add_number(pass->observer, pass->layer, name, value, weight))
        spar__stop(pass, SPAR_ERR_MEMORY);
}

static bool has_losses(const spar__observer *o) {
    for (int i = 0; i < o->n_numbers; i++)
        if (o->numbers[i].count && o->numbers[i].weight != 0) return true;
    return false;
}

void spar__observer_each(const spar__observer *o,
                         void (*tell)(void *context, const char *name, double value), void *context) {
    for (int i = 0; i < o->n_numbers; i++) {
        const number *e = &o->numbers[i];
        char full[NAME_SIZE + 32];
        if (e->count && e->layer >= 0) {
            snprintf(full, sizeof full, "layer.%d.%s", e->layer, e->name);
            tell(context, full, e->sum / (double)e->count);
        }
        if (e->first != i) continue;
        double sum = 0;
        int n = 0;
        for (int j = i; j < o->n_numbers; j++) {
            const number *other = &o->numbers[j];
            if (other->first != i || !other->count) continue;
            sum += other->sum / (double)other->count;
            n++;
        }
        if (n) tell(context, e->name, sum / n);
    }
    if (has_losses(o)) tell(context, "auxiliary", spar__observer_loss(o));
}

double spar__observer_loss(const spar__observer *o) {
    double sum = 0;
    for (int i = 0; i < o->n_numbers; i++)
        if (o->numbers[i].count)
            sum += o->numbers[i].weight * o->numbers[i].sum / (double)o->numbers[i].count;
    return sum;
}

/* ---- Choices ---- */

static choices *make_choices(spar__observer *o, int layer, const char *name, int64_t groups, int64_t n,
                             int64_t warn_after) {
    if (o->n_choices == o->choice_room) {
        int room = o->choice_room ? 2 * o->choice_room : 16;
        choices *grown = spar__resize(o->choices, (size_t)room, sizeof *grown);
        if (!grown) return NULL;
        o->choices = grown;
        o->choice_room = room;
    }
    size_t total;
    int64_t *memory = spar__mul((size_t)groups, (size_t)n, &total)
                          ? spar__array(total, 4 * sizeof *memory)
                          : NULL;
    if (!memory) return NULL;
    choices *c = &o->choices[o->n_choices++];
    *c = (choices){.layer = layer, .groups = groups, .n = n, .warn_after = warn_after};
    snprintf(c->name, sizeof c->name, "%s", name);
    c->step = memory;
    c->window = memory + total;
    c->before = memory + 2 * total;
    c->watched = memory + 3 * total;
    return c;
}

static bool is_choices(const choices *c, int layer, const char *name, int64_t groups, int64_t n) {
    return c->layer == layer && c->groups == groups && c->n == n && strcmp(c->name, name) == 0;
}

void spar__observe_choices(spar__pass *pass, const char *name, const int64_t *counts, int64_t groups,
                           int64_t n, int64_t warn_after) {
    if (!spar__observing(pass)) return;
    spar__observer *o = pass->observer;
    choices *c = NULL;
    for (int i = 0; i < o->n_choices && !c; i++) {
        int at = (o->choice_hint + i) % o->n_choices;
        if (!is_choices(&o->choices[at], pass->layer, name, groups, n)) continue;
        c = &o->choices[at];
        o->choice_hint = at + 1;
    }
    if (!c && !(c = make_choices(o, pass->layer, name, groups, n, warn_after))) {
        spar__stop(pass, SPAR_ERR_MEMORY);
        return;
    }
    c->seen = true;
    for (int64_t i = 0; i < groups * n; i++) c->step[i] += counts[i];
}

static void roll(choices *c, uint64_t step) {
    int64_t total = c->groups * c->n;
    size_t bytes = (size_t)total * sizeof *c->step;
    for (int64_t i = 0; i < total; i++) {
        c->window[i] += c->step[i];
        c->watched[i] += c->step[i];
    }
    if (step % WINDOW == 0) {
        memcpy(c->before, c->window, bytes);
        memset(c->window, 0, bytes);
    }
}

/* Those of a group that have less than a tenth of their fair share. */
static void warn(choices *c) {
    for (int64_t g = 0; g < c->groups; g++) {
        const int64_t *w = c->watched + g * c->n;
        int64_t sum = 0, starving = 0, least = 0;
        for (int64_t i = 0; i < c->n; i++) {
            sum += w[i];
            if (w[i] < w[least]) least = i;
        }
        double tenth = 0.1 * (double)sum / (double)c->n;
        for (int64_t i = 0; i < c->n; i++) starving += (double)w[i] < tenth;
        if (starving)
            spar__log(SPAR_LOG_WARNING,
                      "layer %d: %lld of %lld %s starve: number %lld got %.3g %% of the tokens in %lld "
                      "steps, less than a tenth of its fair share of %.3g %%; a higher balance loss helps",
                      c->layer, (long long)starving, (long long)c->n, c->name, (long long)least,
                      100 * (double)w[least] / (double)sum, (long long)c->warn_after,
                      100 / (double)c->n);
    }
    memset(c->watched, 0, (size_t)(c->groups * c->n) * sizeof *c->watched);
}

static spar_status summarise(spar__observer *o, const choices *c) {
    double entropy = 0, most = 0, dead = 0;
    for (int64_t g = 0; g < c->groups; g++) {
        const int64_t *s = c->step + g * c->n, *w = c->window + g * c->n, *b = c->before + g * c->n;
        int64_t sum = 0, max = 0;
        double h = 0;
        for (int64_t i = 0; i < c->n; i++) {
            sum += s[i];
            if (s[i] > max) max = s[i];
            dead += w[i] + b[i] == 0;
        }
        for (int64_t i = 0; i < c->n && sum; i++) {
            double f = (double)s[i] / (double)sum;
            if (f > 0) h -= f * log(f);
        }
        entropy += c->n > 1 ? h / log((double)c->n) : 1;
        most += sum ? (double)max * (double)c->n / (double)sum : 0;
    }
    char name[NAME_SIZE + 32];
    const char *const kinds[] = {"entropy", "load.max", "dead"};
    const double values[] = {entropy / (double)c->groups, most / (double)c->groups,
                             dead / (double)(c->groups * c->n)};
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "%s.%s", c->name, kinds[k]);
        if (!add_number(o, c->layer, name, values[k], 0)) return SPAR_ERR_MEMORY;
    }
    if (c->groups > 1 || c->n > NAMED_SHARES) return SPAR_OK;
    int64_t sum = 0;
    for (int64_t i = 0; i < c->n; i++) sum += c->step[i];
    for (int64_t i = 0; i < c->n && sum; i++) {
        snprintf(name, sizeof name, "%s.load.%lld", c->name, (long long)i);
        if (!add_number(o, c->layer, name, (double)c->step[i] * (double)c->n / (double)sum, 0))
            return SPAR_ERR_MEMORY;
    }
    return SPAR_OK;
}

spar_status spar__observer_end(spar__observer *o, uint64_t step) {
    for (int i = 0; i < o->n_choices; i++) {
        choices *c = &o->choices[i];
        if (!c->seen) continue;
        roll(c, step);
        SPAR_TRY(summarise(o, c));
        if (c->warn_after && step % (uint64_t)c->warn_after == 0) warn(c);
    }
    return SPAR_OK;
}
