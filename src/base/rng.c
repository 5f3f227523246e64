#include "base/rng.h"

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)p1;
        c[3] = (uint32_t)p0;
        c[0] = n0;
        c[2] = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

spar__rng spar__rng_for(uint64_t seed, spar__rng_purpose purpose, uint64_t a, uint64_t b) {
    /* Two rounds of the generator itself mix the arguments into 128 bits of key and counter. */
    uint32_t c[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
    philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
    c[0] ^= (uint32_t)purpose;
    philox(c, (uint32_t)(seed >> 32), (uint32_t)seed ^ (uint32_t)purpose);
    return (spar__rng){{c[0], c[1]}, {c[2], c[3]}};
}

void spar__rng_at(const spar__rng *rng, uint64_t index, uint32_t out[4]) {
    out[0] = (uint32_t)index;
    out[1] = (uint32_t)(index >> 32);
    out[2] = rng->word[0];
    out[3] = rng->word[1];
    philox(out, rng->key[0], rng->key[1]);
}

float spar__rng_uniform(const spar__rng *rng, uint64_t index) {
    uint32_t w[4];
    spar__rng_at(rng, index >> 2, w);
    return spar__rng_unit(w[index & 3]);
}

float spar__rng_normal(const spar__rng *rng, uint64_t index) {
    uint32_t w[4];
    spar__rng_at(rng, index >> 2, w);
    unsigned pair = (unsigned)(index & 2);
    double radius = sqrt(-2.0 * log(((double)w[pair] + 0.5) * 0x1p-32));
    double angle = 6.283185307179586 * ((double)w[pair + 1] * 0x1p-32);
    return (float)(radius * (index & 1 ? sin(angle) : cos(angle)));
}

uint64_t spar__rng_below(const spar__rng *rng, uint64_t index, uint64_t n) {
    uint32_t w[4];
    spar__rng_at(rng, index, w);
    uint64_t word = (uint64_t)w[1] << 32 | w[0];
    return (uint64_t)(((unsigned __int128)word * n) >> 64);
}

uint64_t spar__rng_permute(const spar__rng *rng, uint64_t index, uint64_t n) {
    if (n < 2) return 0;
    unsigned half = 1;
    while (half < 32 && (uint64_t)1 << (2 * half) < n) half++;
    uint32_t mask = half == 32 ? 0xFFFFFFFFu : ((uint32_t)1 << half) - 1;
    /* The network permutes 4^half ≥ n numbers; walking its cycles from below n stays below n. */
    do {
        uint32_t left = (uint32_t)(index >> half) & mask, right = (uint32_t)index & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t c[4] = {right, round, rng->word[0], rng->word[1]};
            philox(c, rng->key[0], rng->key[1]);
            uint32_t next = left ^ (c[0] & mask);
            left = right;
            right = next;
        }
        index = (uint64_t)left << half | right;
    } while (index >= n);
    return index;
}

uint64_t spar__hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}
