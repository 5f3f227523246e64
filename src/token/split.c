/* Splitters: cutting a text at the matches of an expression, what tokenizer.json calls Split,
 * ByteLevel, Digits, Punctuation, Whitespace and their like. */
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

/* A match of nothing parts what lies before it from what follows. */
static spar_status segment(join *j, size_t begin, size_t end, bool match) {
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

static spar_status split_text(const void *state, spar__run *run, int level, const char *text,
                              size_t length) {
    const splitter *s = state;
    if (s->scan) {
        for (size_t at = 0, end; at < length; at = end) {
            end = s->scan((const unsigned char *)text, at, length);
            SPAR_TRY(spar__run_split(run, level + 1, text + at, end - at));
        }
        return SPAR_OK;
    }
    if (!s->regex) return spar__run_split(run, level + 1, text, length);
    join j = {.run = run, .level = level, .text = text, .kind = s->kind};
    spar__matches matches = {s->regex, text, length};
    bool found = true;
    spar_status status = SPAR_OK;
    for (size_t at = 0, begin, end; !status && found; at = end) {
        status = spar__matches_next(&matches, &found, &begin, &end);
        if (!status && begin > at) status = segment(&j, at, begin, s->invert);
        if (!status && found) status = segment(&j, begin, end, !s->invert);
    }
    spar__matches_end(&matches);
    return status ? status : flush(&j);
}

static spar_status splitter_split(const void *state, spar__run *run, int level, const char *text,
                                  size_t length) {
    const splitter *s = state;
    if (!s->prefix_space || !length || text[0] == ' ')
        return split_text(s, run, level, text, length);
    spar__text with = spar__text_make(run->view != NULL);
    spar_status status = spar__text_add(&with, " ", 1, 0, 0);
    if (!status) status = spar__text_copy(&with, text, 0, length);
    if (!status) status = spar__run_made(run, level, &with, text, split_text, s);
    spar__text_free(&with);
    return status;
}

static spar_status byte_level_open(const json_t *settings, void **state) {
    bool prefix, regex;
    SPAR_TRY(spar__field_bool(settings, "add_prefix_space", true, &prefix));
    SPAR_TRY(spar__field_bool(settings, "use_regex", true, &regex));
    return splitter_create(regex ? spar__pattern_named("gpt2")->expression : NULL, false, ISOLATED,
                           false, prefix, state);
}

static spar_status read_behavior(const json_t *settings, behavior *out) {
    const char *name;
    SPAR_TRY(spar__field_string(settings, "behavior", "Isolated", &name));
    for (int i = 0; i <= CONTIGUOUS; i++)
        if (!strcmp(name, behavior_names[i])) return *out = (behavior)i, SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "key 'behavior': '%.64s' is not known", name);
}

static spar_status split_open(const json_t *settings, void **state) {
    const char *expression, *literal;
    bool invert;
    behavior kind;
    const json_t *pattern;
    SPAR_TRY(spar__field_object(settings, "pattern", true, &pattern));
    SPAR_TRY(spar__field_string(pattern, "Regex", "", &expression));
    SPAR_TRY(spar__field_string(pattern, "String", "", &literal));
    if (!*expression == !*literal)
        return spar__fail(SPAR_ERR_FORMAT, "key 'pattern': expected one of 'Regex', 'String'");
    SPAR_TRY(read_behavior(settings, &kind));
    SPAR_TRY(spar__field_bool(settings, "invert", false, &invert));
    return splitter_create(*literal ? literal : expression, *literal, kind, invert, false, state);
}

static spar_status digits_open(const json_t *settings, void **state) {
    bool individual;
    SPAR_TRY(spar__field_bool(settings, "individual_digits", false, &individual));
    return splitter_create("\\p{N}", false, individual ? ISOLATED : CONTIGUOUS, false, false,
                           state);
}

static spar_status whitespace_open(const json_t *settings, void **state) {
    (void)settings;
    /* This \w is not Oniguruma's: joiners are in it. */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"
    return splitter_create("[" WORD "]+|[^" WORD "\\s]+", false, REMOVED, true, false, state);
#undef WORD
}

static spar_status punctuation_open(const json_t *settings, void **state) {
    behavior kind;
    SPAR_TRY(read_behavior(settings, &kind));
    return splitter_create("[\\p{P}$+<=>^`|~]", false, kind, false, false, state);
}

static spar_status delimiter_open(const json_t *settings, void **state) {
    const char *delimiter;
    SPAR_TRY(spar__field_string(settings, "delimiter", "", &delimiter));
    if (!*delimiter) return spar__fail(SPAR_ERR_FORMAT, "key 'delimiter': expected a character");
    return splitter_create(delimiter, true, REMOVED, false, false, state);
}

static spar_status fixed_length_open(const json_t *settings, void **state) {
    int64_t length;
    SPAR_TRY(spar__field_int(settings, "length", 5, &length));
    if (length < 1) return spar__fail(SPAR_ERR_FORMAT, "key 'length': expected at least 1");
    int64_t *kept = spar__alloc(sizeof *kept);
    if (!kept) return SPAR_ERR_MEMORY;
    *kept = length;
    *state = kept;
    return SPAR_OK;
}

static spar_status fixed_length_split(const void *state, spar__run *run, int level,
                                      const char *text, size_t length) {
    for (size_t at = 0, end; at < length; at = end) {
        end = at;
        for (int64_t n = *(const int64_t *)state; n && end < length; n--)
            for (end++; end < length && ((unsigned char)text[end] & 0xC0) == 0x80;) end++;
        SPAR_TRY(spar__run_split(run, level + 1, text + at, end - at));
    }
    return SPAR_OK;
}

const spar__splitter_kind spar__splitter_fixed_length = {"FixedLength", fixed_length_open,
                                                         spar__free, fixed_length_split};

/* Bytes to the characters that spell them, where stages follow ByteLevel. */
static spar_status spelling_split(const void *state, spar__run *run, int level, const char *text,
                                  size_t length) {
    (void)state;
    spar__text made = spar__text_make(run->view != NULL);
    spar_status status = spar__spell_text(text, length, &made);
    if (!status) status = spar__run_made(run, level + 1, &made, text, NULL, NULL);
    spar__text_free(&made);
    return status;
}

const spar__splitter_kind spar__splitter_spelling = {"", NULL, NULL, spelling_split};

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
ROW(punctuation, "Punctuation");
ROW(delimiter, "CharDelimiterSplit");
ROW(whitespace_split, "WhitespaceSplit");
