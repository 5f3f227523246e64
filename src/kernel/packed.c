/* Dense products by our own kernels: B is packed once by all threads, A is read as it lies (or, to be
 * turned, packed too), and tiles of C are handed out. Sums over k are cut into blocks of a fixed
 * size that follow one another, so neither tiles nor threads change a bit. */
#include "kernel/packed.h"

#include <pthread.h>

#include "kernel/gemm.h"

enum {
    DEPTH = 256,      /* of a block of k: a panel of B fits into the first cache */
    PACKED_COLS = 3072, /* of B that are packed at once */
    PACKED_ROWS = 3072,
    TILE_ROWS = 96, /* a tile of A fits into the second cache */
    TILE_COLS = 256,
    NARROWEST = 64, /* a multiple of every panel's width */
    ENOUGH_TILES = 16,
};

typedef struct buffer {
    real *numbers;
    size_t capacity;
} buffer;

/* The memory of the last product is kept for the next one; who finds it in use takes its own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static buffer kept; /* under the lock */

static bool make_room(buffer *b, size_t count) {
    if (count <= b->capacity) return true;
    real *larger = spar__array(count, sizeof *larger);
    if (!larger) return false;
    spar__free(b->numbers);
    *b = (buffer){larger, count};
    return true;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* One block: rows i … and columns j … of C, and l … of the sum. */
typedef struct block {
    int64_t i, m, j, n, l, k;
    real *a, *b; /* packed */
} block;

static void pack(const spar__product *p, const block *at, bool with_b) {
    const spar__packed_product *own = &spar__k()->product;
    const int64_t cols = own->cols, rows = TILE_ROWS / own->rows * own->rows;
    if (with_b) {
#pragma omp for schedule(static) nowait
        for (int64_t j = 0; j < at->n; j += cols) {
            int64_t col = at->j + j;
            own->pack_cols(at->b + j * at->k,
                           p->b + (p->transpose_b ? col * p->ldb + at->l : at->l * p->ldb + col), p->ldb,
                           p->transpose_b, at->k, least(cols, at->n - j));
        }
    }
    if (p->transpose_a) {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < at->m; i += rows)
            own->pack_rows(at->a + i * at->k, p->a + at->l * p->lda + at->i + i, p->lda,
                           least(rows, at->m - i), at->k);
    }
#pragma omp barrier
}

/* Tiles of a block, of nearly equal heights; where they are few, narrow enough for all threads. */
typedef struct tiling {
    int64_t rows, cols, across, count;
} tiling;

static tiling tile(const block *at, const spar__packed_product *own) {
    int64_t down = (at->m + TILE_ROWS - 1) / TILE_ROWS;
    tiling t = {.rows = up((at->m + down - 1) / down, own->rows), .cols = TILE_COLS};
    down = (at->m + t.rows - 1) / t.rows;
    while (t.cols > NARROWEST && down * ((at->n + t.cols - 1) / t.cols) < ENOUGH_TILES) t.cols /= 2;
    t.across = (at->n + t.cols - 1) / t.cols;
    t.count = down * t.across;
    return t;
}

static void multiply(const spar__product *p, const block *at) {
    const spar__packed_product *own = &spar__k()->product;
    const tiling tiles = tile(at, own);
#pragma omp for schedule(dynamic)
    for (int64_t t = 0; t < tiles.count; t++) {
        int64_t i = t / tiles.across * tiles.rows, j = t % tiles.across * tiles.cols;
        const real *a = p->transpose_a ? at->a + i * at->k : p->a + (at->i + i) * p->lda + at->l;
        own->tile(&(spar__tile){
            .m = least(tiles.rows, at->m - i),
            .n = least(tiles.cols, at->n - j),
            .k = at->k,
            .a = a,
            .lda = p->lda,
            .packed = p->transpose_a,
            .b = at->b + j * at->k,
            .alpha = p->alpha,
            .beta = at->l ? 1 : p->beta,
            .bias = at->l || !p->bias ? NULL : p->bias + at->j + j,
            .c = p->c + (at->i + i) * p->ldc + at->j + j,
            .ldc = p->ldc,
        });
    }
}

static void run(const spar__product *p, real *numbers, size_t size_b) {
    bool parallel = (double)p->m * (double)p->n * (double)p->k > 1 << 15;
#pragma omp parallel if (parallel)
    for (int64_t j = 0; j < p->n; j += PACKED_COLS)
        for (int64_t l = 0; l < p->k; l += DEPTH)
            for (int64_t i = 0; i < p->m; i += p->transpose_a ? PACKED_ROWS : p->m) {
                block at = {.i = i, .j = j, .l = l, .b = numbers, .a = numbers + size_b};
                at.m = p->transpose_a ? least(PACKED_ROWS, p->m - i) : p->m;
                at.n = least(PACKED_COLS, p->n - j);
                at.k = least(DEPTH, p->k - l);
                pack(p, &at, i == 0);
                multiply(p, &at);
            }
}

bool spar__packed_gemm(const spar__product *p) {
    const spar__packed_product *own = &spar__k()->product;
    size_t depth = (size_t)least(DEPTH, p->k);
    size_t size_b = (size_t)up(least(PACKED_COLS, p->n), own->cols) * depth;
    size_t size_a = p->transpose_a ? (size_t)up(least(PACKED_ROWS, p->m), own->rows) * depth : 0;
    buffer mine = {0};
    bool locked = pthread_mutex_trylock(&lock) == 0;
    buffer *b = locked ? &kept : &mine;
    bool done = make_room(b, size_a + size_b);
    if (done) run(p, b->numbers, size_b);
    if (locked) pthread_mutex_unlock(&lock);
    else spar__free(mine.numbers);
    return done;
}
