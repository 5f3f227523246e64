/* JSON: what is read can be written, and what was written reads the same. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    json_t *first, *second;
    char *text;
    if (spar__json_parse("input", (const char *)bytes, length, 1 << 16, &first)) return 0;
    if (spar__json_text(first, 2, &text)) abort();
    if (spar__json_parse("output", text, strlen(text), SIZE_MAX, &second)) abort();
    if (!json_equal(first, second)) abort();
    spar__free(text);
    json_decref(first);
    json_decref(second);
    return 0;
}
