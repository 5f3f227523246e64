/* Metaspace: blanks become U+2581, which words then begin with (Kudo and Richardson 2018); the
 * pre-tokeniser and the decoder of tokenizer.json. */
#include <string.h>

#include "token/field.h"
#include "token/tokenizer.h"

typedef enum scheme { ALWAYS, FIRST, NEVER } scheme;

typedef struct metaspace {
    char blank[8];
    size_t n;
    scheme prepend;
    bool split;
} metaspace;

static spar_status metaspace_open(const json_t *settings, void **state) {
    static const char *const schemes[] = {"always", "first", "never"};
    metaspace m = {0};
    const char *blank, *name;
    bool prefix;
    SPAR_TRY(spar__field_string(settings, "replacement", "\xE2\x96\x81", &blank));
    SPAR_TRY(spar__field_bool(settings, "add_prefix_space", true, &prefix));
    SPAR_TRY(spar__field_string(settings, "prepend_scheme", prefix ? "always" : "never", &name));
    SPAR_TRY(spar__field_bool(settings, "split", true, &m.split));
    int i = 0;
    while (i < 3 && strcmp(schemes[i], name)) i++;
    if (i == 3)
        return spar__fail(SPAR_ERR_UNSUPPORTED,
                          "key 'prepend_scheme': '%.64s', expected always, first or never", name);
    m.prepend = (scheme)i;
    m.n = strlen(blank);
    if (!m.n || m.n >= sizeof m.blank)
        return spar__fail(SPAR_ERR_FORMAT, "key 'replacement': '%.64s', expected one character",
                          blank);
    memcpy(m.blank, blank, m.n);
    metaspace *kept = spar__alloc(sizeof *kept);
    if (!kept) return SPAR_ERR_MEMORY;
    *kept = m;
    *state = kept;
    return SPAR_OK;
}

bool spar__metaspace_from_start(const void *state) {
    return ((const metaspace *)state)->prepend == FIRST;
}

/* Cuts before each blank. */
static spar_status cut(const void *state, spar__run *run, int level, const char *text,
                       size_t length) {
    const metaspace *m = state;
    size_t begin = 0;
    for (size_t at = 1; m->split && at < length; at++) {
        const char *found = memmem(text + at, length - at, m->blank, m->n);
        if (!found) break;
        at = (size_t)(found - text);
        SPAR_TRY(spar__run_split(run, level + 1, text + begin, at - begin));
        begin = at;
    }
    return spar__run_split(run, level + 1, text + begin, length - begin);
}

static spar_status metaspace_split(const void *state, spar__run *run, int level, const char *text,
                                   size_t length) {
    const metaspace *m = state;
    spar__text made = spar__text_make(run->view != NULL);
    bool begins = *text == ' ' || (length >= m->n && !memcmp(text, m->blank, m->n));
    bool prepend = m->prepend == ALWAYS || (m->prepend == FIRST && text == run->start);
    spar_status status = spar__buffer_reserve(&made.bytes, length + length / 2);
    if (!status && prepend && !begins) status = spar__text_add(&made, m->blank, m->n, 0, 0);
    for (size_t at = 0; !status && at < length;) {
        const char *blank = memchr(text + at, ' ', length - at);
        size_t end = blank ? (size_t)(blank - text) : length;
        status = spar__text_copy(&made, text, at, end);
        if (!status && blank) status = spar__text_add(&made, m->blank, m->n, end, end + 1);
        at = end + (blank != NULL);
    }
    if (!status) status = spar__run_made(run, level, &made, text, cut, m);
    spar__text_free(&made);
    return status;
}

const spar__splitter_kind spar__splitter_metaspace = {"Metaspace", metaspace_open, spar__free,
                                                      metaspace_split};

/* In the first piece blanks vanish, for the text had none where they were put. */
static spar_status metaspace_pieces(const void *state, const spar__pieces *in, spar__pieces *out) {
    const metaspace *m = state;
    for (size_t i = 0, at = 0; i < in->count; i++) {
        size_t end = in->ends[i];
        while (at < end) {
            const char *from = in->bytes.bytes + at, *found = memmem(from, end - at, m->blank, m->n);
            size_t n = found ? (size_t)(found - from) : end - at;
            SPAR_TRY(spar__buffer_add(&out->bytes, from, n));
            at += n;
            if (!found) break;
            if (i || m->prepend == NEVER) SPAR_TRY(spar__buffer_add(&out->bytes, " ", 1));
            at += m->n;
        }
        SPAR_TRY(spar__pieces_add(out, "", 0));
    }
    return SPAR_OK;
}

const spar__decoder_kind spar__decoder_metaspace = {"Metaspace", metaspace_open, spar__free,
                                                    metaspace_pieces};
