/* Writing checkpoints, and removing those that are no longer needed. Layout: checkpoint_layout.h.
 *
 * Sections are streamed; the table follows them, and the header, which says where, is filled in
 * last. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "format/checkpoint.h"
#include "format/checkpoint_layout.h"

_Static_assert(sizeof(spar__checkpoint_header) == SPAR__CHECKPOINT_ALIGN, "the layout has no gaps");

enum { TABLE_LIMIT = 1 << 30 };

struct spar__checkpoint_writer {
    spar_status failed; /* the first failure */
    char *folder;
    spar__writer *file;
    spar__checkpoint_header header;
    spar__buffer table;
    XXH3_state_t *hash;           /* of the section being written */
    size_t entry;                 /* its row's place in the table */
    spar__checkpoint_entry about; /* its row */
};

/* Removes what a killed run left: "checkpoint-STEP.PID.tmp". */
static void remove_left_over(const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory) return;
    for (struct dirent *item; (item = readdir(directory));) {
        uint64_t step;
        const char *rest;
        if (!spar__checkpoint_name_read(item->d_name, &step, &rest) || *rest++ != '.') continue;
        if (strcmp(rest + strspn(rest, "0123456789"), ".tmp")) continue;
        char *path = spar__path_join(folder, item->d_name);
        if (path) unlink(path);
        spar__free(path);
    }
    closedir(directory);
}

static spar_status start(spar__checkpoint_writer *w, const char *folder, uint64_t step) {
    SPAR_TRY(spar__make_folder(folder));
    remove_left_over(folder);
    if (!(w->folder = spar__copy_string(folder))) return SPAR_ERR_MEMORY;
    if (!(w->hash = XXH3_createState()))
        return spar__fail(SPAR_ERR_MEMORY, "%s: out of memory", folder);
    memcpy(w->header.magic, SPAR__CHECKPOINT_MAGIC, sizeof w->header.magic);
    w->header.version = SPAR__CHECKPOINT_VERSION;
    w->header.step = step;
    char *path = spar__checkpoint_file(folder, step);
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = spar__writer_open(path, &w->file);
    spar__free(path);
    SPAR_TRY(status);
    return spar__writer_write(w->file, &(spar__checkpoint_header){0}, sizeof w->header);
}

spar_status spar__checkpoint_create(const char *folder, uint64_t step,
                                    spar__checkpoint_writer **out) {
    spar__checkpoint_writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    w->table = spar__buffer_make(TABLE_LIMIT);
    spar_status status = start(w, folder, step);
    if (status)
        spar__checkpoint_abandon(w);
    else
        *out = w;
    return status;
}

void spar__checkpoint_abandon(spar__checkpoint_writer *w) {
    if (!w) return;
    spar__writer_abandon(w->file);
    XXH3_freeState(w->hash);
    spar__buffer_free(&w->table);
    spar__free(w->folder);
    spar__free(w);
}

static spar_status keep_failure(spar__checkpoint_writer *w, spar_status status) {
    if (!w->failed) w->failed = status;
    return status;
}

/* Ends the section under way, if any, and pads the file to a multiple of 64. */
static spar_status end_section(spar__checkpoint_writer *w) {
    static const char zeros[SPAR__CHECKPOINT_ALIGN];
    if (w->header.n_sections) {
        w->about.hash = XXH3_64bits_digest(w->hash);
        memcpy(w->table.bytes + w->entry, &w->about, sizeof w->about);
    }
    size_t over = spar__writer_offset(w->file) % SPAR__CHECKPOINT_ALIGN;
    return over ? spar__writer_write(w->file, zeros, SPAR__CHECKPOINT_ALIGN - over) : SPAR_OK;
}

static bool name_is_taken(const spar__buffer *table, const char *name, size_t length) {
    spar__checkpoint_entry e;
    for (size_t at = 0; at < table->length; at += sizeof e + e.name_length) {
        memcpy(&e, table->bytes + at, sizeof e);
        if (e.name_length == length && !memcmp(table->bytes + at + sizeof e, name, length))
            return true;
    }
    return false;
}

static spar_status begin(spar__checkpoint_writer *w, const char *name) {
    size_t n = strlen(name);
    if (!n || n > SPAR__CHECKPOINT_NAME)
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: section with a name of %zu bytes", w->folder, n);
    if (name_is_taken(&w->table, name, n))
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: section '%s': given twice", w->folder, name);
    SPAR_TRY(end_section(w));
    w->about = (spar__checkpoint_entry){.name_length = n, .offset = spar__writer_offset(w->file)};
    w->entry = w->table.length;
    w->header.n_sections++;
    XXH3_64bits_reset(w->hash);
    SPAR_TRY(spar__buffer_add(&w->table, &w->about, sizeof w->about));
    return spar__buffer_add(&w->table, name, n);
}

spar_status spar__checkpoint_begin(spar__checkpoint_writer *w, const char *name) {
    return w->failed ? w->failed : keep_failure(w, begin(w, name));
}

spar_status spar__checkpoint_write(spar__checkpoint_writer *w, const void *bytes, size_t length) {
    if (w->failed) return w->failed;
    if (!w->header.n_sections)
        return keep_failure(
            w, spar__fail(SPAR_ERR_ARGUMENT, "%s: bytes before the first section", w->folder));
    if (length) XXH3_64bits_update(w->hash, bytes, length);
    w->about.length += length;
    return keep_failure(w, spar__writer_write(w->file, bytes, length));
}

spar_status spar__checkpoint_add(spar__checkpoint_writer *w, const char *name, const void *bytes,
                                 size_t length) {
    SPAR_TRY(spar__checkpoint_begin(w, name));
    return spar__checkpoint_write(w, bytes, length);
}

static spar_status finish(spar__checkpoint_writer *w) {
    spar__checkpoint_header *h = &w->header;
    SPAR_TRY(end_section(w));
    h->table_offset = spar__writer_offset(w->file);
    h->table_hash = XXH3_64bits(w->table.bytes, w->table.length);
    SPAR_TRY(spar__writer_write(w->file, w->table.bytes, w->table.length));
    h->file_length = spar__writer_offset(w->file);
    h->header_hash = XXH3_64bits(h, offsetof(spar__checkpoint_header, header_hash));
    SPAR_TRY(spar__writer_patch(w->file, 0, h, sizeof *h));
    spar__writer *file = w->file;
    w->file = NULL; /* the commit ends it in either case */
    return spar__writer_commit(file);
}

static void remove_one(const char *folder, uint64_t step) {
    char *path = spar__checkpoint_file(folder, step);
    if (path && unlink(path) && errno != ENOENT)
        spar__log(SPAR_LOG_WARNING, "%s: cannot remove: %s", path, strerror(errno));
    if (path && spar__write_observer) spar__write_observer("older removed");
    spar__free(path);
}

/* Checkpoints of later steps stay: the run went back beyond them and will replace them. */
static void remove_older(const char *folder, uint64_t newest, int keep) {
    uint64_t *steps;
    size_t n;
    int kept = 0;
    if (spar__checkpoint_list(folder, &steps, &n)) {
        spar__log(SPAR_LOG_WARNING, "older checkpoints stay: %s", spar_error());
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (steps[i] <= newest && ++kept > (keep < 1 ? 1 : keep)) remove_one(folder, steps[i]);
    spar__free(steps);
}

spar_status spar__checkpoint_commit(spar__checkpoint_writer *w, int keep) {
    spar_status status = w->failed ? w->failed : finish(w);
    if (!status) remove_older(w->folder, w->header.step, keep);
    spar__checkpoint_abandon(w);
    return status;
}
