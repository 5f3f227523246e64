/* Learning the unigram language model (Kudo 2018, "Subword regularization", section 3.2), in
 * the manner of SentencePiece: substrings of the words that occur again are the seed; then
 * expectation–maximisation of their probabilities, and pruning of those whose loss costs the
 * likelihood least, in turn, until the vocabulary has its size. Characters always stay. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "token/alphabet.h"
#include "token/train_unigram.h"

enum { SUB_ITERATIONS = 2, CHUNKS = 4 };
#define SHRINK 0.75

/* ---- Expectation ------------------------------------------------------------------------------ */

/* Per word: probabilities of its beginnings (alpha) and ends (beta). Each byte counts `scale` times,
 * which cancels out but keeps long words within the range of a double. */
static double expect_word(const spar__unigram_trainer *t, const spar__unigram_word *w, double *alpha,
                          double *beta, double *expected) {
    const char *text = t->text + w->begin;
    const spar__trie *trie = &t->trie;
    size_t n = w->length;
    memset(alpha, 0, (n + 1) * sizeof *alpha);
    memset(beta, 0, (n + 1) * sizeof *beta);
    alpha[0] = beta[n] = 1;
    for (size_t at = 0; at < n; at++) {
        if (alpha[at] == 0) continue;
        int32_t state = 0;
        for (size_t end = at; end < n;) {
            if ((state = spar__trie_step(trie, state, (unsigned char)text[end++])) < 0) break;
            int32_t id = spar__trie_value(trie, state);
            if (id >= 0) alpha[end] += alpha[at] * t->probability[id];
        }
    }
    if (!(alpha[n] > 0) || !isfinite(alpha[n])) return 0;
    double weight = (double)w->count / alpha[n];
    for (size_t at = n; at-- > 0;) {
        if (alpha[at] == 0) continue;
        int32_t state = 0;
        double sum = 0;
        for (size_t end = at; end < n;) {
            if ((state = spar__trie_step(trie, state, (unsigned char)text[end++])) < 0) break;
            int32_t id = spar__trie_value(trie, state);
            if (id < 0) continue;
            double onward = t->probability[id] * beta[end];
            sum += onward;
            expected[id] += alpha[at] * onward * weight;
        }
        beta[at] = sum;
    }
    return 0;
}

/* The words in a fixed number of chunks, each by one thread; sums in their order. */
static spar_status expectation(spar__unigram_trainer *t) {
    double *each[CHUNKS] = {NULL}, *room[CHUNKS] = {NULL};
    spar_status status = SPAR_OK;
    for (int c = 0; c < CHUNKS; c++) {
        each[c] = spar__array(t->n_pieces + 1, sizeof(double));
        room[c] = spar__array(2 * (t->longest + 1), sizeof(double));
        if (!each[c] || !room[c]) status = SPAR_ERR_MEMORY;
    }
    /* Probabilities times a constant for each byte: see expect_word. */
    for (size_t i = 0; i < t->n_pieces; i++)
        t->probability[i] = t->pieces[i].length
                                ? exp(t->score[i] + t->scale * (double)t->pieces[i].length)
                                : 0;
    if (!status) {
#pragma omp parallel for num_threads(spar__threads()) schedule(static, 1)
        for (int c = 0; c < CHUNKS; c++)
            for (size_t i = t->n_words * (size_t)c / CHUNKS; i < t->n_words * (size_t)(c + 1) / CHUNKS;
                 i++)
                expect_word(t, &t->words[i], room[c], room[c] + t->longest + 1, each[c]);
        for (size_t i = 0; i < t->n_pieces; i++) {
            t->expected[i] = 0;
            for (int c = 0; c < CHUNKS; c++) t->expected[i] += each[c][i];
        }
    }
    for (int c = 0; c < CHUNKS; c++) spar__free(each[c]), spar__free(room[c]);
    return status;
}

/* ψ by its asymptotic series, from 7 on. */
static double digamma(double x) {
    double result = 0;
    for (; x < 7; x++) result -= 1 / x;
    x -= 0.5;
    double xx = 1 / x, xx2 = xx * xx, xx4 = xx2 * xx2;
    return result + log(x) + xx2 / 24 - 7 * xx4 / 960 + 31 * xx4 * xx2 / 8064 -
           127 * xx4 * xx4 / 30720;
}

/* A Bayesian estimate, which takes from the rare; those seen less than half a time go. */
static void maximisation(spar__unigram_trainer *t) {
    double sum = 0;
    for (size_t i = 0; i < t->n_pieces; i++) {
        if (t->expected[i] < 0.5 && !t->pieces[i].single) t->pieces[i].length = 0;
        else sum += t->expected[i] < 0.5 ? 0.5 : t->expected[i];
    }
    double all = digamma(sum), lowest = 0;
    for (size_t i = 0; i < t->n_pieces; i++) {
        if (!t->pieces[i].length) continue;
        t->score[i] = digamma(t->expected[i] < 0.5 ? 0.5 : t->expected[i]) - all;
        if (t->score[i] < lowest) lowest = t->score[i];
    }
}

/* ---- Pruning ---------------------------------------------------------------------------------- */

typedef struct node {
    double score;
    int32_t id;
    uint32_t from;
} node;

/* The best segmentation of a text; without the piece that is the whole text, if so wished. The path
 * is read from the end: nodes[at].from. False when there is none. */
static bool best_path(const spar__unigram_trainer *t, const char *text, size_t n, bool whole,
                      node *nodes) {
    for (size_t i = 0; i <= n; i++) nodes[i] = (node){0, i ? -1 : 0, 0};
    for (size_t at = 0; at < n; at++) {
        if (nodes[at].id < 0) continue;
        int32_t state = 0;
        for (size_t end = at; end < n;) {
            if ((state = spar__trie_step(&t->trie, state, (unsigned char)text[end++])) < 0) break;
            int32_t id = spar__trie_value(&t->trie, state);
            if (id < 0 || !t->pieces[id].length || (!whole && end - at == n)) continue;
            double score = nodes[at].score + t->score[id];
            if (nodes[end].id < 0 || score > nodes[end].score)
                nodes[end] = (node){score, id, (uint32_t)at};
        }
    }
    return nodes[n].id >= 0;
}

typedef struct candidate {
    double loss;
    int32_t id;
} candidate;

static int by_loss(const void *a, const void *b) {
    const candidate *s = a, *t = b;
    if (s->loss != t->loss) return s->loss > t->loss ? -1 : 1;
    return s->id < t->id ? -1 : s->id > t->id;
}

/* How often each piece is on the best paths, and in how much of the corpus. */
static double count_best(const spar__unigram_trainer *t, node *nodes, double *frequency,
                         double *words) {
    double total = 0;
    for (size_t i = 0; i < t->n_words; i++) {
        const spar__unigram_word *w = &t->words[i];
        total += (double)w->count;
        if (!best_path(t, t->text + w->begin, w->length, true, nodes)) continue;
        for (size_t at = w->length; at; at = nodes[at].from) {
            bool again = false;
            for (size_t k = nodes[at].from; k && !again; k = nodes[k].from)
                again = nodes[k].id == nodes[at].id;
            frequency[nodes[at].id] += (double)w->count;
            if (!again) words[nodes[at].id] += (double)w->count;
        }
    }
    return total;
}

/* What the likelihood loses when the piece goes and its next best segmentation takes its place;
 * negative when it may go at once. */
static double loss_of(const spar__unigram_trainer *t, size_t i, node *nodes,
                      const double *frequency, double in, double sum) {
    const spar__unigram_piece *p = &t->pieces[i];
    if (!best_path(t, t->text + p->begin, p->length, false, nodes)) return INFINITY;
    if (nodes[p->length].score > t->score[i] || frequency[i] == 0) return -1;
    double alternative = 0, parts = 0;
    for (size_t at = p->length; at; at = nodes[at].from, parts++)
        alternative += log(frequency[nodes[at].id] + frequency[i]);
    alternative -= parts * log(sum + frequency[i] * (parts - 1));
    return in * (log(frequency[i]) - log(sum) - alternative);
}

static spar_status prune(spar__unigram_trainer *t, size_t wanted) {
    size_t alive = 0, n = 0;
    double *frequency = spar__array(t->n_pieces + 1, sizeof *frequency);
    double *words = spar__array(t->n_pieces + 1, sizeof *words);
    candidate *list = spar__array(t->n_pieces + 1, sizeof *list);
    node *nodes = spar__array(t->longest + 1, sizeof *nodes);
    spar_status status = frequency && words && list && nodes ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) {
        double total = count_best(t, nodes, frequency, words), sum = 0;
        for (size_t i = 0; i < t->n_pieces; i++) sum += frequency[i], alive += t->pieces[i].length > 0;
        size_t keep = (size_t)(SHRINK * (double)alive);
        if (keep < wanted) keep = wanted;
        for (size_t i = 0; i < t->n_pieces; i++) {
            if (!t->pieces[i].length) continue;
            double loss = t->pieces[i].single
                              ? INFINITY
                              : loss_of(t, i, nodes, frequency, words[i] / total, sum);
            list[n++] = (candidate){loss, (int32_t)i};
        }
        qsort(list, n, sizeof *list, by_loss);
        for (size_t i = 0; i < n; i++)
            if ((i >= keep && list[i].loss < INFINITY) || list[i].loss < 0)
                t->pieces[list[i].id].length = 0;
    }
    spar__free(frequency);
    spar__free(words);
    spar__free(list);
    spar__free(nodes);
    return status;
}

/* ---- Learning --------------------------------------------------------------------------------- */

/* Closes the gaps that removed pieces left, and builds the trie anew. */
static spar_status compact(spar__unigram_trainer *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_pieces; i++) {
        if (!t->pieces[i].length) continue;
        t->pieces[n] = t->pieces[i];
        t->score[n++] = t->score[i];
    }
    t->n_pieces = n;
    spar__trie_free(&t->trie);
    spar__trie_key *keys = spar__array(n + 1, sizeof *keys);
    if (!keys) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        keys[i] = (spar__trie_key){t->text + t->pieces[i].begin, t->pieces[i].length, (int32_t)i};
    spar_status status = spar__trie_build(keys, n, &t->trie);
    spar__free(keys);
    return status;
}

spar_status spar__unigram_learn(spar__unigram_trainer *t, size_t wanted,
                                const spar_progress *progress) {
    size_t target = wanted + wanted / 10, first = t->n_pieces;
    SPAR_TRY(compact(t));
    for (;;) {
        for (int i = 0; i < SUB_ITERATIONS; i++) {
            SPAR_TRY(expectation(t));
            maximisation(t);
        }
        SPAR_TRY(compact(t));
        SPAR_TRY(spar__progress(progress, "pruning", first - t->n_pieces,
                                first > target ? first - target : 1, ""));
        if (t->n_pieces <= target) return SPAR_OK;
        size_t before = t->n_pieces;
        SPAR_TRY(prune(t, target));
        SPAR_TRY(compact(t));
        if (t->n_pieces == before) return SPAR_OK;
    }
}
