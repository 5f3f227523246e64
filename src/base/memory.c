#include "base/memory.h"
#include "spar/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static _Atomic size_t allocations, fail_at;
static _Atomic bool fail_onward;

size_t spar__alloc_fail_at(size_t n, bool onward) {
    atomic_store(&fail_at, n);
    atomic_store(&fail_onward, onward);
    return atomic_exchange(&allocations, 0);
}

static bool refused(size_t bytes) {
    size_t count = atomic_fetch_add(&allocations, 1) + 1, at = atomic_load(&fail_at);
    if (!at || count < at || (count > at && !atomic_load(&fail_onward))) return false;
    spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu bytes", bytes);
    return true;
}

/* Large pieces lie in huge pages where the system has them: fewer misses of the address cache. */
static void *obtain_large(size_t bytes) {
    size_t padded;
    void *p = spar__align(bytes, HUGE_PAGE, &padded) ? aligned_alloc(HUGE_PAGE, padded) : NULL;
#ifdef MADV_HUGEPAGE
    if (p) madvise(p, padded, MADV_HUGEPAGE);
#endif
    return p;
}

static void *obtain(size_t bytes) {
    void *p = NULL;
    size_t padded;
    if (bytes >= 2 * HUGE_PAGE) p = obtain_large(bytes);
    else if (bytes < 64) p = malloc(bytes ? bytes : 1);
    else if (spar__align(bytes, 64, &padded)) p = aligned_alloc(64, padded);
    if (!p) spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu bytes", bytes);
    return p;
}

void *spar__alloc(size_t bytes) {
    if (refused(bytes)) return NULL;
    void *p = obtain(bytes);
    return p ? memset(p, 0, bytes ? bytes : 1) : NULL;
}

void *spar__array(size_t count, size_t size) {
    size_t bytes;
    if (spar__mul(count, size, &bytes)) return spar__alloc(bytes);
    spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
    return NULL;
}

void *spar__resize(void *old, size_t count, size_t size) {
    size_t bytes;
    if (!spar__mul(count, size, &bytes)) {
        spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
        return NULL;
    }
    if (refused(bytes)) return NULL;
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p) spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu bytes", bytes);
    return p;
}

void spar__free(void *pointer) { free(pointer); }
void spar_free(void *pointer) { free(pointer); }

char *spar__copy_bytes(const void *bytes, size_t length) {
    size_t size;
    if (!spar__add(length, 1, &size)) {
        spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu bytes", length);
        return NULL;
    }
    char *copy = spar__alloc(size);
    return copy && length ? memcpy(copy, bytes, length) : copy;
}

char *spar__copy_string(const char *text) { return spar__copy_bytes(text, strlen(text)); }

/* ---- Arena -------------------------------------------------------------------------------- */

typedef struct block {
    unsigned char *bytes;
    size_t size;
} block;

struct spar__arena {
    block *blocks;
    size_t n_blocks, current, used; /* `used` within blocks[current] */
    size_t block_bytes, total, peak, held;
};

spar__arena *spar__arena_create(size_t block_bytes) {
    spar__arena *arena = spar__alloc(sizeof *arena);
    if (arena) arena->block_bytes = block_bytes ? block_bytes : (size_t)1 << 22;
    return arena;
}

void spar__arena_free(spar__arena *arena) {
    if (!arena) return;
    for (size_t i = 0; i < arena->n_blocks; i++) free(arena->blocks[i].bytes);
    free(arena->blocks);
    free(arena);
}

static bool add_block(spar__arena *arena, size_t at_least) {
    size_t size = at_least > arena->block_bytes ? at_least : arena->block_bytes;
    block *blocks = spar__resize(arena->blocks, arena->n_blocks + 1, sizeof *blocks);
    if (!blocks) return false;
    arena->blocks = blocks;
    if (refused(size)) return false;
    unsigned char *bytes = obtain(size);
    if (!bytes) return false;
    /* New blocks go right behind the current one, so that marks into earlier blocks stay right. */
    size_t at = arena->n_blocks ? arena->current + 1 : 0;
    memmove(blocks + at + 1, blocks + at, (arena->n_blocks - at) * sizeof *blocks);
    blocks[at] = (block){bytes, size};
    arena->n_blocks++;
    arena->held += size;
    return true;
}

void *spar__arena_take(spar__arena *arena, size_t bytes) {
    size_t size;
    if (!spar__align(bytes ? bytes : 1, 64, &size)) {
        spar__fail(SPAR_ERR_MEMORY, "out of memory: %zu bytes", bytes);
        return NULL;
    }
    if (!arena->n_blocks && !add_block(arena, size)) return NULL;
    if (size > arena->blocks[arena->current].size - arena->used) {
        size_t next = arena->current + 1;
        if ((next == arena->n_blocks || arena->blocks[next].size < size) && !add_block(arena, size))
            return NULL;
        arena->current = next;
        arena->used = 0;
    }
    void *p = arena->blocks[arena->current].bytes + arena->used;
    arena->used += size;
    arena->total += size;
    if (arena->total > arena->peak) arena->peak = arena->total;
    return p;
}

spar__arena_mark spar__arena_here(const spar__arena *arena) {
    return (spar__arena_mark){arena->current, arena->used, arena->total};
}

void spar__arena_rewind(spar__arena *arena, spar__arena_mark mark) {
    arena->current = mark.block;
    arena->used = mark.used;
    arena->total = mark.total;
}

size_t spar__arena_used(const spar__arena *arena) { return arena->total; }
size_t spar__arena_peak(const spar__arena *arena) { return arena->peak; }
size_t spar__arena_held(const spar__arena *arena) { return arena->held; }
