/* What the files of the sparse feed-forward layer share.
 *
 * Rows are taken in chunks. Within a chunk, each block has its rows in the order of their choices, so that those
 * with the same neuron are neighbours; what belongs to (row, block) stands in that order, block after block:
 * element chunk.begin·blocks + b·chunk.rows + i. */
#ifndef SPAR_OP_SPARSE_INSIDE_H
#define SPAR_OP_SPARSE_INSIDE_H

#include "op/sparse.h"

enum { SPAR__SPARSE_CHUNK = 128 };

typedef struct spar__sparse_pass {
    spar__tensor *x, *g, *y;
    spar__param *w, *bias;
    spar__sparse_options o;
    int64_t rows, d, d_ff, blocks;
    bool hard, straight; /* straight: the gradient of the choice goes through to m */
    bool singly;         /* rows are few: each has the bits that it has alone */
    const char *packed;  /* x in 8 bits for weights in blocks, packed_bytes a row; or NULL */
    size_t packed_bytes;
    bool gate;           /* hidden values are multiplied by m of the choice … */
    bool gate_moves;     /* … which gets a gradient for it */
    real factor;         /* and by this */
    uint64_t site;
    real *m;         /* [rows, d_ff] where it is needed again */
    real *pre;       /* soft: x·W1 [rows, d_ff] */
    int32_t *choice; /* in the order above: the neuron within its block */
    int32_t *order;  /* the row within its chunk */
    real *h;         /* relu of the chosen neuron */
    real *f;         /* m of the choice; NULL without gate */
    int64_t *counts; /* [blocks, N] how often chosen; NULL = not wanted */
} spar__sparse_pass;

typedef struct spar__sparse_chunk {
    int64_t begin, rows;
} spar__sparse_chunk;

static inline int64_t spar__sparse_chunks(const spar__sparse_pass *s) {
    return (s->rows + SPAR__SPARSE_CHUNK - 1) / SPAR__SPARSE_CHUNK;
}
static inline spar__sparse_chunk spar__sparse_chunk_at(const spar__sparse_pass *s, int64_t i) {
    int64_t begin = i * SPAR__SPARSE_CHUNK, left = s->rows - begin;
    return (spar__sparse_chunk){begin, left < SPAR__SPARSE_CHUNK ? left : SPAR__SPARSE_CHUNK};
}
static inline int64_t spar__sparse_at(const spar__sparse_pass *s, spar__sparse_chunk c, int64_t block) {
    return c.begin * s->blocks + block * c.rows;
}
/* Where the rows that chose like the one at `i` end. */
static inline int64_t spar__sparse_run(const int32_t *choice, int64_t i, int64_t n) {
    int64_t end = i + 1;
    while (end < n && choice[end] == choice[i]) end++;
    return end;
}

/* sparse_choice.c: the softmax and choices of blocks [b0, b1) for the rows of a chunk; `kept` (bytes or
 * 16-bit numbers [rows, blocks]) are choices made before, or receive them. */
typedef struct spar__sparse_kept {
    void *choices;
    bool found;
} spar__sparse_kept;
void spar__sparse_choose(const spar__pass *pass, const spar__sparse_pass *s, spar__sparse_chunk c,
                         int64_t b0, int64_t b1, const spar__sparse_kept *kept, real *row, int32_t *counts);
/* Gradients of the controller: of the chosen neurons' dm (in the order above), or of all dm [rows, d_ff]
 * (overwritten), and of the balance loss. */
void spar__sparse_choice_back(spar__pass *pass, const spar__sparse_pass *s, const real *dm_chosen, real *dm);

/* sparse_hard.c: only chosen neurons. */
void spar__sparse_hard(spar__pass *pass, spar__sparse_pass *s);
void spar__sparse_hard_back(spar__pass *pass, const spar__sparse_pass *s);
/* sparse_soft.c: all of them. */
void spar__sparse_soft(spar__pass *pass, spar__sparse_pass *s);
void spar__sparse_soft_back(spar__pass *pass, const spar__sparse_pass *s);

#endif
