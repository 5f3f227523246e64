#include "format/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[32];
    int fd = fuzz_file(bytes, length, path);
    if (fd < 0) return 0;
    spar__st *st = NULL;
    if (!spar__st_open(path, &st)) {
        const spar__st_tensor *tensor;
        spar__st_get(st, "weight", &tensor);
    }
    spar__st_free(st);
    close(fd);
    return 0;
}
