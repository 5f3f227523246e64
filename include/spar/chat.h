/* Chat: conversations through a model's own chat template.
 *
 * A template is text in a part of the Jinja language that runs the templates found in published
 * tokenizer_config.json, chat_template.jinja and GGUF files: for, if, set, macro, filter blocks,
 * {% generation %}, break and continue, namespaces, loop variables, filters, tests, methods of text and
 * dictionaries, slices, and white-space control as the transformers library sets it (trim_blocks,
 * lstrip_blocks). Anything else is refused by name and line. Steps, depth, lists and text are limited,
 * for a template is part of a file that may lie. */
#ifndef SPAR_CHAT_H
#define SPAR_CHAT_H

#include <stddef.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Constant once it is parsed: any number of threads may render at once. */
typedef struct spar_chat_template spar_chat_template;

/* `name` is for messages. SPAR_ERR_FORMAT, SPAR_ERR_UNSUPPORTED with the line. */
spar_status spar_chat_template_parse(const char *name, const char *source, size_t length,
                                     spar_chat_template **out);
void spar_chat_template_free(spar_chat_template *chat); /* NULL is fine */

/* The text for `variables`, a JSON object: messages ([{"role", "content"}, …]), tools,
 * add_generation_prompt, bos_token, eos_token … *text is 0-terminated too; the caller frees it with
 * spar_free. SPAR_ERR_ARGUMENT when the template refuses the conversation (raise_exception). */
spar_status spar_chat_template_render(const spar_chat_template *chat, const char *variables,
                                      char **text, size_t *length);

/* The template of a model: tokenizer.chat_template of a GGUF file; of a folder chat_template.jinja,
 * chat_template.json or tokenizer_config.json (of several the one named "default"). *source is
 * 0-terminated; the caller frees it with spar_free. SPAR_ERR_NOT_FOUND when there is none. */
spar_status spar_chat_template_find(const char *model, char **source);

#ifdef __cplusplus
}
#endif
#endif
