/* What the families of encoders have in common: their heads. */
#ifndef SPAR_FAMILY_ENCODER_H
#define SPAR_FAMILY_ENCODER_H

#include "family/family.h"

/* The "head" section, by the tensors that a folder has: masked tokens ("cls.predictions.bias"), a
 * classifier ("classifier.weight") with the pooler that `pooler` names (an activation; NULL = none),
 * or else an embedding pooled as sentence-transformers' files beside config.json say. */
json_t *spar__encoder_head(spar__config_reader *, const char *activation, double eps, const char *pooler);
/* The weights and the bias of masked tokens; where the weights are not the embedding, the bias is theirs. */
#define SPAR__MASKED_OUTPUT(other)                                                                  \
    {"output.weight", "/cls.predictions.decoder.weight"},                                           \
        {"output.bias", "/cls.predictions.decoder.bias|/cls.predictions.bias", .with = "output.weight"}, \
        {"output.bias", "/cls.predictions.bias" other}
/* Names of the classes into model.labels, where the head is a classifier. */
void spar__encoder_labels(spar__config_reader *, json_t *model);
/* "XForMaskedLM", "XForSequenceClassification" or "XModel" for config.json; labels with it. */
void spar__publish_encoder(json_t *config, const json_t *model, const char *family);

/* DeBERTa of version 1 (`first`) or later: the "model" section, its "position", and the way back. */
json_t *spar__deberta_section(spar__config_reader *, bool first);
json_t *spar__deberta_position(spar__config_reader *, bool first, int64_t context, bool absolute, double eps);
json_t *spar__deberta_publish(const json_t *model, bool first);
/* Whether config.json names the masked head's tensors as they are written: "legacy". */
bool spar__deberta_kept(const json_t *config);
#define SPAR__DEBERTA_MASKED                                                                       \
    {"mlm_dense", "/cls.predictions.transform.dense|/lm_predictions.lm_head.dense"},                \
        {"mlm_norm", "/cls.predictions.transform.LayerNorm|/lm_predictions.lm_head.LayerNorm"},     \
        SPAR__MASKED_OUTPUT("|/lm_predictions.lm_head.bias")

#endif
