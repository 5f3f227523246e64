/* A chat template, with a conversation that has everything that templates ask for. */
#include "fuzz.h"
#include "spar/chat.h"
#include "spar/memory.h"

static const char variables[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", "
    "\"content\": \"2 + 2?\"}, {\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": "
    "[{\"id\": \"123456789\", \"type\": \"function\", \"function\": {\"name\": \"add\", "
    "\"arguments\": {\"a\": 2, \"b\": 2.5}}}]}, {\"role\": \"tool\", \"content\": \"4\", "
    "\"tool_call_id\": \"123456789\"}], \"tools\": [{\"type\": \"function\", \"function\": "
    "{\"name\": \"add\", \"description\": \"sums\", \"parameters\": {\"type\": \"object\", "
    "\"properties\": {\"a\": {\"type\": \"number\"}}}}}], \"add_generation_prompt\": true, "
    "\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    spar_chat_template *chat = NULL;
    char *text;
    size_t n;
    if (!spar_chat_template_parse("fuzz", (const char *)bytes, length, &chat) &&
        !spar_chat_template_render(chat, variables, &text, &n))
        spar_free(text);
    spar_chat_template_free(chat);
    return 0;
}
