/* Takes libFuzzer's place where there is no clang: runs a target on every seed and then, for some
 * seconds, on seeds changed at random.   PROGRAM SECONDS FOLDER   or   PROGRAM FILE…
 * The input at which the program dies is left as PROGRAM.crash. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fuzz.h"

enum { MOST_SEEDS = 256, MOST_BYTES = 1 << 20 };

static struct {
    uint8_t *bytes;
    size_t length;
} seeds[MOST_SEEDS];
static int n_seeds;
static uint8_t input[MOST_BYTES];
static size_t input_length;
static char crash_path[512];
static uint64_t state = 0x9E3779B97F4A7C15u;

static uint64_t draw(uint64_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return n ? state % n : 0;
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void) {
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, input, input_length) == (ssize_t)input_length)
        fprintf(stderr, "the input is in %s\n", crash_path);
}

static void add_seed(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(MOST_BYTES);
    if (file && bytes && n_seeds < MOST_SEEDS) {
        seeds[n_seeds].length = fread(bytes, 1, MOST_BYTES, file);
        seeds[n_seeds++].bytes = bytes;
        bytes = NULL;
    }
    free(bytes);
    if (file) fclose(file);
}

static void add_folder(const char *folder) {
    DIR *list = opendir(folder);
    struct dirent *entry;
    char path[1024];
    while (list && (entry = readdir(list))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        add_seed(path);
    }
    if (list) closedir(list);
}

/* Numbers at which sizes, counts and offsets go wrong. */
static uint64_t telling(void) {
    static const uint64_t numbers[] = {0,
                                       1,
                                       0x7F,
                                       0xFF,
                                       0x7FFF,
                                       0xFFFF,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0xFFFFFFFF,
                                       0x100000000,
                                       INT64_MAX,
                                       (uint64_t)INT64_MAX + 1,
                                       UINT64_MAX,
                                       UINT64_MAX - 31,
                                       (uint64_t)1 << 62,
                                       0x20000000};
    return numbers[draw(sizeof numbers / sizeof *numbers)] + draw(3) - 1;
}

/* Headers are where parsers live: half of all changes fall into the first 4 KiB. */
static size_t place(void) {
    size_t n = draw(2) && input_length > 4096 ? 4096 : input_length;
    return draw(n);
}

static void change(void) {
    if (!input_length) return;
    size_t at = place(), left = input_length - at;
    uint64_t number = telling();
    switch (draw(7)) {
    case 0:
        input[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        input[at] = (uint8_t)draw(256);
        break;
    case 2:
        memcpy(input + at, &number, left < 8 ? left : 8);
        break;
    case 3:
        memcpy(input + at, &number, left < 4 ? left : 4);
        break;
    case 4:
        input_length = at;
        break;
    case 5: { /* a stretch of another seed */
        int other = (int)draw((uint64_t)n_seeds);
        size_t from = draw(seeds[other].length), n = draw(64);
        if (n > left) n = left;
        if (n > seeds[other].length - from) n = seeds[other].length - from;
        memcpy(input + at, seeds[other].bytes + from, n);
        break;
    }
    default: { /* a stretch twice, all behind it moved */
        size_t n = draw(left < 64 ? left : 64);
        if (input_length + n > MOST_BYTES) break;
        memmove(input + at + n, input + at, left);
        input_length += n;
    }
    }
}

/* In memory of exactly this length, so that a sanitizer sees a byte read beyond it. */
static void run(void) {
    uint8_t *bytes = malloc(input_length ? input_length : 1);
    if (!bytes) exit(2);
    memcpy(bytes, input, input_length);
    LLVMFuzzerTestOneInput(bytes, input_length);
    free(bytes);
}

int main(int argc, char **argv) {
    snprintf(crash_path, sizeof crash_path, "%s.crash", argv[0]);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_input);
    int seconds = argc == 3 ? atoi(argv[1]) : 0;
    for (int i = seconds ? 2 : 1; i < argc; i++) {
        struct stat about;
        if (stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode))
            add_folder(argv[i]);
        else
            add_seed(argv[i]);
    }
    if (!n_seeds) {
        fprintf(stderr, "%s: no seeds\n", argv[0]);
        return 2;
    }
    unsigned long runs = 0;
    for (; runs < (unsigned long)n_seeds; runs++) {
        input_length = seeds[runs].length;
        memcpy(input, seeds[runs].bytes, input_length);
        run();
    }
    for (time_t end = time(NULL) + seconds; time(NULL) < end; runs++) {
        int seed = (int)draw((uint64_t)n_seeds);
        input_length = seeds[seed].length;
        memcpy(input, seeds[seed].bytes, input_length);
        for (uint64_t i = draw(6) + 1; i; i--) change();
        run();
    }
    printf("%s: %lu inputs, no crash\n",
           strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0], runs);
    for (int i = 0; i < n_seeds; i++) free(seeds[i].bytes);
    return 0;
}
