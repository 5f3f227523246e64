#include "base/text.h"

#include <string.h>

#include "base/memory.h"
#include "spar/text.h"

static int least(int a, int b) { return a < b ? a : b; }

static int distance(const char *a, size_t n, const char *b, size_t m) {
    int rows[3][65];
    for (size_t j = 0; j <= m; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *row = rows[i % 3], *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], second[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

int spar__nearest(const char *text, const char *const *names, int n_names) {
    size_t n = strlen(text);
    int best = -1, best_distance = (int)(n / 2) + 1;
    if (n > 63) return -1;
    for (int i = 0; i < n_names; i++) {
        size_t m = strlen(names[i]);
        int d = m > 63 ? best_distance : distance(text, n, names[i], m);
        if (d < best_distance) best = i, best_distance = d;
    }
    return best;
}

/* What the byte after lead byte `b` must lie between: this is what rules out overlong forms,
 * surrogates and numbers that are too large. Returns the length of the character, 0 if no lead. */
static int lead(unsigned char b, unsigned char *low, unsigned char *high) {
    *low = 0x80, *high = 0xBF;
    if (b < 0x80) return 1;
    if (b >= 0xC2 && b <= 0xDF) return 2;
    if (b == 0xE0) *low = 0xA0;
    if (b == 0xED) *high = 0x9F;
    if (b >= 0xE0 && b <= 0xEF) return 3;
    if (b == 0xF0) *low = 0x90;
    if (b == 0xF4) *high = 0x8F;
    return b >= 0xF0 && b <= 0xF4 ? 4 : 0;
}

/* Bytes of the character at `bytes` that are right, up to its whole length, also set. */
static int good_bytes(const unsigned char *bytes, size_t length, int *whole) {
    unsigned char low, high;
    *whole = length ? lead(bytes[0], &low, &high) : 0;
    int n = *whole ? 1 : 0;
    while (n < *whole && (size_t)n < length && bytes[n] >= low && bytes[n] <= high) {
        n++;
        low = 0x80, high = 0xBF;
    }
    return n;
}

int spar__utf8_decode(const unsigned char *bytes, size_t length, uint32_t *code) {
    int whole, n = good_bytes(bytes, length, &whole);
    if (!n || n != whole) return 0;
    uint32_t c = n == 1 ? bytes[0] : bytes[0] & (0xFFu >> (n + 1));
    for (int i = 1; i < n; i++) c = c << 6 | (bytes[i] & 0x3F);
    *code = c;
    return n;
}

int spar__utf8_bad(const unsigned char *bytes, size_t length) {
    int whole, n = good_bytes(bytes, length, &whole);
    return n ? n : 1;
}

int spar__utf8_encode(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xF0) | c);
    return n;
}

size_t spar__utf8_incomplete(const char *bytes, size_t length) {
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        const unsigned char *p = (const unsigned char *)bytes + length - back;
        int whole, n = good_bytes(p, back, &whole);
        if (whole && (size_t)n == back && n < whole) return back;
    }
    return 0;
}

/* ---- What spar/text.h shows ----------------------------------------------------------------- */

int spar_nearest(const char *text, const char *const *names, int n_names) {
    return spar__nearest(text, names, n_names);
}

spar_status spar_ids_parse(const char *text, int32_t **ids, size_t *count) {
    static const char between[] = ", \t\r\n";
    size_t n = 0, room = strlen(text) / 2 + 1;
    int32_t *parsed = spar__array(room, sizeof *parsed);
    if (!parsed) return SPAR_ERR_MEMORY;
    for (const char *p = text + strspn(text, between); *p; p += strspn(p, between)) {
        size_t length = strcspn(p, between);
        int64_t id = 0;
        for (size_t i = 0; i < length && id >= 0; i++) {
            bool digit = p[i] >= '0' && p[i] <= '9';
            id = digit && id <= INT32_MAX / 10 ? id * 10 + (p[i] - '0') : -1;
            if (id > INT32_MAX) id = -1;
        }
        if (id < 0) {
            spar__free(parsed);
            return spar__fail(SPAR_ERR_ARGUMENT,
                              "token ids: found '%.*s', expected whole numbers from 0 to 2147483647",
                              (int)(length < 40 ? length : 40), p);
        }
        parsed[n++] = (int32_t)id;
        p += length;
    }
    *ids = parsed;
    *count = n;
    return SPAR_OK;
}
