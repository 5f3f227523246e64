/* Looking inside a model: the attention weights of its heads, and its embedding matrix. */
#ifndef SPAR_LOOK_H
#define SPAR_LOOK_H

#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPAR_LOOK_TOKENS = 2048 }; /* most tokens of an input, and of its source */

/* weights[i·n_keys + j]: how much of key j is in what the head gives to query i. A row sums to 1; a query that
 * sees no key has zeros. */
typedef struct spar_attention_head {
    const char *stack; /* "encoder" or "decoder" */
    bool cross;        /* looks at the encoder's output */
    int64_t layer, head;
    size_t n_queries, n_keys;
    float *weights; /* [n_queries, n_keys] */
} spar_attention_head;

/* Heads as they run: the encoder's before the decoder's, then by layer, own attention before cross-attention. */
typedef struct spar_attention {
    spar_attention_head *heads;
    size_t n_heads;
} spar_attention;

typedef struct spar_attention_options {
    int64_t layer, head; /* only these, counted from 0 in every stack; −1 = all */
} spar_attention_options;
#define SPAR_ATTENTION_OPTIONS_INIT {.layer = -1, .head = -1}

/* Runs one sequence and keeps the weights of its attention. Encoder–decoders need tokens and a source.
 * `options` NULL: all heads. On success the caller ends *out with spar_attention_free. SPAR_ERR_ARGUMENT for an
 * empty input and for layers and heads that are not there; SPAR_ERR_LIMIT for more than SPAR_LOOK_TOKENS tokens,
 * or more than 2²⁸ weights in all. Any thread; work and memory grow with the square of the tokens, work for
 * a head with their cube. */
spar_status spar_attention_find(const spar_model *model, const spar_input *input,
                                const spar_attention_options *options, spar_attention *out);
void spar_attention_free(spar_attention *attention);

/* What stands beside the rows and columns: the texts of the tokens, any bytes; NULL or "" = none. */
typedef struct spar_attention_labels {
    const char *title;
    const char *const *tokens; /* [n_tokens], of the input */
    size_t n_tokens;
    const char *const *source; /* [n_source] */
    size_t n_source;
} spar_attention_labels;

/* {"tokens", "source", "heads": [{"stack", "cross", "layer", "head", "weights": [[…]]}]} in one line, to be
 * freed with spar_free. `labels` may be NULL here and below. */
spar_status spar_attention_json(const spar_attention *attention, const spar_attention_labels *labels, char **text);
/* By the ending of `path`: .html, a page that stands alone, where every head can be enlarged; .png, the heads
 * side by side; .json. The file appears whole. SPAR_ERR_LIMIT where it would be larger than 512 MB (a
 * picture: than 20,000 pixels a side). */
spar_status spar_attention_write(const spar_attention *attention, const spar_attention_labels *labels,
                                 const char *path);

/* ---- The embedding matrix ---- */

/* A word: the mean of its tokens' vectors, each of length 1; it counts `weight` times. */
typedef struct spar_embedding_word {
    const int32_t *tokens;
    size_t n_tokens;
    double weight;
} spar_embedding_word;

typedef struct spar_embedding_neighbour {
    int32_t token;
    double cosine;
} spar_embedding_neighbour;

/* The `top` tokens whose vectors have the greatest cosine with Σ weight·word (king − man + woman; Mikolov et al.
 * 2013, arXiv 1301.3781), the words' own tokens left out; equal ones by their ids. `out` [top]; *found may be
 * less in a small vocabulary. SPAR_ERR_ARGUMENT for no words, ids that are not there, and words that cancel
 * each other; SPAR_ERR_NUMERIC where a vector is not finite. Any thread. */
spar_status spar_embedding_near(const spar_model *model, const spar_embedding_word *words, size_t n_words,
                                size_t top, spar_embedding_neighbour *out, size_t *found);

/* The two directions in which words differ most, their vectors of length 1 (principal components, by power
 * iteration): places [n_words][2], `share` [2] of the variance that each shows. Weights do not count. At most
 * 10,000 words (SPAR_ERR_LIMIT). Otherwise as above. */
spar_status spar_embedding_map(const spar_model *model, const spar_embedding_word *words, size_t n_words,
                               double (*places)[2], double share[2]);
/* Draws places with their labels as a .png picture or an .html page that stands alone. */
spar_status spar_embedding_map_write(const double (*places)[2], const char *const *labels, size_t n_words,
                                     const double share[2], const char *path);

#ifdef __cplusplus
}
#endif
#endif
