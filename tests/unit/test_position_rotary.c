/* Rotary frequencies and their scalings beside the numbers of transformers 5.24, ROPE_INIT_FUNCTIONS. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/model.h"
#include "position/position.h"

enum { N_PICKED = 6, CONTEXT = 8192 };

/* Options with ' for \"; frequencies 0, 1, n/4, n/2, 3n/4 and n − 1 of n, for a sequence of `length`. */
static const struct {
    const char *options;
    int head_dim, length;
    double size, frequencies[N_PICKED];
} cases[] = {
    {"{'scaling':'linear','base':10000,'factor':4}",
     64, 1000, 1, {0.25, 0.18747355, 0.0250000004, 0.00249999994, 0.000250000012, 3.33380376e-05}},
    {"{'scaling':'linear','base':10000,'factor':2.5,'fraction':0.5}",
     80, 1000, 1, {0.400000006, 0.252382934, 0.0399999991, 0.00399999972, 0.000400000019, 6.33957316e-05}},
    {"{'scaling':'llama3','base':500000,'factor':8,'original_context':8192,"
     "'low_freq_factor':1,'high_freq_factor':4}",
     128, 1000, 1, {1, 0.814617217, 0.0376060307, 0.000524846022, 6.64786967e-06, 3.06892588e-07}},
    {"{'scaling':'llama3','base':500000,'factor':32,'original_context':512,"
     "'low_freq_factor':1.5,'high_freq_factor':3}",
     64, 1000, 1, {1, 0.663601279, 0.0376060307, 4.41941702e-05, 1.66196742e-06, 9.41830649e-08}},
    {"{'scaling':'yarn','base':10000,'factor':4,'original_context':2048}",
     64, 1000, 1.13862944, {1, 0.749894202, 0.100000001, 0.00538461516, 0.000250000012, 3.33380376e-05}},
    {"{'scaling':'yarn','base':10000,'factor':16,'original_context':4096,"
     "'beta_fast':24,'beta_slow':2,'attention_factor':1.25}",
     96, 1000, 1.25, {1, 0.825404167, 0.100000001, 0.00531250006, 6.2500003e-05, 7.5720468e-06}},
    {"{'scaling':'yarn','base':10000,'factor':40,'original_context':4096,"
     "'mscale':0.707,'mscale_all_dim':1}",
     64, 1000, 0.921042355, {1, 0.749894202, 0.100000001, 0.00550000044, 2.49999994e-05, 3.33380353e-06}},
    {"{'scaling':'yarn','base':10000,'factor':8,'original_context':1024,"
     "'beta_fast':20,'truncate':false}",
     64, 1000, 1.20794415, {1, 0.749894202, 0.0940204188, 0.00267660152, 0.000125000006, 1.66690188e-05}},
    {"{'scaling':'yarn','base':10000,'factor':0.5,'original_context':1024}",
     64, 1000, 1, {1, 0.749894202, 0.123076923, 0.0184615385, 0.00200000009, 0.000266704301}},
    {"{'scaling':'dynamic','base':10000,'factor':2,'original_context':1024}",
     64, 1000, 1, {1, 0.749894202, 0.100000001, 0.00999999978, 0.00100000005, 0.00013335215}},
    {"{'scaling':'dynamic','base':10000,'factor':2,'original_context':1024}",
     64, 1500, 1, {1, 0.734160006, 0.0843967944, 0.00712281885, 0.000601143052, 6.91055684e-05}},
    {"{'scaling':'dynamic','base':10000,'factor':3.5,'original_context':1024}",
     48, 4000, 1, {1, 0.613426626, 0.0532814264, 0.00283891009, 0.000151261163, 1.31383467e-05}},
    {"{'scaling':'dynamic','base':10000,'factor':4,'original_context':1024,"
     "'fraction':0.4}",
     80, 2049, 1, {1, 0.505102336, 0.0650904924, 0.00423677219, 0.000275773578, 3.55378252e-05}},
    {"{'scaling':'longrope','base':10000,'factor':4,'original_context':1024,"
     "'short_factors':[1,1.05,1.1,1.2,1.5,2],'long_factors':[1,1.5,2.5,4,8,16]}",
     12, 1000, 1.09544512, {1, 0.205184266, 0.205184266, 0.00833333284, 0.00143628952, 0.000232079474}},
    {"{'scaling':'longrope','base':10000,'factor':4,'original_context':1024,'attention_factor':1.1,"
     "'short_factors':[1,1.05,1.1,1.2,1.5,2],'long_factors':[1,1.5,2.5,4,8,16]}",
     12, 1500, 1.1, {1, 0.14362897, 0.14362897, 0.00249999994, 0.000269304292, 2.90099342e-05}},
};

static const spar__position_kind *rotary(void) {
    for (int i = 0; spar__position_at(i); i++)
        if (strcmp(spar__position_at(i)->name, "rotary") == 0)
            return (const spar__position_kind *)spar__position_at(i);
    fail_msg("no rotary positions");
    return NULL;
}

static json_t *parse(const char *text) {
    char copy[320];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    json_t *object = json_loads(copy, 0, NULL);
    assert_non_null(object);
    return object;
}

/* The turn of (1, 0) by position 1 is (size·cos f, size·sin f). */
static void check(const spar__position_kind *kind, size_t c) {
    int head_dim = cases[c].head_dim;
    spar__shape shape = {.head_dim = head_dim, .context = CONTEXT};
    void *options = spar__alloc(kind->kind.options_size), *self = spar__alloc(kind->self_size);
    json_t *object = parse(cases[c].options);
    assert_int_equal(spar__options_read(object, "position", kind->kind.options, NULL, options), SPAR_OK);
    assert_int_equal(kind->prepare(&shape, options, self), SPAR_OK);
    double fraction = json_is_real(json_object_get(object, "fraction"))
                          ? json_real_value(json_object_get(object, "fraction"))
                          : 1;
    int n = (int)lround(fraction * head_dim) / 2;
    const int picked[N_PICKED] = {0, 1, n / 4, n / 2, 3 * n / 4, n - 1};
    spar__sequence sequence = {.count = 1, .past = cases[c].length - 1};
    const int32_t position = 1;
    spar__rows rows = {1, 1, &sequence, &position, NULL};
    spar__pass pass = {.arena = spar__arena_create(0), .rows = &rows};
    spar__tensor *x = spar__new(&pass, 1, head_dim, false);
    for (int i = 0; i < head_dim; i++) spar__data(x)[i] = i < n;
    x = kind->turn(&pass, self, x);
    assert_non_null(x);
    for (int i = 0; i < N_PICKED; i++) {
        double re = spar__data(x)[picked[i]], im = spar__data(x)[picked[i] + n];
        double f = atan2(im, re), size = hypot(re, im);
        if (fabs(f / cases[c].frequencies[i] - 1) > 1e-6 || fabs(size / cases[c].size - 1) > 1e-6)
            fail_msg("%s: frequency %d is %.9g, size %.9g; expected %.9g, %.9g", cases[c].options, picked[i],
                     f, size, cases[c].frequencies[i], cases[c].size);
    }
    for (int i = 2 * n; i < head_dim; i++) assert_true(spar__data(x)[i] == 0);
    spar__arena_free(pass.arena);
    kind->release(self);
    spar__free(self);
    spar__free(options);
    json_decref(object);
}

static void as_published(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) check(rotary(), c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
