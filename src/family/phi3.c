/* Phi-3 (Abdin et al. 2024, arXiv 2404.14219): LLaMA with q, k and v in one matrix, the gate and the first layer in
 * another; contexts stretched by longrope. */
#include "family/llama.h"

static const char *const types[] = {"phi3", NULL};

static const spar__tensor_rule tensors[] = {
    {"blk.{i}.attn_q", "model.layers.{i}.self_attn.qkv_proj", SPAR__SAME, 0, 3},
    {"blk.{i}.attn_k", "model.layers.{i}.self_attn.qkv_proj", SPAR__SAME, 1, 3},
    {"blk.{i}.attn_v", "model.layers.{i}.self_attn.qkv_proj", SPAR__SAME, 2, 3},
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_up_proj", SPAR__SAME, 0, 2},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.gate_up_proj", SPAR__SAME, 1, 2},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"},
    {0}};

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {4096, 0, 10000, 1e-5, false, false};
    spar__config_only(r, "attention_bias", false, false);
    spar__config_integer(r, "original_max_position_embeddings", 0); /* read with the scaling, where there is one */
    json_t *m = spar__llama_read(r, &defaults);
    spar__llama_read_window(r, m, 0);
    spar__llama_read_gated(r, m, false);
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "phi3", "Phi3ForCausalLM");
    int64_t context = spar__model_integer(m, "context", 1024);
    json_object_set_new(c, "original_max_position_embeddings",
                        json_integer(spar__model_integer(m, "position.original_context", context)));
    spar__llama_publish_window(c, m);
    return c;
}

const spar__family spar__family_phi3 = {
    .name = "phi3",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
};
