/* Sessions: a sequence of tokens under way through a model, with its cache; sampling; generating. */
#ifndef SPAR_SESSION_H
#define SPAR_SESSION_H

#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A session belongs to one thread at a time; any number of sessions share a model. */
typedef struct spar_session spar_session;

typedef struct spar_session_options {
    int64_t context;        /* most tokens; 0 = the model's context */
    int64_t chunk;          /* tokens of a prompt that are processed at once */
    const char *cache_type; /* "f32", "bf16", "f16" or "q8_0", this where heads are whole blocks of 32 */
    int64_t layers;         /* the model's first ones alone, as a draft of itself; 0 = all */
} spar_session_options;
#define SPAR_SESSION_OPTIONS_INIT {.context = 0, .chunk = 256, .cache_type = "f32"}

/* The model must outlive the session. */
spar_status spar_session_create(const spar_model *model, const spar_session_options *options,
                                spar_session **out);
void spar_session_free(spar_session *session);

/* Appends tokens. *logits [vocab_size] are those after the last token, valid until the next call;
 * NULL when they are not wanted. SPAR_ERR_LIMIT when the context would overflow (nothing is cut in
 * silence; the session is then as before). After the first tokens of a size nothing is allocated. */
spar_status spar_session_feed(spar_session *session, const int32_t *tokens, size_t count,
                              const float **logits);
/* Encoder–decoders: what the encoder reads, before the first tokens are fed. Its output is made once and
 * kept; the session becomes empty. */
spar_status spar_session_source(spar_session *session, const int32_t *tokens, size_t count);
/* Appends up to `chunk` tokens and gives the logits after each: *logits [count, vocab_size]. Up to 16 have the bits
 * that they have one by one. */
spar_status spar_session_feed_each(spar_session *session, const int32_t *tokens, size_t count,
                                   const float **logits);
/* Cuts the sequence back to its first `length` tokens. SPAR_ERR_LIMIT where layers that look back only
 * so far no longer hold what the next token would see. */
spar_status spar_session_cut(spar_session *session, int64_t length);
int64_t spar_session_position(const spar_session *session); /* tokens fed so far */
const int32_t *spar_session_tokens(const spar_session *session); /* they, until the next call */
int64_t spar_session_context(const spar_session *session);
/* A session's file: tokens and cache, with checksums. The file appears whole or not at all. Loading puts the session
 * where the other was when it was saved: what is fed then gives the same bits. SPAR_ERR_FORMAT for a damaged file,
 * SPAR_ERR_ARGUMENT for one of another model, tokenizer or options; the session is then as before. */
spar_status spar_session_save(spar_session *session, const char *path);
spar_status spar_session_load(spar_session *session, const char *path);
uint64_t spar_session_cache_bytes(const spar_session *session);
void spar_session_reset(spar_session *session); /* to the empty sequence */

/* ---- Several sequences together ----
 * Weights are read once for up to 16 tokens that are fed together, and what sparse layers choose, by sequences that
 * choose the same. A sequence's logits have the same bits as in a session that is fed the same pieces. */
typedef struct spar_batch spar_batch;
typedef struct spar_batch_item {
    int slot; /* each at most once in a call */
    const int32_t *tokens;
    size_t count; /* 1 to the options' chunk */
    const float *logits; /* out: [vocab_size] after the last token, valid until the next call */
} spar_batch_item;
/* Room for n_slots sequences of options->context tokens each. */
spar_status spar_batch_create(const spar_model *model, const spar_session_options *options, int n_slots,
                              spar_batch **out);
void spar_batch_free(spar_batch *batch);
/* Appends tokens to some of the sequences. On failure all are as before. */
spar_status spar_batch_feed(spar_batch *batch, spar_batch_item *items, size_t n_items);
int64_t spar_batch_length(const spar_batch *batch, int slot);
uint64_t spar_batch_cache_bytes(const spar_batch *batch); /* of all slots */
/* The sequence at `to` becomes the first `length` tokens of that at `from`, which are not computed again: a prompt's
 * beginning that several share. SPAR_ERR_LIMIT as for spar_session_cut. */
spar_status spar_batch_copy(spar_batch *batch, int from, int to, int64_t length);
/* Cuts a sequence back, as spar_session_cut; to 0 empties the slot. */
spar_status spar_batch_cut(spar_batch *batch, int slot, int64_t length);

/* ---- Sampling ---------------------------------------------------------------------------------
 * The steps are taken in the order of the members; each one's start value leaves all as it is. */
typedef struct spar_logit_bias {
    int32_t id;
    float bias;
} spar_logit_bias;

typedef struct spar_sampler_options {
    const spar_logit_bias *biases; /* added to logits */
    size_t n_biases;
    double repeat_penalty;    /* logits of tokens seen: divided if positive, multiplied if negative
                                 (Keskar et al. 2019, arXiv 1909.05858) */
    double frequency_penalty; /* logit −= this × times seen */
    double presence_penalty;  /* logit −= this if seen */
    int64_t penalty_last;     /* newest tokens that count as seen; 0 = all */
    double temperature;       /* 0 = greedy: the first of the largest logits */
    int64_t top_k;            /* the k most probable; 0 = off (Fan et al. 2018, arXiv 1805.04833) */
    double typical_p;         /* locally typical (Meister et al. 2022, arXiv 2202.00666) */
    double top_p;             /* the fewest whose mass reaches p (Holtzman et al. 2019, arXiv 1904.09751) */
    double min_p;             /* those of at least this × the largest probability */
    uint64_t seed;            /* the draw for a position depends on seed and position alone */
} spar_sampler_options;
#define SPAR_SAMPLER_OPTIONS_INIT                                                                  \
    {.repeat_penalty = 1, .temperature = 1, .typical_p = 1, .top_p = 1, .min_p = 0, .seed = 0}

typedef struct spar_sampler spar_sampler;
/* Options are copied, biases too. One thread at a time. */
spar_status spar_sampler_create(const spar_sampler_options *options, int32_t vocab_size, spar_sampler **out);
void spar_sampler_free(spar_sampler *sampler);
/* Picks the token for position `count` after `history` [count]. SPAR_ERR_NUMERIC when no logit is
 * finite. `logits` [vocab_size] are not changed. */
spar_status spar_sampler_pick(spar_sampler *sampler, const float *logits, const int32_t *history,
                              size_t count, int32_t *token);
/* The probabilities [vocab_size] that a pick is drawn from; for greedy a single 1. */
spar_status spar_sampler_probabilities(spar_sampler *sampler, const float *logits, const int32_t *history,
                                       size_t count, float *probabilities);

/* ---- Drafts: speculative decoding (Leviathan et al. 2022, arXiv 2211.17192) ----
 * A drafter proposes tokens, which the model then checks several at a time. Greedy, the tokens are those that come
 * without it, to the bit of their logits; with a temperature they have the same distribution (a draft is kept with
 * probability min(1, p/q), and replaced by a draw from what p exceeds q by). */
typedef struct spar_drafter spar_drafter;
/* Drafts for `model` by a smaller model with the same tokens, or by `model` itself, of which options->layers says how
 * many first layers run. Both must outlive the drafter, which belongs to one generation at a time. SPAR_ERR_ARGUMENT
 * where tokens differ. options->context: where the session's text is longer, no more drafts are made. */
spar_status spar_drafter_create(const spar_model *model, const spar_model *draft, const spar_session_options *options,
                                spar_drafter **out);
void spar_drafter_free(spar_drafter *drafter);

/* ---- Generating ------------------------------------------------------------------------------- */

typedef struct spar_generate_options {
    spar_sampler_options sampler;
    int64_t max_tokens;         /* new tokens; 0 = until the context is full */
    const char *const *stops;   /* text that ends the generation and is not part of it */
    size_t n_stops;
    int lookup; /* drafts are taken from the text itself: the same tokens, sooner where text repeats */
    int reuse; /* the prompt is the whole text: what the session holds of its beginning is not fed again, and what else it
                  holds is cut off */
    spar_drafter *drafter; /* may be NULL; with `lookup`, where the text does not repeat */
    int ignore_eos;             /* special tokens are ordinary ones; else the model's end tokens end the text */
    /* Receives text as it is known: whole UTF-8 characters only, never the beginning of a stop text.
     * Called with no text between the pieces of a long prompt. Return nonzero to end. May be NULL. */
    int (*on_text)(void *context, const char *text, size_t length);
    void *context;
} spar_generate_options;
#define SPAR_GENERATE_OPTIONS_INIT {.sampler = SPAR_SAMPLER_OPTIONS_INIT, .max_tokens = 128}

typedef struct spar_generation {
    int32_t *tokens; /* the new ones */
    size_t n_tokens;
    char *text; /* theirs, up to a stop text; "" without a tokenizer */
    const char *finish; /* "length", "stop", "eos" or "cancelled" */
    size_t prompt_tokens, reused; /* of the prompt: all, and those that the session held, with `reuse` */
    uint64_t drafted, accepted; /* tokens, with drafts */
    double prompt_seconds, decode_seconds;
} spar_generation;

/* Feeds the prompt (at least one token in the session in all) and continues it. On success the caller
 * ends *out with spar_generation_free. */
spar_status spar_generate(spar_session *session, const int32_t *prompt, size_t count,
                          const spar_generate_options *options, spar_generation *out);
void spar_generation_free(spar_generation *generation);

/* ---- Many prompts ---- */
typedef struct spar_prompt {
    const int32_t *tokens;
    size_t count;
} spar_prompt;

typedef struct spar_together_options {
    spar_sampler_options sampler;
    int64_t max_tokens; /* new tokens of each; 0 = until the context is full */
    int ignore_eos;
    /* A prompt is done, in the order in which they end: tokens, finish and prompt_tokens, valid during the call. Return
     * nonzero to end all. */
    int (*on_done)(void *context, size_t prompt, const spar_generation *generation);
    void *context;
} spar_together_options;
#define SPAR_TOGETHER_OPTIONS_INIT {.sampler = SPAR_SAMPLER_OPTIONS_INIT, .max_tokens = 128}

/* Continues prompts, `sequences` at a time, each as spar_generate would in a session of these options alone: the same
 * tokens. What prompts begin with alike is read once, in whole pieces of session->chunk tokens; *reused (or NULL) counts
 * those that were not read again. */
spar_status spar_generate_together(const spar_model *model, const spar_session_options *session, int sequences,
                                   const spar_prompt *prompts, size_t n_prompts, const spar_together_options *options,
                                   size_t *reused);

/* ---- Beam search ------------------------------------------------------------------------------
 * Keeps the B most probable continuations at each step (as transformers' generate does). A finished
 * one has the score (sum of its log probabilities) / length^length_penalty, length in new tokens. */
typedef enum spar_early_stopping {
    SPAR_STOP_HEURISTIC, /* when no running beam, as long as it is now, could enter the finished ones */
    SPAR_STOP_EARLY,     /* as soon as B are finished */
    SPAR_STOP_NEVER,     /* when none could, at the greatest length either */
} spar_early_stopping;

typedef struct spar_beam_options {
    int64_t beams;
    int64_t max_tokens; /* new tokens; 0 = until the context is full */
    double length_penalty;
    spar_early_stopping early_stopping;
    int ignore_eos;         /* special tokens are ordinary ones */
    const int32_t *source;  /* encoder–decoders: what the encoder reads */
    size_t n_source;
    const char *cache_type; /* as for sessions */
    int (*on_step)(void *context, int64_t step); /* may be NULL; nonzero ends with SPAR_ERR_INTERRUPTED */
    void *context;
} spar_beam_options;
#define SPAR_BEAM_OPTIONS_INIT {.beams = 4, .max_tokens = 128, .length_penalty = 1, .cache_type = "f32"}

typedef struct spar_beam {
    int32_t *tokens; /* the new ones, with the end token where there is one */
    size_t n_tokens;
    double score;
} spar_beam;

/* Sets what the model's generation_config.json says: num_beams, length_penalty, early_stopping, max_new_tokens or
 * max_length. */
void spar_beam_options_read(const spar_model *model, spar_beam_options *options);

/* Continues the prompt; *out gets options->beams sequences, the best first, to be freed with
 * spar_beams_free. The end tokens are the model's own (generation_config.json, config.json, tokenizer). */
spar_status spar_beam_search(const spar_model *model, const int32_t *prompt, size_t count,
                             const spar_beam_options *options, spar_beam **out);
void spar_beams_free(spar_beam *beams, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
