/* The part of cmocka's interface that kernel tests use, for targets that have no cmocka: the cross
 * build of `make neon-test`. A failed assertion ends the program; the output has cmocka's form. */
#ifndef SPAR_TESTS_CMOCKA_H
#define SPAR_TESTS_CMOCKA_H

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*CMFixtureFunction)(void **state);
struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    CMFixtureFunction setup, teardown;
    void *initial_state;
};

#define cmocka_unit_test(f)                       {#f, f, NULL, NULL, NULL}
#define cmocka_unit_test_setup_teardown(f, s, t)  {#f, f, s, t, NULL}
#define cmocka_unit_test_prestate(f, state)       {#f, f, NULL, NULL, state}
#define cmocka_run_group_tests(tests, s, t)                                                        \
    shim_run(tests, sizeof(tests) / sizeof *(tests), s, t)
#define cmocka_run_group_tests_name(name, tests, s, t) cmocka_run_group_tests(tests, s, t)

static jmp_buf shim_end __attribute__((unused));
#define SHIM_FAIL(...)                                                                             \
    (printf("%s:%d: error: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"),              \
     longjmp(shim_end, 1))
#define SHIM_CHECK(good, ...) ((good) ? (void)0 : (void)SHIM_FAIL(__VA_ARGS__))

#define assert_true(c)             SHIM_CHECK((c), "%s", #c)
#define assert_false(c)            SHIM_CHECK(!(c), "!(%s)", #c)
#define assert_non_null(p)         SHIM_CHECK((p) != NULL, "%s is NULL", #p)
#define assert_null(p)             SHIM_CHECK((p) == NULL, "%s is not NULL", #p)
#define assert_ptr_equal(a, b)     SHIM_CHECK((const void *)(a) == (const void *)(b), "%s != %s", #a, #b)
#define assert_int_equal(a, b)                                                                     \
    SHIM_CHECK((long long)(a) == (long long)(b), "%s = %lld, %s = %lld", #a, (long long)(a), #b,   \
               (long long)(b))
#define assert_int_not_equal(a, b) SHIM_CHECK((long long)(a) != (long long)(b), "%s == %s", #a, #b)
#define assert_in_range(v, lo, hi)                                                                 \
    SHIM_CHECK((unsigned long long)(v) >= (unsigned long long)(lo) &&                              \
                   (unsigned long long)(v) <= (unsigned long long)(hi),                            \
               "%s = %llu", #v, (unsigned long long)(v))
#define assert_float_equal(a, b, e)                                                                \
    SHIM_CHECK(fabs((double)(a) - (double)(b)) <= (double)(e), "%s = %.9g, %s = %.9g", #a,         \
               (double)(a), #b, (double)(b))
#define assert_string_equal(a, b)                                                                  \
    SHIM_CHECK(strcmp((a), (b)) == 0, "\"%s\" != \"%s\"", (a), (b))
#define assert_memory_equal(a, b, n)     SHIM_CHECK(memcmp((a), (b), (n)) == 0, "%s != %s", #a, #b)
#define assert_memory_not_equal(a, b, n) SHIM_CHECK(memcmp((a), (b), (n)) != 0, "%s == %s", #a, #b)
#define fail()                           SHIM_FAIL("failed")
#define fail_msg(...)                    SHIM_FAIL(__VA_ARGS__)
#define print_message(...)               printf(__VA_ARGS__)
#define skip()                           longjmp(shim_end, 2)

static int __attribute__((unused)) shim_run(const struct CMUnitTest *tests, size_t count,
                                            CMFixtureFunction setup, CMFixtureFunction teardown) {
    static void *group;
    volatile int failed = setup ? setup(&group) != 0 : 0;
    volatile size_t skipped = 0;
    for (volatile size_t i = 0; i < count; i++) {
        void *state = tests[i].initial_state ? tests[i].initial_state : group;
        printf("[ RUN      ] %s\n", tests[i].name);
        fflush(stdout);
        int how = setjmp(shim_end);
        if (how == 0) {
            if (tests[i].setup && tests[i].setup(&state)) longjmp(shim_end, 1);
            tests[i].test(&state);
            if (tests[i].teardown) tests[i].teardown(&state);
        }
        printf("[%s] %s\n", how == 0 ? "       OK " : how == 1 ? "  FAILED  " : "  SKIPPED ",
               tests[i].name);
        failed += how == 1;
        skipped += how == 2;
    }
    if (teardown) teardown(&group);
    if (skipped) printf("[  SKIPPED ] tests: %zu test(s), listed below:\n", (size_t)skipped);
    return failed;
}

#endif
