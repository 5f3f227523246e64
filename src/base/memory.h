/* Memory: allocation that fails as a status, checked sizes, and the arena of activations. */
#ifndef SPAR_BASE_MEMORY_H
#define SPAR_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Every number that comes from a file goes through these: false on overflow, *out then unset. */
static inline bool spar__add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool spar__mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
/* Rounds up to a multiple of `alignment`, a power of two. */
static inline bool spar__align(size_t n, size_t alignment, size_t *out) {
    size_t sum;
    if (!spar__add(n, alignment - 1, &sum)) return false;
    *out = sum & ~(alignment - 1);
    return true;
}

/* Allocation, zeroed, aligned to 64 bytes when at least 64 bytes long. NULL when there is no
 * memory, after recording SPAR_ERR_MEMORY's message. spar__array multiplies with a check. */
void *spar__alloc(size_t bytes);
void *spar__array(size_t count, size_t size);
/* Grows or shrinks; new bytes are not cleared; on failure NULL and `old` stays valid. */
void *spar__resize(void *old, size_t count, size_t size);
void spar__free(void *pointer);
char *spar__copy_string(const char *text);
char *spar__copy_bytes(const void *bytes, size_t length); /* adds a terminating 0 */

/* For torture tests: the n-th allocation from now (n ≥ 1) fails, and with `onward` every later one
 * too; 0 switches it off. Returns how many allocations were made since the last call. Any thread,
 * but meaningful only while one thread allocates. */
size_t spar__alloc_fail_at(size_t n, bool onward);

/* ---- Arena: memory of one pass, given back at once ------------------------------------------
 * Blocks are kept when the arena is rewound, so a training step allocates nothing after the
 * first of its shape. Not thread-safe: one arena, one thread. */
typedef struct spar__arena spar__arena;
typedef struct spar__arena_mark {
    size_t block, used, total;
} spar__arena_mark;

spar__arena *spar__arena_create(size_t block_bytes); /* NULL when there is no memory */
void spar__arena_free(spar__arena *arena);
/* 64-byte aligned, not cleared. NULL when there is no memory (message recorded). */
void *spar__arena_take(spar__arena *arena, size_t bytes);
spar__arena_mark spar__arena_here(const spar__arena *arena);
void spar__arena_rewind(spar__arena *arena, spar__arena_mark mark);
size_t spar__arena_used(const spar__arena *arena); /* bytes taken now */
size_t spar__arena_peak(const spar__arena *arena); /* most bytes ever taken */
size_t spar__arena_held(const spar__arena *arena); /* bytes obtained from the system */

#endif
