/* Random numbers as a function of what they are for: Philox4x32-10 (Salmon et al. 2011, "Parallel
 * random numbers: as easy as 1, 2, 3"). A draw is keyed by a seed and a purpose and indexed by a
 * counter, so resuming, other thread counts and other batch neighbours give the same draw. */
#ifndef SPAR_BASE_RNG_H
#define SPAR_BASE_RNG_H

#include <math.h>
#include <stdint.h>

/* What a stream of draws is for. Stored nowhere; append only, so that seeds keep their meaning. */
typedef enum spar__rng_purpose {
    SPAR__RNG_INIT = 1, /* a: parameter's name hash */
    SPAR__RNG_DROPOUT,  /* a: step, b: site */
    SPAR__RNG_ORDER,    /* a: epoch */
    SPAR__RNG_SAMPLE,   /* a: sequence, b: position */
    SPAR__RNG_NOISE,    /* a: step, b: site */
    SPAR__RNG_ROTATION, /* a: layer, b: head */
    SPAR__RNG_TEST,
    SPAR__RNG_MASK, /* a: epoch, b: row */
    SPAR__RNG_BLOCKS, /* a: layer and head, b: block of the queries */
} spar__rng_purpose;

typedef struct spar__rng {
    uint32_t key[2];
    uint32_t word[2]; /* two words of the counter, set from the purpose and its arguments */
} spar__rng;

/* Streams that differ in any argument are independent. */
spar__rng spar__rng_for(uint64_t seed, spar__rng_purpose purpose, uint64_t a, uint64_t b);

/* The four words at `index` of the stream. Pure; any thread. */
void spar__rng_at(const spar__rng *rng, uint64_t index, uint32_t out[4]);

/* Uniform in [0, 1) with 24 bits, and in (0, 1). */
static inline float spar__rng_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }
static inline float spar__rng_open(uint32_t word) {
    return ((float)(word >> 8) + 0.5f) * 0x1p-24f;
}
/* Element `index` of a stream of uniforms, of standard normals (Box–Muller), of integers below n. */
float spar__rng_uniform(const spar__rng *rng, uint64_t index);
float spar__rng_normal(const spar__rng *rng, uint64_t index);
uint64_t spar__rng_below(const spar__rng *rng, uint64_t index, uint64_t n);

/* A bijection on [0, n) that depends on the stream: item `index` of a shuffled order, in O(1)
 * (cycle-walking Feistel network). */
uint64_t spar__rng_permute(const spar__rng *rng, uint64_t index, uint64_t n);

/* FNV-1a, to key streams by a name. */
uint64_t spar__hash_name(const char *name);

#endif
