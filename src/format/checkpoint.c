/* Opening checkpoints, and which of a folder's to open. Layout: checkpoint_layout.h. */
#include "format/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "format/checkpoint_layout.h"

typedef struct section {
    char *name;
    const unsigned char *bytes;
    size_t length;
} section;

struct spar__checkpoint {
    char *path;
    spar__map map;
    uint64_t step;
    section *sections, **order; /* order: sorted by name */
    size_t n_sections;
};

/* ---- Reading ------------------------------------------------------------------------------- */

static spar_status check_header(const spar__checkpoint *c, spar__checkpoint_header *h) {
    if (c->map.length < sizeof *h)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, not a checkpoint", c->path,
                          c->map.length);
    memcpy(h, c->map.bytes, sizeof *h);
    if (memcmp(h->magic, SPAR__CHECKPOINT_MAGIC, sizeof h->magic))
        return spar__fail(SPAR_ERR_FORMAT, "%s: not a checkpoint", c->path);
    if (h->header_hash != XXH3_64bits(h, offsetof(spar__checkpoint_header, header_hash)))
        return spar__fail(SPAR_ERR_FORMAT, "%s: the header's checksum differs", c->path);
    if (h->version != SPAR__CHECKPOINT_VERSION || h->zero)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: version %u, expected %d", c->path, h->version,
                          SPAR__CHECKPOINT_VERSION);
    if (h->file_length != c->map.length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, expected %llu", c->path, c->map.length,
                          (unsigned long long)h->file_length);
    if (h->table_offset < sizeof *h || h->table_offset > c->map.length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: table at %llu, the file has %zu bytes", c->path,
                          (unsigned long long)h->table_offset, c->map.length);
    if (h->table_hash !=
        XXH3_64bits(c->map.bytes + h->table_offset, c->map.length - h->table_offset))
        return spar__fail(SPAR_ERR_FORMAT, "%s: the table's checksum differs", c->path);
    size_t fit = (c->map.length - h->table_offset) / (SPAR__CHECKPOINT_ENTRY + 1);
    if (h->n_sections <= fit) return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: %llu sections, at most %zu fit", c->path,
                      (unsigned long long)h->n_sections, fit);
}

/* One row of the table at *at; `end` is where the sections end. */
static spar_status read_section(spar__checkpoint *c, size_t *at, size_t end, section *s) {
    spar__checkpoint_entry e;
    if (SPAR__CHECKPOINT_ENTRY > c->map.length - *at)
        return spar__fail(SPAR_ERR_FORMAT, "%s: the table ends early", c->path);
    memcpy(&e, c->map.bytes + *at, SPAR__CHECKPOINT_ENTRY);
    *at += SPAR__CHECKPOINT_ENTRY;
    const unsigned char *name = c->map.bytes + *at;
    if (!e.name_length || e.name_length > c->map.length - *at ||
        e.name_length > SPAR__CHECKPOINT_NAME || memchr(name, 0, e.name_length))
        return spar__fail(SPAR_ERR_FORMAT, "%s: section with a name of %llu bytes", c->path,
                          (unsigned long long)e.name_length);
    *at += e.name_length;
    if (!(s->name = spar__copy_bytes(name, e.name_length))) return SPAR_ERR_MEMORY;
    if (e.offset % SPAR__CHECKPOINT_ALIGN || e.offset < sizeof(spar__checkpoint_header) ||
        e.offset > end || e.length > end - e.offset)
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: section '%s': %llu bytes at %llu, expected within "
                          "%zu",
                          c->path, s->name, (unsigned long long)e.length,
                          (unsigned long long)e.offset, end);
    s->bytes = c->map.bytes + e.offset;
    s->length = e.length;
    if (XXH3_64bits(s->bytes, s->length) == e.hash) return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: section '%s': the checksum differs", c->path, s->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(section *const *)a)->name, (*(section *const *)b)->name);
}

static spar_status sort_sections(spar__checkpoint *c) {
    if (!(c->order = spar__array(c->n_sections, sizeof *c->order))) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < c->n_sections; i++) c->order[i] = &c->sections[i];
    qsort(c->order, c->n_sections, sizeof *c->order, by_name);
    for (size_t i = 1; i < c->n_sections; i++)
        if (!by_name(&c->order[i - 1], &c->order[i]))
            return spar__fail(SPAR_ERR_FORMAT, "%s: section '%s': stands there twice", c->path,
                              c->order[i]->name);
    return SPAR_OK;
}

static spar_status read_all(spar__checkpoint *c, const char *path) {
    spar__checkpoint_header h = {0};
    if (!(c->path = spar__copy_string(path))) return SPAR_ERR_MEMORY;
    SPAR_TRY(spar__map_open(path, &c->map));
    SPAR_TRY(check_header(c, &h));
    c->step = h.step;
    if (!(c->sections = spar__array(h.n_sections, sizeof *c->sections))) return SPAR_ERR_MEMORY;
    size_t at = h.table_offset;
    for (uint64_t i = 0; i < h.n_sections; i++) {
        c->n_sections++;
        SPAR_TRY(read_section(c, &at, h.table_offset, &c->sections[i]));
    }
    if (at != c->map.length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes behind the table", path,
                          c->map.length - at);
    return sort_sections(c);
}

spar_status spar__checkpoint_open(const char *path, spar__checkpoint **out) {
    spar__checkpoint *c = spar__alloc(sizeof *c);
    if (!c) return SPAR_ERR_MEMORY;
    spar_status status = read_all(c, path);
    if (status)
        spar__checkpoint_free(c);
    else
        *out = c;
    return status;
}

void spar__checkpoint_free(spar__checkpoint *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n_sections; i++) spar__free(c->sections[i].name);
    spar__map_close(&c->map);
    spar__free(c->sections);
    spar__free(c->order);
    spar__free(c->path);
    spar__free(c);
}

uint64_t spar__checkpoint_step(const spar__checkpoint *c) {
    return c->step;
}
const char *spar__checkpoint_path(const spar__checkpoint *c) {
    return c->path;
}
size_t spar__checkpoint_n_sections(const spar__checkpoint *c) {
    return c->n_sections;
}
const char *spar__checkpoint_name_at(const spar__checkpoint *c, size_t i) {
    return c->sections[i].name;
}

spar_status spar__checkpoint_section(const spar__checkpoint *c, const char *name,
                                     const void **bytes, size_t *length) {
    section wanted = {.name = (char *)name}, *p = &wanted;
    section **found = bsearch(&p, c->order, c->n_sections, sizeof *c->order, by_name);
    if (!found) {
        spar__fail(SPAR_ERR_NOT_FOUND, "%s: section '%s': is not there", c->path, name);
        return SPAR_ERR_NOT_FOUND;
    }
    *bytes = (*found)->bytes;
    *length = (*found)->length;
    return SPAR_OK;
}

spar_status spar__checkpoint_exact(const spar__checkpoint *c, const char *name, size_t length,
                                   const void **bytes) {
    const void *found;
    size_t n;
    SPAR_TRY(spar__checkpoint_section(c, name, &found, &n));
    if (n != length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: section '%s': %zu bytes, expected %zu", c->path,
                          name, n, length);
    *bytes = found;
    return SPAR_OK;
}

/* ---- A folder's checkpoints ---------------------------------------------------------------- */

bool spar__checkpoint_name_read(const char *name, uint64_t *step, const char **rest) {
    size_t n = strlen(SPAR__CHECKPOINT_PREFIX);
    if (strncmp(name, SPAR__CHECKPOINT_PREFIX, n)) return false;
    size_t digits = strspn(name + n, "0123456789");
    if (digits < 1 || digits > 19 || (digits > 1 && name[n] == '0')) return false;
    *step = strtoull(name + n, NULL, 10);
    *rest = name + n + digits;
    return true;
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

spar_status spar__checkpoint_list(const char *folder, uint64_t **out, size_t *count) {
    DIR *directory = opendir(folder);
    if (!directory)
        return spar__fail(errno == ENOENT ? SPAR_ERR_NOT_FOUND : SPAR_ERR_IO,
                          "%s: cannot open folder: %s", folder, strerror(errno));
    uint64_t *steps = NULL, step;
    size_t n = 0, room = 0;
    spar_status status = SPAR_OK;
    const char *rest;
    for (struct dirent *item; !status && (item = readdir(directory));) {
        if (!spar__checkpoint_name_read(item->d_name, &step, &rest) || *rest) continue;
        if (n == room) {
            uint64_t *more = spar__resize(steps, room = room * 2 + 8, sizeof *more);
            if (!more) SPAR_TRY_GOTO(done, SPAR_ERR_MEMORY);
            steps = more;
        }
        steps[n++] = step;
    }
    if (n) qsort(steps, n, sizeof *steps, newest_first);
    *out = steps;
    *count = n;
done:
    closedir(directory);
    if (status) spar__free(steps);
    return status;
}

char *spar__checkpoint_file(const char *folder, uint64_t step) {
    char name[64];
    snprintf(name, sizeof name, SPAR__CHECKPOINT_PREFIX "%llu", (unsigned long long)step);
    return spar__path_join(folder, name);
}

static spar_status open_step(const char *folder, uint64_t step, spar__checkpoint **out) {
    char *path = spar__checkpoint_file(folder, step);
    if (!path) return SPAR_ERR_MEMORY;
    spar__checkpoint *c = NULL;
    spar_status status = spar__checkpoint_open(path, &c);
    if (!status && c->step != step) {
        status =
            spar__fail(SPAR_ERR_FORMAT, "%s: is of step %llu", path, (unsigned long long)c->step);
        spar__checkpoint_free(c);
    }
    spar__free(path);
    if (!status) *out = c;
    return status;
}

spar_status spar__checkpoint_open_newest(const char *folder, spar__checkpoint **out) {
    uint64_t *steps;
    size_t n;
    SPAR_TRY(spar__checkpoint_list(folder, &steps, &n));
    spar_status status = SPAR_OK, newest = SPAR_OK;
    char message[1024] = "";
    size_t i = 0;
    for (; i < n; i++) {
        status = open_step(folder, steps[i], out);
        if (!status || status == SPAR_ERR_MEMORY) break;
        spar__log(SPAR_LOG_WARNING, "%s; trying the checkpoint before it", spar_error());
        if (newest) continue;
        newest = status;
        snprintf(message, sizeof message, "%s", spar_error());
    }
    spar__free(steps);
    if (!n) return spar__fail(SPAR_ERR_NOT_FOUND, "%s: holds no checkpoint", folder);
    return i < n ? status : spar__fail(newest, "%s", message);
}
