/* Versions of the libraries that Spar stands on, as they say themselves at run time. */
#include <cairo.h>
#include <jansson.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>
#ifdef SPAR_BLAS_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "spar/machine.h"

static char dense[32], pcre[32], xxhash[32];

static spar_library libraries[12] = {
#ifdef SPAR_BLAS_ONEDNN
    {"oneDNN", dense},
#endif
    {"PCRE2", pcre}, {"xxHash", xxhash},
};

static void collect(void) {
    size_t n = 0;
    while (libraries[n].name) n++;
#ifdef SPAR_BLAS_ONEDNN
    const dnnl_version_t *v = dnnl_version();
    snprintf(dense, sizeof dense, "%d.%d.%d", v->major, v->minor, v->patch);
#endif
#ifdef SPAR_BLAS_CBLAS
    libraries[n++] = (spar_library){"CBLAS", "as linked"};
#endif
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    pcre[strcspn(pcre, " ")] = 0; /* a date follows */
    unsigned x = XXH_versionNumber();
    snprintf(xxhash, sizeof xxhash, "%u.%u.%u", x / 10000, x / 100 % 100, x % 100);
    libraries[n++] = (spar_library){"Jansson", jansson_version_str()};
    libraries[n++] = (spar_library){"utf8proc", utf8proc_version()};
    libraries[n++] = (spar_library){"Zstandard", ZSTD_versionString()};
    libraries[n++] = (spar_library){"zlib", zlibVersion()};
    libraries[n++] = (spar_library){"SQLite", sqlite3_libversion()};
    libraries[n++] = (spar_library){"cairo", cairo_version_string()};
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const spar_library *spar_libraries(void) {
    pthread_once(&once, collect);
    return libraries;
}
