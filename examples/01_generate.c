/* Continues a text:   01_generate MODEL.gguf "In the beginning" */
#include <stdio.h>
#include <string.h>

#include "spar/spar.h"

static int show(void *context, const char *text, size_t length) {
    (void)context;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return 0; /* another value would end the text here */
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: 01_generate MODEL.gguf PROMPT\n");
        return 2;
    }
    spar_model *model = NULL;
    spar_session *session = NULL;
    int32_t *prompt = NULL;
    size_t count = 0;
    spar_session_options session_options = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options options = SPAR_GENERATE_OPTIONS_INIT;
    options.sampler.temperature = 0.8;
    options.sampler.top_p = 0.95;
    options.max_tokens = 100;
    options.on_text = show;
    spar_generation made;
    spar_status status = spar_model_open(argv[1], &model);
    if (!status && !spar_model_tokenizer(model)) {
        fprintf(stderr, "%s has no tokenizer\n", argv[1]);
        spar_model_free(model);
        return 1;
    }
    if (!status)
        status = spar_tokenizer_encode(spar_model_tokenizer(model), argv[2], strlen(argv[2]), 0,
                                       &prompt, &count);
    if (!status) status = spar_session_create(model, &session_options, &session);
    if (!status) status = spar_generate(session, prompt, count, &options, &made);
    if (!status) {
        printf("\n%zu tokens, %.1f a second\n", made.n_tokens,
               (double)made.n_tokens / made.decode_seconds);
        spar_generation_free(&made);
    }
    if (status) fprintf(stderr, "%s\n", spar_error());
    spar_free(prompt);
    spar_session_free(session);
    spar_model_free(model);
    return status ? 1 : 0;
}
