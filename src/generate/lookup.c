/* Prompt look-up decoding (Saxena 2023): where the newest tokens have occurred before, what followed them then is
 * the draft; where that reaches the end of the text, the draft itself goes on. */
#include "generate/lookup.h"

#include <string.h>

enum { LONGEST_MATCH = 4, SHORTEST_MATCH = 2 };

size_t spar__lookup(const int32_t *history, size_t count, size_t most, int32_t *drafts) {
    for (size_t n = LONGEST_MATCH; n >= SHORTEST_MATCH; n--)
        for (size_t at = count > n ? count - n : 0; at-- > 0;) {
            if (memcmp(history + at, history + count - n, n * sizeof *history) != 0) continue;
            size_t found = 0;
            for (size_t i = at + n; found < most; i++, found++)
                drafts[found] = i < count ? history[i] : drafts[i - count];
            return found;
        }
    return 0;
}
