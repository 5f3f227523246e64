/* Decoders that see their encoder's output in the rows before their own (Terraformer: Jaszczur et al. 2021, arXiv
 * 2111.12763): one causal stack over the source's rows as the encoder left them, then the target's, without
 * cross-attention. With a cache, the source's rows go first through the decoder, once. */
#include "model/inside.h"
#include "op/cache.h"

spar_status spar__joined_check(const spar_model *m, const spar__stack *s) {
    const spar__position_kind *p = (const spar__position_kind *)s->position.kind;
    if (s->shape.encoder) return SPAR_OK;
    int64_t in = spar__stack_width(&m->stacks[0]), d = s->shape.d_model;
    if (!s->shape.n_layers) return spar__fail(SPAR_ERR_CONFIG, "%s.n_layers: 0, expected 1 or more with model.memory 'joined'", s->where);
    if (p->turn || p->bias || p->share || p->relative)
        return spar__fail(SPAR_ERR_CONFIG, "%s.position: '%s' with model.memory 'joined', expected one that is added to the embedding, "
                          "such as 'learned', or 'none'", s->where, p->kind.name);
    if (in != d && !(in == 2 * d && s->blocks[0].residual->reversible))
        return spar__fail(SPAR_ERR_CONFIG, "%s.d_model: %lld, expected the width of the encoder's output, %lld, or half of "
                          "it in a reversible decoder", s->where, (long long)d, (long long)in);
    for (int64_t i = 0; i < s->shape.n_layers; i++)
        if (((const spar_pattern_kind *)s->blocks[i].pattern.kind)->content)
            return spar__fail(SPAR_ERR_CONFIG, "%s.attention.pattern: '%s' with model.memory 'joined', expected one by position",
                              s->where, s->blocks[i].pattern.kind->name);
    return SPAR_OK;
}

/* Sequence i of the sources, then of the own rows. */
static spar__rows *joined_rows(spar__pass *pass, const spar__rows *sources) {
    const spar__rows *own = pass->rows;
    for (int64_t r = 0; own->first && r < own->n_rows; r++)
        if (own->first[r] > 0)
            return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "several documents in a row, expected one for each source"));
    int64_t n = sources->n_rows + own->n_rows, at = 0;
    spar__rows *rows = spar__take(pass, 1, sizeof *rows);
    spar__sequence *sequences = spar__take(pass, own->n_sequences, sizeof *sequences);
    int32_t *positions = spar__take(pass, n, sizeof *positions);
    if (!spar__ok(pass)) return NULL;
    for (int i = 0; i < own->n_sequences; i++) {
        int64_t count = sources->sequences[i].count + own->sequences[i].count;
        sequences[i] = own->sequences[i];
        sequences[i].begin = at;
        sequences[i].count = count;
        for (int64_t t = 0; t < count; t++) positions[at + t] = (int32_t)t;
        at += count;
    }
    *rows = (spar__rows){.n_rows = n, .n_sequences = own->n_sequences, .sequences = sequences, .positions = positions};
    return rows;
}

spar__tensor *spar__joined_run(spar__pass *pass, const spar_model *m, const spar__stack *s, spar__tensor *x) {
    if (pass->cache) return spar__stack_blocks(pass, m, s, x); /* the rows before are kept */
    spar__tensor *memory = pass->shared->memory;
    const spar__rows *own = pass->rows, *sources = pass->shared->memory_rows;
    spar__rows *rows = joined_rows(pass, sources);
    if (!rows || !memory) return NULL;
    int64_t d = s->shape.d_model;
    x = spar__append(pass, memory, sources, x, memory->cols > d ? 2 * d : d);
    spar__shared *shared = pass->shared;
    pass->rows = rows;
    x = spar__stack_blocks(pass, m, s, x);
    pass->rows = own;
    pass->shared = shared;
    return spar__appended(pass, x, sources);
}

const spar__rows *spar__joined_shifted(spar__pass *pass) {
    spar__rows *rows = spar__take(pass, 1, sizeof *rows);
    spar__sequence *sequences = spar__take(pass, pass->rows->n_sequences, sizeof *sequences);
    if (!sequences) return NULL;
    *rows = *pass->rows;
    rows->sequences = sequences;
    for (int i = 0; i < rows->n_sequences; i++) {
        sequences[i] = pass->rows->sequences[i];
        sequences[i].past += sequences[i].source;
    }
    return rows;
}

void spar__joined_keep(spar__pass *pass, const spar_model *m, const spar__stack *s, const spar__rows *sources,
                       spar__tensor *memory) {
    const spar__rows *outside = pass->rows;
    for (int i = 0; i < sources->n_sequences; i++) {
        const spar__sequence *q = &sources->sequences[i];
        int64_t most = spar__cache_max_chunk(pass->cache);
        spar__sequence first = {.count = 1, .slot = q->slot};
        if (spar__cache_check(pass->cache, &first)) {
            spar__stop(pass, SPAR_ERR_ARGUMENT);
            return;
        }
        spar__cache_lead(pass->cache, q->slot, q->count);
        for (int64_t at = 0; at < q->count && spar__ok(pass); at += most) {
            int64_t n = q->count - at < most ? q->count - at : most;
            spar__arena_mark mark = spar__arena_here(pass->arena);
            spar__sequence part = {.count = n, .past = at, .slot = q->slot};
            spar__rows rows = {n, 1, &part, sources->positions + q->begin + at, NULL};
            spar__tensor x = {.data = spar__data(memory) + (q->begin + at) * memory->cols, .rows = n, .cols = memory->cols};
            pass->rows = &rows;
            spar__stack_blocks(pass, m, s, &x);
            pass->rows = outside;
            spar__arena_rewind(pass->arena, mark);
        }
    }
}
