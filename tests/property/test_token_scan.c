/* The hand-written scanners cut random texts exactly where PCRE2 cuts them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/rng.h"
#include "base/text.h"
#include "token/regex.h"
#include "token/scan.h"
#include "token/unicode.h"

enum { TEXTS = 20000, LENGTH = 24 };

/* Characters of every kind that the expressions tell apart, and what they might confuse. */
static const uint32_t chosen[] = {
    ' ',    ' ',    ' ',    '\n',   '\r',   '\t',   '\v',   '\'',   '\'',   's',    'S',    'T',
    't',    'r',    'e',    'v',    'm',    'l',    'L',    'd',    'x',    '0',    '9',    '.',
    '!',    '_',    0x17F,  0x85,   0xA0,   0x1C,   0x1F,   0x180E, 0x200B, 0x2028, 0x3000, 0xFEFF,
    0xBD,   0xB2,   0x2167, 0x660,  0x301,  0xE9,   0x416,  0x4F60, 0xAC00, 0xAA,   0x1F600, 0x20000,
    0x212A, 0x2019, 0xFFFD, 0x1680};
enum { N_CHOSEN = sizeof chosen / sizeof *chosen };

/* The two libraries know different versions of Unicode: characters that either lacks are left
 * out. */
static uint32_t random_char(const spar__rng *rng, uint64_t at) {
    uint32_t words[4];
    spar__rng_at(rng, at, words);
    if (words[0] % 8) return chosen[words[1] % N_CHOSEN];
    uint32_t c = words[2] % 0x3000;
    return c >= 0xD800 && c < 0xE000 ? 'a' : c;
}

static void test_scanners(void **state) {
    (void)state;
    spar__rng rng = spar__rng_for(7, SPAR__RNG_TEST, 1, 0);
    const spar__pattern *pattern;
    for (size_t p = 0; (pattern = spar__pattern_at(p)); p++) {
        spar__regex *regex;
        assert_int_equal(spar__regex_compile(pattern->expression, false, &regex), SPAR_OK);
        for (uint64_t n = 0; n < TEXTS; n++) {
            char text[LENGTH * 4];
            size_t length = 0;
            uint64_t chars = 1 + spar__rng_below(&rng, n, LENGTH);
            for (uint64_t i = 0; i < chars; i++)
                length += (size_t)spar__utf8_encode(random_char(&rng, 1000000 + n * LENGTH + i),
                                                    text + length);
            spar__matches matches = {regex, text, length};
            for (size_t at = 0; at < length;) {
                size_t begin, end;
                bool found;
                assert_int_equal(spar__matches_next(&matches, &found, &begin, &end), SPAR_OK);
                assert_int_equal(begin, at);
                size_t scanned = pattern->scan((const unsigned char *)text, at, length);
                if (scanned != end)
                    fail_msg("%s, text %llu at byte %zu: %zu, expected %zu", pattern->name,
                             (unsigned long long)n, at, scanned, end);
                at = end;
            }
            spar__matches_end(&matches);
        }
        spar__regex_free(regex);
    }
}

/* Every character up to U+FFFF and the classes of PCRE2; unassigned ones may differ by version. */
static void test_classes(void **state) {
    (void)state;
    static const char *const classes[] = {NULL, "\\p{L}", "\\p{N}", "\\s"};
    size_t differ = 0;
    for (int class = 1; class < 4; class++) {
        spar__regex *regex;
        assert_int_equal(spar__regex_compile(classes[class], false, &regex), SPAR_OK);
        for (uint32_t c = 1; c < 0x3000; c++) {
            char text[4];
            size_t begin, end, length = (size_t)spar__utf8_encode(c, text);
            spar__matches matches = {regex, text, length};
            bool in;
            assert_int_equal(spar__matches_next(&matches, &in, &begin, &end), SPAR_OK);
            spar__matches_end(&matches);
            if (in == (spar__char_class(c) == class)) continue;
            differ++;
            if (class == SPAR__CHAR_SPACE) fail_msg("U+%04X is white space in one only", c);
        }
        spar__regex_free(regex);
    }
    assert_in_range(differ, 0, 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanners),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
