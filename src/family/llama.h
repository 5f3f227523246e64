/* What LLaMA and its relatives have in common. */
#ifndef SPAR_FAMILY_LLAMA_H
#define SPAR_FAMILY_LLAMA_H

#include "family/family.h"

typedef struct spar__llama_defaults {
    int64_t context, kv_heads; /* kv_heads 0 = as many as heads */
    double base, eps;
    bool attention_bias, output_bias; /* output_bias: the projection of the output follows attention_bias */
    int64_t head_dim;   /* 0 = d_model / heads */
    double fraction;    /* of each head that turns; 0 = all */
    const char *pairs;  /* NULL = "halves" */
} spar__llama_defaults;

/* Every key but those of the feed-forward layer and of windows. */
json_t *spar__llama_read(spar__config_reader *reader, const spar__llama_defaults *defaults);
/* The feed-forward layer of the family itself. */
void spar__llama_read_gated(spar__config_reader *reader, json_t *model, bool bias);
/* sliding_window: every layer sees so many tokens, itself included; null = all. */
void spar__llama_read_window(spar__config_reader *reader, json_t *model, int64_t fallback);
void spar__llama_publish_window(json_t *config, const json_t *model);
bool spar__llama_gguf_has_window(const spar__gguf *file);
/* The same keys of a config.json. */
json_t *spar__llama_publish(const json_t *model, const char *type, const char *architecture);

extern const char *const spar__llama_ignored[];
/* Tensors of attention, norms, embedding and head, for use as the first rows of a table. */
#define SPAR__LLAMA_TENSORS                                                                        \
    {"token_embd", "model.embed_tokens"}, {"blk.{i}.attn_norm", "model.layers.{i}.input_layernorm"}, \
        {"blk.{i}.attn_q", "model.layers.{i}.self_attn.q_proj", SPAR__HALVES},                     \
        {"blk.{i}.attn_k", "model.layers.{i}.self_attn.k_proj", SPAR__HALVES},                     \
        {"blk.{i}.attn_v", "model.layers.{i}.self_attn.v_proj"},                                   \
        {"blk.{i}.attn_output", "model.layers.{i}.self_attn.o_proj"},                              \
        {"blk.{i}.ffn_norm", "model.layers.{i}.post_attention_layernorm"},                         \
        {"output_norm", "model.norm"}, {"output", "lm_head"}

/* llama.cpp rotates pairs (2i, 2i + 1) in this architecture. */
extern const spar__tensor_rule spar__llama_gguf_tensors[];
extern const char spar__llama_gguf_model[];

#endif
