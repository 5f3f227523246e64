/* Decoders. */
#include <string.h>

#include "token/tokenizer.h"

spar_status spar__pieces_add(spar__pieces *p, const char *bytes, size_t length) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 256;
        size_t *ends = spar__resize(p->ends, capacity, sizeof *ends);
        if (!ends) return SPAR_ERR_MEMORY;
        p->ends = ends;
        p->capacity = capacity;
    }
    SPAR_TRY(spar__buffer_add(&p->bytes, bytes, length));
    p->ends[p->count++] = p->bytes.length;
    return SPAR_OK;
}

void spar__pieces_free(spar__pieces *p) {
    spar__buffer_free(&p->bytes);
    spar__free(p->ends);
    p->ends = NULL;
    p->count = p->capacity = 0;
}

/* The vocabulary holds bytes already, so joining the pieces is all there is to do. */
static spar_status byte_level_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

const spar__decoder_kind spar__decoder_byte_level = {"ByteLevel", byte_level_open, NULL, NULL};

static spar_status fuse_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

static spar_status fuse_apply(const void *state, const spar__pieces *in, spar__pieces *out) {
    (void)state;
    return in->count ? spar__pieces_add(out, in->bytes.bytes, in->bytes.length) : SPAR_OK;
}

const spar__decoder_kind spar__decoder_fuse = {"Fuse", fuse_open, NULL, fuse_apply};
