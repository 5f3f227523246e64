/* pre-norm (GPT-2):   x += A(norm1 x);  x += F(norm2 x)
 * post-norm (2017):   x = norm1(x + A x);  x = norm2(x + F x)
 * parallel (GPT-J, PaLM):  h = norm1 x;  x += A h + F h
 * parallel-norms (GPT-NeoX):  x += A(norm1 x) + F(norm2 x)
 * reversible, reversible-joined, reversible-once, reversible-once-joined (Terraformer, Reformer):  reversible.c
 * normed-residual (an option of BLOOM):  h = norm1 x;  x = h + A h;  h = norm2 x;  x = h + F h
 * Decoders that have an encoder look at its output between the two, by a half-residual of its own:
 * x += C(norm3 x), or x = norm3(x + C x), or C h beside A h. */
#include "block/block.h"

static spar__tensor *cross_pre_norm(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    if (!b->cross.kind) return x;
    return spar__sum(pass, x, spar__block_cross(pass, b, spar__block_norm(pass, &b->cross_norm, x)));
}

/* to + F h; x is what h was made of. */
static spar__tensor *add_feedforward(spar__pass *pass, const spar__block *b, spar__tensor *to, spar__tensor *h,
                                     spar__tensor *x) {
    return spar__sum(pass, to, spar__block_feedforward(pass, b, h, x));
}

static spar__tensor *pre_norm(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    spar__tensor *h = spar__block_norm(pass, &b->norm[0], x);
    x = spar__sum(pass, x, spar__block_attention(pass, b, h));
    x = cross_pre_norm(pass, b, x);
    if (!spar__block_has_feedforward(b)) return x;
    return add_feedforward(pass, b, x, spar__block_norm(pass, &b->norm[1], x), x);
}

static spar__tensor *post_norm(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    x = spar__sum(pass, x, spar__block_attention(pass, b, x));
    x = spar__block_norm(pass, &b->norm[0], x);
    if (b->cross.kind) {
        x = spar__sum(pass, x, spar__block_cross(pass, b, x));
        x = spar__block_norm(pass, &b->cross_norm, x);
    }
    if (!spar__block_has_feedforward(b)) return x;
    return spar__block_norm(pass, &b->norm[1], add_feedforward(pass, b, x, x, x));
}

static spar__tensor *parallel(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    spar__tensor *h = spar__block_norm(pass, &b->norm[0], x);
    spar__tensor *y = spar__sum(pass, x, spar__block_attention(pass, b, h));
    if (b->cross.kind) y = spar__sum(pass, y, spar__block_cross(pass, b, h));
    return spar__block_has_feedforward(b) ? add_feedforward(pass, b, y, h, x) : y;
}

static spar__tensor *parallel_norms(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    spar__tensor *a = spar__block_attention(pass, b, spar__block_norm(pass, &b->norm[0], x));
    spar__tensor *y = cross_pre_norm(pass, b, spar__sum(pass, x, a));
    if (!spar__block_has_feedforward(b)) return y;
    return add_feedforward(pass, b, y, spar__block_norm(pass, &b->norm[1], x), x);
}

static spar__tensor *normed_residual(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    spar__tensor *h = spar__block_norm(pass, &b->norm[0], x);
    h = spar__sum(pass, h, spar__block_attention(pass, b, h));
    if (spar__block_has_feedforward(b)) h = spar__block_norm(pass, &b->norm[1], h);
    if (b->cross.kind) h = spar__block_norm(pass, &b->cross_norm, spar__sum(pass, h, spar__block_cross(pass, b, h)));
    return spar__block_has_feedforward(b) ? add_feedforward(pass, b, h, h, h) : h;
}

static const spar__residual_kind spar__residual_pre_norm = {"pre-norm", 2, true, pre_norm};
static const spar__residual_kind spar__residual_post_norm = {"post-norm", 2, false, post_norm};
static const spar__residual_kind spar__residual_parallel = {"parallel", 1, true, parallel};
static const spar__residual_kind spar__residual_parallel_norms = {"parallel-norms", 2, true, parallel_norms};
static const spar__residual_kind spar__residual_normed_residual = {"normed-residual", 2, true, normed_residual};

static const spar__residual_kind spar__residual_reversible = {"reversible", 2, true, NULL, true, false};
static const spar__residual_kind spar__residual_reversible_joined = {"reversible-joined", 2, true, NULL, true, true};

static const spar__residual_kind spar__residual_reversible_once = {"reversible-once", 2, true, NULL, true, false, true};
static const spar__residual_kind spar__residual_reversible_once_joined = {"reversible-once-joined", 2, true, NULL, true, true, true};

static const spar__residual_kind *const kinds[] = {
#define RESIDUAL(symbol) &spar__residual_##symbol,
#include "block/residual.def"
#undef RESIDUAL
};

const spar__residual_kind *spar__residual_at(int index) {
    return index >= 0 && index < (int)(sizeof kinds / sizeof *kinds) ? kinds[index] : NULL;
}
