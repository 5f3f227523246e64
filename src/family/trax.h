/* What models with the names of the authors' code (trax) have in common. */
#ifndef SPAR_FAMILY_TRAX_H
#define SPAR_FAMILY_TRAX_H

#include "family/family.h"

/* A convolution over modules; of one module, which is a dense layer, it is a matrix. Beside it stands the shared
 * layer: scales and mixes of several modules, weights of one. */
#define SPAR__TRAX_LOCAL(ours, layer, theirs, name)                                                              \
    {ours layer ".weight", theirs name ".kernel", SPAR__TRANSPOSED, .with = ours "attn_shared_scale.weight"},    \
        {ours layer ".weight", theirs name ".weight", SPAR__TRANSPOSED, .with = ours "attn_shared.weight"},      \
        {ours layer ".bias", theirs name ".bias", .with = ours "attn_shared_scale.weight"},                      \
        {ours layer ".bias", theirs name ".bias", .with = ours "attn_shared.weight"}
#define SPAR__TRAX_DENSE(ours, layer, theirs, name)                                                              \
    {ours layer ".weight", theirs name ".weight", SPAR__TRANSPOSED}, {ours layer ".bias", theirs name ".bias"}

#define SPAR__TRAX_ATTENTION(ours, theirs)                                                                       \
    {ours "attn_norm", theirs "norm"}, SPAR__TRAX_LOCAL(ours, "attn_q", theirs, "conv_q"),                       \
        SPAR__TRAX_LOCAL(ours, "attn_k", theirs, "conv_k"), SPAR__TRAX_LOCAL(ours, "attn_v", theirs, "conv_v"),  \
        SPAR__TRAX_LOCAL(ours, "attn_qk", theirs, "conv_qk"), {ours "attn_shared_scale.weight", theirs "mult.D"}, \
        {ours "attn_shared_mix.weight", theirs "mult.E", SPAR__TRANSPOSED},                                      \
        SPAR__TRAX_DENSE(ours, "attn_shared", theirs, "mult"),                                                   \
        {ours "attn_output_scale.weight", theirs "out.mult.D"},                                                  \
        {ours "attn_output_mix.weight", theirs "out.mult.E", SPAR__TRANSPOSED},                                  \
        {ours "attn_output.weight", theirs "out.mult.weight", SPAR__TRANSPOSED, .with = ours "attn_shared.weight"}, \
        {ours "attn_output.bias", theirs "out.mult.bias", .with = ours "attn_shared_scale.weight"},              \
        {ours "attn_output.bias", theirs "out.mult.bias", .with = ours "attn_shared.weight"},                    \
        SPAR__TRAX_LOCAL(ours, "attn_output_conv", theirs, "out.conv"), SPAR__TRAX_DENSE(ours, "attn_q", theirs, "q"), \
        SPAR__TRAX_DENSE(ours, "attn_k", theirs, "k"), SPAR__TRAX_DENSE(ours, "attn_v", theirs, "v"),            \
        SPAR__TRAX_DENSE(ours, "attn_output", theirs, "o")

/* Dense, and sparse with its controller. */
#define SPAR__TRAX_FEEDFORWARD(ours, theirs)                                                                     \
    {ours "ffn_norm", theirs "norm"}, {ours "ffn_up.weight", theirs "W1", SPAR__TRANSPOSED},                     \
        {ours "ffn_up.bias", theirs "b1"}, {ours "ffn_down.weight", theirs "W2", SPAR__TRANSPOSED},              \
        {ours "ffn_down.bias", theirs "b2"}, {ours "ffn_controller_down.weight", theirs "M1", SPAR__TRANSPOSED}, \
        {ours "ffn_controller_up.weight", theirs "M2", SPAR__TRANSPOSED, .shape = "cfN"},                        \
        {ours "ffn_controller_up.bias", theirs "mb", .shape = "fN"},                                             \
        {ours "ffn_neurons.weight", theirs "W1|" theirs "W2", SPAR__COLUMN_AND_ROW, .shape = "cfN|fNc"},         \
        {ours "ffn_neurons.bias", theirs "b2"}

#define SPAR__TRAX_HEAD                                                                                          \
    {"output_scale.weight", "head.D"}, {"output_mix.weight", "head.E", SPAR__TRANSPOSED},                        \
        {"output.weight", "head.weight", SPAR__TRANSPOSED}, {"output.bias", "head.bias"}

/* "projection", "feedforward" and "head" of config.json. */
json_t *spar__trax_projection(spar__config_reader *);
json_t *spar__trax_feedforward(spar__config_reader *);
json_t *spar__trax_head(spar__config_reader *);
/* And back: the keys of all of these, with sizes, norm and positions. `layer` is a section with the projection and the
 * feed-forward. What has no name there is noticed when the keys are read again. */
void spar__trax_publish(json_t *config, const json_t *model, const json_t *layer);

#endif
