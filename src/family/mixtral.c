/* Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral with a mixture of experts in every layer. */
#include "family/llama.h"

static const char *const types[] = {"mixtral", NULL};

static const spar__tensor_rule tensors[] = {
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate_inp", "model.layers.{i}.block_sparse_moe.gate"},
    {"blk.{i}.ffn_gate_exps", "model.layers.{i}.block_sparse_moe.experts.{e}.w1"},
    {"blk.{i}.ffn_up_exps", "model.layers.{i}.block_sparse_moe.experts.{e}.w3"},
    {"blk.{i}.ffn_down_exps", "model.layers.{i}.block_sparse_moe.experts.{e}.w2"},
    {0}};

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {131072, 8, 1e6, 1e-5, false, false};
    json_t *m = spar__llama_read(r, &defaults);
    spar__llama_read_window(r, m, 0);
    /* The loss that evens the load takes part in training only where its value is asked for. */
    double balance = spar__config_bool(r, "output_router_logits", false)
                         ? spar__config_real(r, "router_aux_loss_coef", 0.001)
                         : 0;
    json_object_set_new(
        m, "feedforward",
        json_pack("{s:s, s:I, s:I, s:b, s:f, s:f, s:{s:s, s:I, s:s}}", "kind", "experts", "n_experts",
                  spar__config_integer(r, "num_local_experts", 8), "top_k",
                  spar__config_integer(r, "num_experts_per_tok", 2), "normalise", 1, "balance", balance, "jitter",
                  spar__config_real(r, "router_jitter_noise", 0), "expert", "kind", "gated", "d_ff",
                  spar__config_integer(r, "intermediate_size", 14336), "activation",
                  spar__config_activation(r, "hidden_act", "silu")));
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "mixtral", "MixtralForCausalLM");
    double balance = spar__model_real(m, "feedforward.balance", 0.01);
    spar__llama_publish_window(c, m);
    json_object_update_new(
        c, json_pack("{s:I, s:I, s:I, s:s, s:f, s:b, s:f}", "intermediate_size",
                     spar__model_integer(m, "feedforward.expert.d_ff", 0), "num_local_experts",
                     spar__model_integer(m, "feedforward.n_experts", 8), "num_experts_per_tok",
                     spar__model_integer(m, "feedforward.top_k", 1), "hidden_act",
                     spar__activation_published(spar__model_kind(m, "feedforward.expert.activation", "silu")),
                     "router_aux_loss_coef", balance, "output_router_logits", balance > 0, "router_jitter_noise",
                     spar__model_real(m, "feedforward.jitter", 0)));
    return c;
}

static bool has_experts(const spar__gguf *file) { return spar__gguf_find(file, "llama.expert_count", NULL); }

const spar__family spar__family_mixtral = {
    .name = "mixtral",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
    .gguf = "llama",
    .gguf_tensors = spar__llama_gguf_tensors,
    .gguf_model = "{\"norm\": {\"kind\": \"rms\"}, \"residual\": \"pre-norm\","
                  " \"position\": {\"kind\": \"rotary\", \"pairs\": \"adjacent\"},"
                  " \"feedforward\": {\"kind\": \"experts\", \"normalise\": true, \"balance\": 0,"
                  "  \"expert\": {\"kind\": \"gated\", \"activation\": \"silu\"}}}",
    .gguf_is = has_experts,
};
