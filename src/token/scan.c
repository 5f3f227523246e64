/* The expressions of GPT-2 (Radford et al. 2019), LLaMA 3 (the cl100k of OpenAI's tiktoken) and
 * Qwen 2. Alternatives are tried in order, so the first that matches wins, not the longest. */
#include "token/scan.h"

#include <stdbool.h>
#include <string.h>

#include "token/unicode.h"

enum { OTHER = SPAR__CHAR_OTHER, LETTER = SPAR__CHAR_LETTER, NUMBER = SPAR__CHAR_NUMBER,
       SPACE = SPAR__CHAR_SPACE };

/* The end of the run of one class that begins at `at`. */
static size_t run_end(const unsigned char *text, size_t at, size_t length, int class) {
    size_t width;
    while (at < length && spar__class_at(text, at, &width) == class) at += width;
    return at;
}

/* 's 't 're 've 'm 'll 'd after the apostrophe at `at`: bytes in all, or 0. With `fold` case does
 * not matter, and U+017F, which folds to s, is one. */
static size_t contraction(const unsigned char *text, size_t at, size_t length, bool fold) {
    if (text[at] != '\'' || at + 1 >= length) return 0;
    unsigned char a = text[at + 1], b = at + 2 < length ? text[at + 2] : 0;
    if (fold && a == 0xC5 && b == 0xBF) return 3;
    if (fold) {
        if (a >= 'A' && a <= 'Z') a |= 32;
        if (b >= 'A' && b <= 'Z') b |= 32;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : the run of white space without its last character, which goes with the word that
 * follows, unless the run ends the text or is that character alone. */
static size_t blanks(const unsigned char *text, size_t at, size_t length) {
    size_t end = at, last = at, width;
    while (end < length && spar__class_at(text, end, &width) == SPACE) last = end, end += width;
    return end == length || last == at ? end : last;
}

static size_t scan_gpt2(const unsigned char *text, size_t at, size_t length) {
    size_t n = contraction(text, at, length, false), width;
    if (n) return at + n;
    size_t word = at + (text[at] == ' ');
    if (word < length) {
        int class = spar__class_at(text, word, &width);
        if (class != SPACE) return run_end(text, word + width, length, class);
    }
    return blanks(text, at, length);
}

static size_t scan_modern(const unsigned char *text, size_t at, size_t length, int digits) {
    size_t n = contraction(text, at, length, true), width;
    if (n) return at + n;
    int class = spar__class_at(text, at, &width);
    unsigned char c = text[at];
    if (class == LETTER) return run_end(text, at + width, length, LETTER);
    if (class == NUMBER) {
        size_t end = at + width;
        while (--digits > 0 && end < length && spar__class_at(text, end, &width) == NUMBER)
            end += width;
        return end;
    }
    /* One character that is no letter, digit or newline may lead a word. */
    size_t next = at + width, next_width;
    if (c != '\r' && c != '\n' && next < length &&
        spar__class_at(text, next, &next_width) == LETTER)
        return run_end(text, next + next_width, length, LETTER);
    size_t mark = at + (c == ' ');
    if (mark < length && spar__class_at(text, mark, &width) == OTHER) {
        size_t end = run_end(text, mark + width, length, OTHER);
        while (end < length && (text[end] == '\r' || text[end] == '\n')) end++;
        return end;
    }
    /* \s*[\r\n]+ reaches to the last newline of the run of white space. */
    size_t newline = 0;
    for (size_t i = at; i < length && spar__class_at(text, i, &width) == SPACE; i += width)
        if (text[i] == '\r' || text[i] == '\n') newline = i + 1;
    return newline ? newline : blanks(text, at, length);
}

static size_t scan_llama3(const unsigned char *text, size_t at, size_t length) {
    return scan_modern(text, at, length, 3);
}

static size_t scan_qwen2(const unsigned char *text, size_t at, size_t length) {
    return scan_modern(text, at, length, 1);
}

#define MODERN(digits)                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                     \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const spar__pattern patterns[] = {
    {"gpt2",
     "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     scan_gpt2},
    {"llama3", MODERN("{1,3}"), scan_llama3},
    {"qwen2", MODERN(""), scan_qwen2},
};

const spar__pattern *spar__pattern_at(size_t index) {
    return index < sizeof patterns / sizeof *patterns ? &patterns[index] : NULL;
}

const spar__pattern *spar__pattern_named(const char *name) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!strcmp(patterns[i].name, name)) return &patterns[i];
    return NULL;
}

const spar__pattern *spar__pattern_equal(const char *expression) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!strcmp(patterns[i].expression, expression)) return &patterns[i];
    return NULL;
}
