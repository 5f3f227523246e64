/* A mixture of experts: each token goes to the top k of n feed-forward layers of any kind.
 *
 *     p = softmax(Wr·x),   y = Σ_{e in top k} w_e · expert_e(x),   w = p, or p / Σ_{top k} p
 *
 * Switch (Fedus et al. 2021, arXiv 2101.03961): k = 1, w = p, a capacity, balance loss and jitter.
 * GLaM (Du et al. 2021, arXiv 2112.06905): k = 2, in every other layer. Mixtral (Jiang et al. 2024,
 * arXiv 2401.04088): k = 2, w normalised, no capacity.
 *
 * Each weight of the experts is one tensor with one dimension more, named as in GGUF
 * ("ffn_up_exps.weight" [n, d_ff, d_model]), so an expert is contiguous, and those that no token
 * chose are not touched. The layer of one expert has parameters that are views into these. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "feedforward/feedforward.h"
#include "op/observe.h"
#include "op/route.h"

typedef struct options {
    int64_t n_experts, top_k;
    bool normalise;
    double capacity_factor;
    int64_t capacity;
    double balance, z_loss, jitter;
    bool router_bias;
    int64_t starving_steps;
    spar__choice expert;
} options;

typedef struct layer {
    spar__param *router, *router_bias;
    int n_params;          /* of one expert */
    spar__param **stacked; /* [n_params] */
    spar__builder views;   /* [n_experts, n_params] parameters of the experts */
    char *selves;          /* [n_experts] of the expert's kind */
} layer;

static const spar__kind_room expert_kinds = {spar__feedforward_at, "dense"};

static const spar_option table[] = {
    {"n_experts", SPAR_OPTION_INT, offsetof(options, n_experts), 8, 1, 65536, NULL, "feed-forward layers"},
    {"top_k", SPAR_OPTION_INT, offsetof(options, top_k), 1, 1, 65536, NULL, "of them that a token goes to"},
    {"normalise", SPAR_OPTION_BOOL, offsetof(options, normalise), 0, 0, 1, NULL,
     "probabilities of the chosen sum to 1"},
    {"capacity_factor", SPAR_OPTION_REAL, offsetof(options, capacity_factor), 0, 0, 1e6, NULL,
     "an expert takes at most so many times its fair share of a sequence; 0 = all"},
    {"capacity", SPAR_OPTION_INT, offsetof(options, capacity), 0, 0, 1 << 30, NULL,
     "an expert takes at most so many tokens of a sequence; 0 = all"},
    {"balance", SPAR_OPTION_REAL, offsetof(options, balance), 0.01, 0, 1e3, NULL,
     "weight of the loss that evens the load"},
    {"z_loss", SPAR_OPTION_REAL, offsetof(options, z_loss), 0, 0, 1e3, NULL,
     "weight of the loss that keeps the router's logits small"},
    {"jitter", SPAR_OPTION_REAL, offsetof(options, jitter), 0, 0, 1, NULL,
     "noise on the router's input while training"},
    {"router_bias", SPAR_OPTION_BOOL, offsetof(options, router_bias), 0, 0, 1, NULL, "of the router"},
    {"starving_steps", SPAR_OPTION_INT, offsetof(options, starving_steps), 100, 0, 1 << 30, NULL,
     "warn of experts with little to do in so many steps; 0 = never"},
    {"expert", SPAR_OPTION_KIND, offsetof(options, expert), 0, 0, 0, NULL, "kind of the experts", &expert_kinds},
    {0}};

/* ---- Parameters ---- */

static const spar__feedforward_kind *kind_of(const options *o) {
    return (const spar__feedforward_kind *)o->expert.kind;
}

static spar_status check(const options *o) {
    static const char where[] = "model.feedforward";
    if (o->top_k > o->n_experts)
        return spar__fail(SPAR_ERR_CONFIG, "%s.top_k: found %lld, expected 1 to %lld, the n_experts", where,
                          (long long)o->top_k, (long long)o->n_experts);
    if (o->capacity_factor > 0 && o->capacity_factor < 1)
        return spar__fail(SPAR_ERR_CONFIG,
                          "%s.capacity_factor: found %g, expected 1 or more (the fair share), or 0 for no limit",
                          where, o->capacity_factor);
    if (o->capacity_factor > 0 && o->capacity)
        return spar__fail(SPAR_ERR_CONFIG, "%s: found capacity and capacity_factor, expected one of them", where);
    if (o->expert.kind == &spar__feedforward_experts.kind)
        return spar__fail(SPAR_ERR_CONFIG, "%s.expert: found 'experts', expected another kind", where);
    if (kind_of(o)->absent)
        return spar__fail(SPAR_ERR_CONFIG, "%s.expert: found '%s', expected another kind", where,
                          o->expert.kind->name);
    if (kind_of(o)->tracks)
        return spar__fail(SPAR_ERR_CONFIG, "%s.expert: '%s' looks at earlier tokens; expected a kind that does not",
                          where, o->expert.kind->name);
    return SPAR_OK;
}

/* "ffn_up.weight" → "ffn_up_exps.weight" */
static void stacked_name(const char *name, char *out, size_t size) {
    const char *dot = strrchr(name, '.');
    int stem = dot ? (int)(dot - name) : (int)strlen(name);
    snprintf(out, size, "%.*s_exps%s", stem, name, dot ? dot : "");
}

static spar_status declare_stacked(spar__builder *b, const options *o, const spar__param *view, spar__param **out) {
    int64_t shape[4] = {o->n_experts};
    char name[96];
    if (view->n_dims > 3)
        return spar__fail(SPAR_ERR_CONFIG, "model.feedforward.expert: '%s' cannot be an expert", o->expert.kind->name);
    memcpy(shape + 1, view->shape, (size_t)view->n_dims * sizeof *shape);
    stacked_name(view->name, name, sizeof name);
    spar__param *p = spar__declare(b, name, view->init, view->n_dims + 1, shape);
    if (!p) return b->status;
    p->init_half = view->init_half;
    p->constant = view->constant;
    p->decay = view->decay;
    p->vector = view->vector;
    *out = p;
    return SPAR_OK;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    layer *l = self;
    SPAR_TRY(check(o));
    l->router = spar__declare_matrix(b, "ffn_gate_inp.weight", s->std, o->n_experts, s->d_model);
    if (o->router_bias) l->router_bias = spar__declare_vector(b, "ffn_gate_inp.bias", 0, o->n_experts);
    size_t size = kind_of(o)->self_size;
    if (!(l->selves = spar__array((size_t)o->n_experts, size))) return SPAR_ERR_MEMORY;
    for (int64_t e = 0; e < o->n_experts; e++)
        SPAR_TRY(kind_of(o)->declare(&l->views, s, o->expert.options, l->selves + (size_t)e * size));
    l->n_params = (int)(l->views.n_params / o->n_experts);
    if (!(l->stacked = spar__array((size_t)l->n_params, sizeof *l->stacked))) return SPAR_ERR_MEMORY;
    for (int i = 0; i < l->n_params; i++)
        SPAR_TRY(declare_stacked(b, o, l->views.params[i], &l->stacked[i]));
    return b->status;
}

/* The views look at where the weights lie now. */
static void prepare(void *self) {
    layer *l = self;
    for (int i = 0; i < l->views.n_params; i++) {
        const spar__tensor *all = &l->stacked[i % l->n_params]->value;
        spar__tensor *view = &l->views.params[i]->value;
        int64_t first = i / l->n_params * view->rows;
        size_t row = 0;
        spar__row_bytes(all->type, (size_t)all->cols, &row);
        view->type = all->type;
        view->data = (char *)all->data + (size_t)first * row;
        view->grad = all->grad ? all->grad + first * all->cols : NULL;
        view->needs_grad = all->needs_grad;
    }
}

static void release(void *self) {
    layer *l = self;
    for (int i = 0; i < l->views.n_params; i++) spar__param_free(l->views.params[i]);
    spar__free(l->views.params);
    spar__free(l->stacked);
    spar__free(l->selves);
}

/* ---- Running ---- */

/* Comes before the experts on the way back: the gradients of all of them have begun, those that no
 * token chose with zeros. */
static void begin_gradients(spar__pass *pass, void *arguments) {
    const layer *l = *(const layer **)arguments;
    bool add;
    for (int i = 0; i < l->n_params; i++) {
        spar__tensor *all = &l->stacked[i]->value;
        real *d = spar__grad(pass, all, &add);
        if (!d || add) continue;
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < all->rows; r++) memset(d + r * all->cols, 0, (size_t)all->cols * sizeof *d);
    }
    for (int i = 0; i < l->views.n_params; i++) l->views.params[i]->value.grad_started = true;
}

static void tell(spar__pass *pass, const options *o, const spar__routing *t) {
    if (!spar__observing(pass)) return;
    spar__observe_choices(pass, "experts", t->chosen, 1, t->n, o->starving_steps);
    double pairs = (double)(t->rows * t->top_k);
    spar__observe(pass, "experts.dropped", pairs > 0 ? 1 - (double)t->begin[t->n] / pairs : 0);
}

static spar__tensor *run(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const options *o = opts;
    const layer *l = self;
    if (!x || !spar__ok(pass)) return NULL;
    spar__tensor *logits =
        spar__linear_exact(pass, spar__jitter(pass, x, o->jitter), l->router, l->router_bias);
    spar__route_options r = {o->top_k, o->normalise, o->capacity, o->capacity_factor};
    spar__routing *t = spar__route(pass, logits, &r);
    if (!t) return NULL;
    if (o->balance > 0)
        spar__add_loss(pass, "experts.balance", spar__balance_loss(pass, t->p, t->chosen, 1), o->balance);
    if (o->z_loss > 0) spar__add_loss(pass, "experts.z", spar__z_loss(pass, logits), o->z_loss);
    tell(pass, o, t);
    spar__tensor **in = spar__dispatch(pass, t, x), **out = spar__take(pass, t->n, sizeof *out);
    if (!in || !out) return NULL;
    if (pass->bf16) /* copies of the last pass lie in memory that is used again */
        for (int i = 0; i < l->views.n_params; i++) l->views.params[i]->value.half = NULL;
    const spar__feedforward_kind *kind = kind_of(o);
    for (int64_t e = 0; e < t->n; e++)
        out[e] = in[e] ? kind->run(pass, o->expert.options, l->selves + (size_t)e * kind->self_size, in[e]) : NULL;
    if (l->stacked[0]->value.needs_grad) spar__push(pass, begin_gradients, &l, sizeof l);
    return spar__combine(pass, t, out, x->cols);
}

static int64_t read_weights(const spar__shape *s, const void *opts, int64_t tokens) {
    const options *o = opts;
    double chosen = spar__distinct(o->n_experts, o->top_k, tokens);
    int64_t each = llround((double)(tokens * o->top_k) / chosen); /* tokens of a chosen expert */
    double read = chosen * (double)kind_of(o)->read(s, o->expert.options, each > 1 ? each : 1);
    return o->n_experts * (s->d_model + o->router_bias) + llround(read);
}

const spar__feedforward_kind spar__feedforward_experts = {
    {"experts", table, sizeof(options)}, sizeof(layer), declare, run, read_weights, NULL, prepare, release};
