/* Splitters: cutting a text at the matches of an expression, what tokenizer.json calls Split,
 * ByteLevel, Digits, Whitespace and WhitespaceSplit. */
#include <string.h>

#include "token/field.h"
#include "token/regex.h"
#include "token/scan.h"
#include "token/tokenizer.h"

/* What becomes of the matches and what lies between them. */
typedef enum behavior { ISOLATED, REMOVED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS } behavior;

static const char *const behavior_names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                             "MergedWithNext", "Contiguous"};

typedef struct splitter {
    spar__scanner scan; /* or: */
    spar__regex *regex; /* or neither: the text stays whole */
    behavior kind;
    bool invert;       /* what lies between the matches counts as the match */
    bool prefix_space; /* a blank in front of a text that has none */
} splitter;

static void splitter_free(void *state) {
    splitter *s = state;
    if (s) spar__regex_free(s->regex);
    spar__free(s);
}

static spar_status splitter_create(const char *expression, bool literal, behavior kind,
                                   bool invert, bool prefix_space, void **out) {
    splitter *s = spar__alloc(sizeof *s);
    if (!s) return SPAR_ERR_MEMORY;
    *s = (splitter){.kind = kind, .invert = invert, .prefix_space = prefix_space};
    const spar__pattern *known = expression && !literal ? spar__pattern_equal(expression) : NULL;
    /* The known expressions leave nothing between their matches. */
    if (known && (kind == ISOLATED || (kind == REMOVED && invert))) s->scan = known->scan;
    else if (expression) {
        spar_status status = spar__regex_compile(expression, literal, &s->regex);
        if (status) return splitter_free(s), status;
    }
    *out = s;
    return SPAR_OK;
}

/* The piece under way while segments (matches and gaps) come in. */
typedef struct join {
    spar__run *run;
    int level;
    const char *text;
    behavior kind;
    size_t begin, end; /* held back; empty when equal */
    bool previous_match, held_match;
} join;

static spar_status flush(join *j) {
    size_t begin = j->begin, end = j->end;
    j->begin = j->end;
    return begin < end ? spar__run_split(j->run, j->level + 1, j->text + begin, end - begin)
                       : SPAR_OK;
}

static spar_status segment(join *j, size_t begin, size_t end, bool match) {
    if (begin == end) return SPAR_OK;
    bool glue = false;
    switch (j->kind) {
    case ISOLATED: break;
    case REMOVED:
        if (match) return flush(j);
        break;
    case WITH_PREVIOUS: glue = match && !j->previous_match && j->begin < j->end; break;
    case WITH_NEXT: glue = !match && j->held_match && j->begin < j->end; break;
    case CONTIGUOUS: glue = match == j->previous_match && j->begin < j->end; break;
    }
    if (!glue) {
        SPAR_TRY(flush(j));
        j->begin = begin;
    }
    j->end = end;
    j->held_match = match && !glue;
    j->previous_match = match;
    return SPAR_OK;
}

static spar_status split_text(const splitter *s, spar__run *run, int level, const char *text,
                              size_t length) {
    if (s->scan) {
        for (size_t at = 0, end; at < length; at = end) {
            end = s->scan((const unsigned char *)text, at, length);
            SPAR_TRY(spar__run_split(run, level + 1, text + at, end - at));
        }
        return SPAR_OK;
    }
    if (!s->regex) return spar__run_split(run, level + 1, text, length);
    join j = {.run = run, .level = level, .text = text, .kind = s->kind};
    for (size_t at = 0; at < length;) {
        size_t begin, end;
        SPAR_TRY(spar__regex_find(s->regex, text, at, length, &begin, &end));
        SPAR_TRY(segment(&j, at, begin, s->invert));
        SPAR_TRY(segment(&j, begin, end, !s->invert));
        at = end;
    }
    return flush(&j);
}

static spar_status splitter_split(const void *state, spar__run *run, int level, const char *text,
                                  size_t length) {
    const splitter *s = state;
    if (!s->prefix_space || !length || text[0] == ' ')
        return split_text(s, run, level, text, length);
    spar__buffer with = spar__buffer_make(SIZE_MAX);
    spar_status status = spar__buffer_add(&with, " ", 1);
    if (!status) status = spar__buffer_add(&with, text, length);
    if (!status) status = split_text(s, run, level, with.bytes, with.length);
    spar__buffer_free(&with);
    return status;
}

static spar_status byte_level_open(const json_t *settings, void **state) {
    bool prefix, regex;
    SPAR_TRY(spar__field_bool(settings, "add_prefix_space", true, &prefix));
    SPAR_TRY(spar__field_bool(settings, "use_regex", true, &regex));
    return splitter_create(regex ? spar__pattern_named("gpt2")->expression : NULL, false, ISOLATED,
                           false, prefix, state);
}

static spar_status split_open(const json_t *settings, void **state) {
    const char *name, *expression, *literal;
    bool invert;
    const json_t *pattern;
    SPAR_TRY(spar__field_object(settings, "pattern", true, &pattern));
    SPAR_TRY(spar__field_string(pattern, "Regex", "", &expression));
    SPAR_TRY(spar__field_string(pattern, "String", "", &literal));
    if (!*expression == !*literal)
        return spar__fail(SPAR_ERR_FORMAT, "key 'pattern': expected one of 'Regex', 'String'");
    SPAR_TRY(spar__field_string(settings, "behavior", "Isolated", &name));
    SPAR_TRY(spar__field_bool(settings, "invert", false, &invert));
    for (int i = 0; i <= CONTIGUOUS; i++)
        if (!strcmp(name, behavior_names[i]))
            return splitter_create(*literal ? literal : expression, *literal, (behavior)i, invert,
                                   false, state);
    return spar__fail(SPAR_ERR_UNSUPPORTED, "key 'behavior': '%s' is not known", name);
}

static spar_status digits_open(const json_t *settings, void **state) {
    bool individual;
    SPAR_TRY(spar__field_bool(settings, "individual_digits", false, &individual));
    return splitter_create("\\p{N}", false, individual ? ISOLATED : CONTIGUOUS, false, false,
                           state);
}

static spar_status whitespace_open(const json_t *settings, void **state) {
    (void)settings;
    return splitter_create("[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+|[^\\p{L}\\p{M}\\p{Nd}\\p{Nl}"
                           "\\p{Pc}\\s]+", false, REMOVED, true, false, state);
}

static spar_status whitespace_split_open(const json_t *settings, void **state) {
    (void)settings;
    return splitter_create("\\s", false, REMOVED, false, false, state);
}

#define ROW(row, type)                                                                             \
    const spar__splitter_kind spar__splitter_##row = {type, row##_open, splitter_free,             \
                                                      splitter_split}
ROW(byte_level, "ByteLevel");
ROW(split, "Split");
ROW(digits, "Digits");
ROW(whitespace, "Whitespace");
ROW(whitespace_split, "WhitespaceSplit");
