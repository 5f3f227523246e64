/* Drafts from the text itself: what followed before, the longest and newest match, and text that repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "generate/lookup.h"

static void newest_of_the_longest(void **state) {
    (void)state;
    static const int32_t text[] = {1, 2, 3, 4, 50, 9, 3, 4, 60, 2, 3, 4};
    int32_t drafts[3];
    assert_int_equal(spar__lookup(text, 12, 3, drafts), 3);
    assert_int_equal(drafts[0], 50); /* after 2 3 4, though 3 4 is newer elsewhere */
    assert_int_equal(drafts[1], 9);
    assert_int_equal(drafts[2], 3);
    assert_int_equal(spar__lookup(text, 5, 3, drafts), 0);
    assert_int_equal(spar__lookup(text, 1, 3, drafts), 0);
    assert_int_equal(spar__lookup(text, 0, 3, drafts), 0);
    assert_int_equal(spar__lookup(text, 12, 0, drafts), 0);
}

/* A period that is shorter than the draft goes on in it. */
static void goes_on(void **state) {
    (void)state;
    static const int32_t text[] = {9, 1, 2, 3, 1, 2, 3, 1};
    int32_t drafts[8] = {0};
    drafts[7] = -1;
    assert_int_equal(spar__lookup(text, 8, 7, drafts), 7);
    for (int i = 0; i < 7; i++) assert_int_equal(drafts[i], (i + 1) % 3 + 1);
    assert_int_equal(drafts[7], -1);
    static const int32_t same[] = {5, 5, 5};
    assert_int_equal(spar__lookup(same, 3, 4, drafts), 4);
    for (int i = 0; i < 4; i++) assert_int_equal(drafts[i], 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_of_the_longest),
        cmocka_unit_test(goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
