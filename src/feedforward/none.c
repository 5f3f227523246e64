/* No feed-forward: a layer of attention alone, as for several attentions before each feed-forward. */
#include "feedforward/feedforward.h"

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    (void)s, (void)opts, (void)self;
    return b->status;
}

static spar__tensor *run(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    (void)pass, (void)opts, (void)self, (void)x;
    return NULL;
}

static int64_t read_weights(const spar__shape *s, const void *opts, int64_t tokens) {
    (void)s, (void)opts, (void)tokens;
    return 0;
}

const spar__feedforward_kind spar__feedforward_none = {
    {"none", NULL, 0}, 0, declare, run, read_weights, .absent = true};
