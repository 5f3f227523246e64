/* GLM-4 (Zeng et al. 2024, arXiv 2406.12793): LLaMA with a part of each head rotated, in adjacent pairs. */
#include "family/llama.h"

static const char *const types[] = {"glm", NULL};

static const spar__tensor_rule tensors[] = {
    {"blk.{i}.attn_q", "model.layers.{i}.self_attn.q_proj", SPAR__ADJACENT},
    {"blk.{i}.attn_k", "model.layers.{i}.self_attn.k_proj", SPAR__ADJACENT},
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_up_proj", SPAR__SAME, 0, 2},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.gate_up_proj", SPAR__SAME, 1, 2},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"},
    {0}};

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {
        131072, 2, 10000, 1.5625e-7, true, false, .head_dim = 128, .fraction = 0.5, .pairs = "adjacent"};
    json_t *m = spar__llama_read(r, &defaults);
    spar__llama_read_gated(r, m, false);
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "glm", "GlmForCausalLM");
    json_object_set_new(c, "attention_bias", json_boolean(spar__model_flag(m, "attention.bias", true)));
    json_object_set_new(c, "partial_rotary_factor", json_real(spar__model_real(m, "position.fraction", 1)));
    return c;
}

const spar__family spar__family_glm = {
    .name = "glm",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
};
