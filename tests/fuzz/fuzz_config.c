/* A configuration: its plan, and where that is small, a model of it. */
#include "fuzz.h"
#include "spar/spar.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    spar_config *config = NULL;
    spar_plan plan;
    if (!spar_config_parse((const char *)bytes, length, &config) &&
        !spar_config_plan(config, "f32", &plan) && plan.weight_bytes < 1 << 20) {
        spar_model *model = NULL;
        spar_model_create(config, 1, &model);
        spar_model_free(model);
    }
    spar_config_free(config);
    return 0;
}
