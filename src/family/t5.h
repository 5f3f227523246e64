/* What T5 and the families that follow it have in common. */
#ifndef SPAR_FAMILY_T5_H
#define SPAR_FAMILY_T5_H

#include "family/family.h"

/* Embeddings that are not tied are two, and "shared" is of no use. */
#define SPAR__T5_EMBEDDINGS                                                                                      \
    {"token_embd", "encoder.embed_tokens", .with = "dec.token_embd"}, {"token_embd", "shared"},                  \
        {"dec.token_embd", "decoder.embed_tokens"}, {"output", "lm_head"}
/* Rules of a stack's attention, and of the decoder's cross-attention. */
#define SPAR__T5_STACK(ours, theirs)                                                                                      \
    {ours ".blk.0.attn_rel_b", theirs ".block.0.layer.0.SelfAttention.relative_attention_bias"},                 \
        {ours ".blk.{i}.attn_q", theirs ".block.{i}.layer.0.SelfAttention.q"},                                   \
        {ours ".blk.{i}.attn_k", theirs ".block.{i}.layer.0.SelfAttention.k"},                                   \
        {ours ".blk.{i}.attn_v", theirs ".block.{i}.layer.0.SelfAttention.v"},                                   \
        {ours ".blk.{i}.attn_output", theirs ".block.{i}.layer.0.SelfAttention.o"},                              \
        {ours ".blk.{i}.attn_norm", theirs ".block.{i}.layer.0.layer_norm"},                                     \
        {ours ".output_norm", theirs ".final_layer_norm"}
#define SPAR__T5_CROSS \
    {"dec.blk.{i}.cross_attn_q", "decoder.block.{i}.layer.1.EncDecAttention.q"}, \
    {"dec.blk.{i}.cross_attn_k", "decoder.block.{i}.layer.1.EncDecAttention.k"}, \
    {"dec.blk.{i}.cross_attn_v", "decoder.block.{i}.layer.1.EncDecAttention.v"}, \
    {"dec.blk.{i}.cross_attn_output", "decoder.block.{i}.layer.1.EncDecAttention.o"}, \
    {"dec.blk.{i}.cross_attn_norm", "decoder.block.{i}.layer.1.layer_norm"}

/* The "model" section from config.json, with this "feedforward" (taken over). */
json_t *spar__t5_section(spar__config_reader *, json_t *feedforward);
/* And back: all but the feed-forward's activation and the scale of the head. */
json_t *spar__t5_publish(const json_t *model, const char *type, const char *architecture);

#endif
