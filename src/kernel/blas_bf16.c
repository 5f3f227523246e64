/* One product of bf16 matrices by oneDNN's matmul, for processors with instructions for it.
 *
 * A primitive is compiled for one shape, so those in use are kept; they may run on several threads at
 * once, since each run brings its own scratch memory. oneDNN 2 and 3 spell descriptors differently. */
#include "kernel/gemm.h"

#if defined SPAR_BLAS_ONEDNN && !defined SPAR_REAL_DOUBLE

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <string.h>

#include "base/cpu.h"

enum { KEPT = 512, PROBES = 8, AT_ONCE = 64 /* threads with scratch memory that is kept */ };

typedef struct key {
    int64_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
    int32_t transpose_a, transpose_b;
} key;

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout; /* a handle, ours to destroy */
#else
typedef dnnl_memory_desc_t *layout; /* into `space` of the primitive */
#endif

typedef struct primitive {
    key key;
    dnnl_primitive_t run;
    size_t scratch; /* bytes that a run needs */
    layout a, b, c;
#if DNNL_VERSION_MAJOR < 3
    dnnl_memory_desc_t space[3];
#endif
} primitive;

typedef struct scratch {
    void *bytes;
    size_t capacity;
    bool busy;
} scratch;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static dnnl_engine_t engine;           /* made under the lock, once */
static primitive *kept[KEPT + PROBES]; /* under the lock; never freed: others may be running them */
static scratch pool[AT_ONCE];          /* `busy` under the lock, the rest belongs to who is busy */

static key key_of(const spar__bf16_product *p) {
    return (key){p->m, p->n, p->k, p->lda, p->ldb, p->ldc, p->alpha, p->beta, p->transpose_a, p->transpose_b};
}

static size_t slot_of(const key *k) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *k; i++) h = (h ^ ((const unsigned char *)k)[i]) * 1099511628211u;
    return (size_t)(h >> 20) % KEPT;
}

/* ---- What the two versions say differently ---- */

static bool lay_out(layout *l, int64_t rows, int64_t cols, bool turned, int64_t ld, dnnl_data_type_t type) {
    const dnnl_dims_t dims = {rows, cols}, strides = {turned ? 1 : ld, turned ? ld : 1};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(l, 2, dims, type, strides) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_strides(*l, 2, dims, type, strides) == dnnl_success;
#endif
}

/* c = alpha·sum + beta·c, with scratch memory brought by who runs it. */
static bool set_attributes(dnnl_primitive_attr_t attributes, dnnl_post_ops_t after, const key *k) {
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
#if DNNL_VERSION_MAJOR >= 3
    if (!status && k->alpha != 1) status = dnnl_post_ops_append_eltwise(after, dnnl_eltwise_linear, k->alpha, 0);
    if (!status && k->beta != 0) status = dnnl_post_ops_append_sum(after, k->beta, 0, dnnl_data_type_undef);
#else
    if (!status && k->alpha != 1)
        status = dnnl_post_ops_append_eltwise(after, 1, dnnl_eltwise_linear, k->alpha, 0);
    if (!status && k->beta != 0) status = dnnl_post_ops_append_sum(after, k->beta);
#endif
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, after);
    return status == dnnl_success;
}

static bool describe(primitive *p, dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out) {
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(out, engine, p->a, p->b, NULL, p->c, attributes) == dnnl_success;
#else
    dnnl_matmul_desc_t matmul;
    return dnnl_matmul_desc_init(&matmul, p->a, p->b, NULL, p->c) == dnnl_success &&
           dnnl_primitive_desc_create(out, &matmul, attributes, engine, NULL) == dnnl_success;
#endif
}

static size_t scratch_of(const_dnnl_primitive_desc_t description) {
#if DNNL_VERSION_MAJOR >= 3
    const_dnnl_memory_desc_t m = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
#else
    const dnnl_memory_desc_t *m = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
#endif
    return m ? dnnl_memory_desc_get_size(m) : 0;
}

/* ---- Primitives ---- */

static void destroy(primitive *p) {
    if (!p) return;
    if (p->run) dnnl_primitive_destroy(p->run);
#if DNNL_VERSION_MAJOR >= 3
    if (p->a) dnnl_memory_desc_destroy(p->a);
    if (p->b) dnnl_memory_desc_destroy(p->b);
    if (p->c) dnnl_memory_desc_destroy(p->c);
#endif
    spar__free(p);
}

static bool compile(primitive *p) {
    const key *k = &p->key;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_primitive_desc_t description = NULL;
#if DNNL_VERSION_MAJOR < 3
    p->a = &p->space[0], p->b = &p->space[1], p->c = &p->space[2];
#endif
    bool done = lay_out(&p->a, k->m, k->k, k->transpose_a, k->lda, dnnl_bf16) &&
                lay_out(&p->b, k->k, k->n, k->transpose_b, k->ldb, dnnl_bf16) &&
                lay_out(&p->c, k->m, k->n, false, k->ldc, dnnl_f32) &&
                dnnl_primitive_attr_create(&attributes) == dnnl_success &&
                dnnl_post_ops_create(&after) == dnnl_success && set_attributes(attributes, after, k) &&
                describe(p, attributes, &description) &&
                dnnl_primitive_create(&p->run, description) == dnnl_success;
    if (done) p->scratch = scratch_of(description);
    if (description) dnnl_primitive_desc_destroy(description);
    if (after) dnnl_post_ops_destroy(after);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return done;
}

static primitive *create(const key *k) {
    primitive *p = spar__alloc(sizeof *p);
    if (!p) return NULL;
    p->key = *k;
    if (compile(p)) return p;
    destroy(p);
    return NULL;
}

/* The primitive of a shape; *mine says that nobody keeps it. */
static primitive *find(const key *k, bool *mine) {
    size_t at = slot_of(k), end = at + PROBES;
    primitive *p = NULL;
    *mine = false;
    pthread_mutex_lock(&lock);
    while (at < end && kept[at] && memcmp(&kept[at]->key, k, sizeof *k)) at++;
    if (at < end && kept[at]) {
        p = kept[at];
    } else if (engine || dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success) {
        p = create(k);
        if (at < end) kept[at] = p;
        else *mine = true;
    }
    pthread_mutex_unlock(&lock);
    return p;
}

/* ---- Scratch memory, kept for the next product ---- */

static scratch *take_scratch(size_t bytes, scratch *own) {
    scratch *s = own;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < AT_ONCE && s == own; i++)
        if (!pool[i].busy) s = &pool[i];
    s->busy = true;
    pthread_mutex_unlock(&lock);
    if (bytes > s->capacity) {
        spar__free(s->bytes);
        s->bytes = spar__alloc(bytes);
        s->capacity = s->bytes ? bytes : 0;
    }
    return s;
}

static void give_scratch(scratch *s, const scratch *own) {
    if (s == own) {
        spar__free(s->bytes);
        return;
    }
    pthread_mutex_lock(&lock);
    s->busy = false;
    pthread_mutex_unlock(&lock);
}

/* ---- Running ---- */

static bool execute(const primitive *p, const spar__bf16_product *on, void *bytes) {
    dnnl_stream_t stream = NULL;
    dnnl_memory_t memory[4] = {NULL};
    layout of[] = {p->a, p->b, p->c};
    void *const data[] = {(void *)on->a, (void *)on->b, on->c};
    int arguments[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_exec_arg_t list[4];
    int n = p->scratch ? 4 : 3;
    bool done = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success;
    for (int i = 0; done && i < 3; i++) done = dnnl_memory_create(&memory[i], of[i], engine, data[i]) == dnnl_success;
    if (done && p->scratch) {
#if DNNL_VERSION_MAJOR >= 3
        layout flat = NULL;
#else
        dnnl_memory_desc_t space;
        layout flat = &space;
#endif
        done = lay_out(&flat, 1, (int64_t)p->scratch, false, (int64_t)p->scratch, dnnl_u8) &&
               dnnl_memory_create(&memory[3], flat, engine, bytes) == dnnl_success;
#if DNNL_VERSION_MAJOR >= 3
        if (flat) dnnl_memory_desc_destroy(flat);
#endif
    }
    for (int i = 0; i < n; i++) list[i] = (dnnl_exec_arg_t){arguments[i], memory[i]};
    done = done && dnnl_primitive_execute(p->run, stream, n, list) == dnnl_success &&
           dnnl_stream_wait(stream) == dnnl_success;
    for (int i = 0; i < 4; i++)
        if (memory[i]) dnnl_memory_destroy(memory[i]);
    if (stream) dnnl_stream_destroy(stream);
    return done;
}

bool spar__bf16_product_tile(const spar__bf16_product *product) {
    key k;
    memset(&k, 0, sizeof k); /* compared as bytes */
    k = key_of(product);
    bool mine;
    primitive *p = find(&k, &mine);
    if (!p) return false;
    scratch own = {0}, *s = take_scratch(p->scratch, &own);
    bool done = s->capacity >= p->scratch && execute(p, product, s->bytes);
    give_scratch(s, &own);
    if (mine) destroy(p);
    return done;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool fast;

/* The CPU has the instructions, nobody asked for lesser ones, and the library knows them. */
static void find_out(void) {
    if (!spar__cpu_get()->avx512_bf16 || strcmp(spar__k()->isa, "avx512")) return;
    static uint16_t a[16], b[16];
    static float c[1];
    fast = spar__bf16_product_tile(&(spar__bf16_product){false, true, 1, 1, 16, 1, 0, a, 16, b, 16, c, 1});
}

bool spar__gemm_bf16_fast(void) {
    pthread_once(&once, find_out);
    return fast;
}

#else

bool spar__bf16_product_tile(const spar__bf16_product *product) {
    (void)product;
    return false;
}

bool spar__gemm_bf16_fast(void) {
    return false;
}

#endif
