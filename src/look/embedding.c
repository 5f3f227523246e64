/* The embedding matrix: which tokens are near, and where words lie. */
#include <math.h>
#include <string.h>

#include "look/look.h"
#include "model/model.h"
#include "op/op.h"

enum { MOST_WORDS = 10000, ROWS_AT_ONCE = 1024, MOST_ROUNDS = 1000 };

/* Rows of the matrix in f64, each of length 1 (rows of zeros stay so). */
static spar_status unit_rows(spar__param *table, spar__arena *arena, const int32_t *ids, int64_t n, double *out) {
    spar__arena_mark mark = spar__arena_here(arena);
    spar__pass pass = {.arena = arena};
    const spar__tensor *rows = spar__embed(&pass, table, ids, n);
    int64_t d = table->value.cols;
    for (int64_t i = 0; rows && i < n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < d; c++) {
            out[i * d + c] = (double)spar__data(rows)[i * d + c];
            sum += out[i * d + c] * out[i * d + c];
        }
        if (!isfinite(sum)) return spar__fail(SPAR_ERR_NUMERIC, "%s: row %d is not finite", table->name, ids[i]);
        for (int64_t c = 0; sum > 0 && c < d; c++) out[i * d + c] /= sqrt(sum);
    }
    spar__arena_rewind(arena, mark);
    return pass.status;
}

/* The mean of a word's vectors. */
static spar_status word_vector(spar__param *table, spar__arena *arena, const spar_embedding_word *word, double *out) {
    int64_t d = table->value.cols;
    if (!word->n_tokens) return spar__fail(SPAR_ERR_ARGUMENT, "a word has no tokens");
    double *row = spar__array((size_t)d, sizeof *row);
    if (!row) return SPAR_ERR_MEMORY;
    memset(out, 0, (size_t)d * sizeof *out);
    spar_status status = SPAR_OK;
    for (size_t t = 0; !status && t < word->n_tokens; t++) {
        status = unit_rows(table, arena, &word->tokens[t], 1, row);
        for (int64_t c = 0; !status && c < d; c++) out[c] += row[c] / (double)word->n_tokens;
    }
    spar__free(row);
    return status;
}

/* ---- Neighbours ---- */

/* Keeps the list sorted; `found` of at most `top`. */
static void insert(spar_embedding_neighbour *out, size_t top, size_t *found, int32_t token, double cosine) {
    size_t at = *found;
    if (at == top && !(cosine > out[at - 1].cosine)) return;
    if (at == top) at--;
    else ++*found;
    for (; at && cosine > out[at - 1].cosine; at--) out[at] = out[at - 1];
    out[at] = (spar_embedding_neighbour){token, cosine};
}

static bool among(const spar_embedding_word *words, size_t n, int32_t token) {
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < words[i].n_tokens; t++)
            if (words[i].tokens[t] == token) return true;
    return false;
}

static spar_status aim(spar__param *table, spar__arena *arena, const spar_embedding_word *words, size_t n, double *goal,
                       double *word) {
    int64_t d = table->value.cols;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        SPAR_TRY(word_vector(table, arena, &words[i], word));
        for (int64_t c = 0; c < d; c++) goal[c] += words[i].weight * word[c];
    }
    for (int64_t c = 0; c < d; c++) sum += goal[c] * goal[c];
    if (!isfinite(sum)) return spar__fail(SPAR_ERR_ARGUMENT, "weights of words: not finite");
    if (!(sum > 1e-20)) return spar__fail(SPAR_ERR_ARGUMENT, "the words cancel each other: nothing to be near to");
    for (int64_t c = 0; c < d; c++) goal[c] /= sqrt(sum);
    return SPAR_OK;
}

static spar_status walk(spar__param *table, spar__arena *arena, const spar_embedding_word *words, size_t n_words,
                        const double *goal, double *rows, size_t top, spar_embedding_neighbour *out, size_t *found) {
    int64_t d = table->value.cols, n = table->value.rows;
    int32_t ids[ROWS_AT_ONCE];
    for (int64_t begin = 0; begin < n; begin += ROWS_AT_ONCE) {
        int64_t count = n - begin < ROWS_AT_ONCE ? n - begin : ROWS_AT_ONCE;
        for (int64_t i = 0; i < count; i++) ids[i] = (int32_t)(begin + i);
        SPAR_TRY(unit_rows(table, arena, ids, count, rows));
        for (int64_t i = 0; i < count; i++) {
            double cosine = 0;
            for (int64_t c = 0; c < d; c++) cosine += goal[c] * rows[i * d + c];
            if (!among(words, n_words, ids[i])) insert(out, top, found, ids[i], cosine);
        }
    }
    return SPAR_OK;
}

spar_status spar_embedding_near(const spar_model *model, const spar_embedding_word *words, size_t n_words, size_t top,
                                spar_embedding_neighbour *out, size_t *found) {
    *found = 0;
    if (!n_words || !top) return spar__fail(SPAR_ERR_ARGUMENT, "embeddings: found %zu words and %zu neighbours, expected some", n_words, top);
    spar__param *table = spar__model_embedding(model);
    size_t d = (size_t)table->value.cols, size;
    if (!spar__mul(d, ROWS_AT_ONCE + 2, &size)) return SPAR_ERR_MEMORY;
    spar__arena *arena = spar__arena_create(0);
    double *numbers = spar__array(size, sizeof *numbers); /* goal [d], word [d], rows */
    spar_status status = arena && numbers ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) memset(numbers, 0, d * sizeof *numbers);
    if (!status) status = aim(table, arena, words, n_words, numbers, numbers + d);
    if (!status) status = walk(table, arena, words, n_words, numbers, numbers + 2 * d, top, out, found);
    spar__free(numbers);
    spar__arena_free(arena);
    return status;
}

/* ---- Principal components ---- */

static double length_of(const double *x, size_t d) {
    double sum = 0;
    for (size_t c = 0; c < d; c++) sum += x[c] * x[c];
    return sqrt(sum);
}

/* y = Xᵀ·(X·x), which is n times the covariance's product where X [n, d] is centred. */
static void covary(const double *rows, size_t n, size_t d, const double *x, double *y) {
    memset(y, 0, d * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        double dot = 0;
        for (size_t c = 0; c < d; c++) dot += rows[i * d + c] * x[c];
        for (size_t c = 0; c < d; c++) y[c] += dot * rows[i * d + c];
    }
}

/* The first principal direction of the rows, into `x`; the variance along it, 0 when there is none. It begins
 * with the longest row, which no direction of variance can be at right angles to all of. */
static double first_direction(const double *rows, size_t n, size_t d, double *x, double *y) {
    size_t longest = 0;
    for (size_t i = 1; i < n; i++)
        if (length_of(rows + i * d, d) > length_of(rows + longest * d, d)) longest = i;
    double size = length_of(rows + longest * d, d), value = 0;
    if (!(size > 1e-9)) return 0;
    for (size_t c = 0; c < d; c++) x[c] = rows[longest * d + c] / size;
    for (int round = 0; round < MOST_ROUNDS; round++) {
        covary(rows, n, d, x, y);
        value = length_of(y, d);
        double change = 0;
        for (size_t c = 0; c < d; c++) {
            double next = y[c] / value;
            change += (next - x[c]) * (next - x[c]);
            x[c] = next;
        }
        if (change < 1e-22) break;
    }
    return value;
}

/* Places along the two directions; the second is the first of what is left without the first. */
static void project(double *rows, size_t n, size_t d, double *x, double *y, double (*places)[2], double share[2]) {
    double all = 0;
    for (size_t c = 0; c < d; c++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++) mean += rows[i * d + c] / (double)n;
        for (size_t i = 0; i < n; i++) rows[i * d + c] -= mean;
    }
    for (size_t i = 0; i < n * d; i++) all += rows[i] * rows[i];
    for (int axis = 0; axis < 2; axis++) {
        double value = first_direction(rows, n, d, x, y);
        share[axis] = all > 0 ? value / all : 0;
        for (size_t i = 0; i < n; i++) {
            double dot = 0;
            for (size_t c = 0; value > 0 && c < d; c++) dot += rows[i * d + c] * x[c];
            places[i][axis] = dot;
            for (size_t c = 0; value > 0 && c < d; c++) rows[i * d + c] -= dot * x[c];
        }
    }
}

spar_status spar_embedding_map(const spar_model *model, const spar_embedding_word *words, size_t n_words,
                               double (*places)[2], double share[2]) {
    if (!n_words) return spar__fail(SPAR_ERR_ARGUMENT, "embeddings: no words to map");
    if (n_words > MOST_WORDS)
        return spar__fail(SPAR_ERR_LIMIT, "embeddings: found %zu words, at most %d", n_words, MOST_WORDS);
    spar__param *table = spar__model_embedding(model);
    size_t d = (size_t)table->value.cols, size;
    if (!spar__mul(d, n_words + 2, &size)) return SPAR_ERR_MEMORY;
    spar__arena *arena = spar__arena_create(0);
    double *rows = spar__array(size, sizeof *rows);
    spar_status status = arena && rows ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < n_words; i++) status = word_vector(table, arena, &words[i], rows + i * d);
    if (!status) project(rows, n_words, d, rows + n_words * d, rows + (n_words + 1) * d, places, share);
    spar__free(rows);
    spar__arena_free(arena);
    return status;
}
