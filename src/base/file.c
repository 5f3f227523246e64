#include "base/file.h"
#include "spar/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void (*spar__write_observer)(const char *step);

static _Atomic size_t writes, fail_at;
static _Atomic bool fail_onward;

size_t spar__write_fail_at(size_t n, bool onward) {
    atomic_store(&fail_at, n);
    atomic_store(&fail_onward, onward);
    return atomic_exchange(&writes, 0);
}

static bool refused(void) {
    size_t count = atomic_fetch_add(&writes, 1) + 1, at = atomic_load(&fail_at);
    if (!at || count < at || (count > at && !atomic_load(&fail_onward))) return false;
    errno = ENOSPC;
    return true;
}

static void observe(const char *step) {
    if (spar__write_observer) spar__write_observer(step);
}

static spar_status io_error(const char *path, const char *what) {
    int why = errno;
    return spar__fail(why == ENOENT ? SPAR_ERR_NOT_FOUND : SPAR_ERR_IO, "%s: %s: %s", path, what,
                      strerror(why));
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer before it can be refused. */
static spar_status open_regular(const char *path, int *out, size_t *length) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return io_error(path, "cannot open");
    struct stat about;
    spar_status status = SPAR_OK;
    if (fstat(fd, &about)) status = io_error(path, "cannot examine");
    else if (S_ISDIR(about.st_mode)) status = spar__fail(SPAR_ERR_IO, "%s: is a folder", path);
    else if (!S_ISREG(about.st_mode))
        status = spar__fail(SPAR_ERR_IO, "%s: not a regular file", path);
    if (status) {
        close(fd);
        return status;
    }
    *out = fd;
    *length = (size_t)about.st_size;
    return SPAR_OK;
}

spar_status spar__map_open(const char *path, spar__map *out) {
    int fd;
    size_t length;
    SPAR_TRY(open_regular(path, &fd, &length));
    spar_status status = SPAR_OK;
    void *bytes = NULL;
    if (length) {
        bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) status = io_error(path, "cannot map");
    }
    close(fd);
    if (!status) *out = (spar__map){bytes, length};
    return status;
}

void spar__map_close(spar__map *map) {
    if (map->bytes) munmap((void *)map->bytes, map->length);
    *map = (spar__map){NULL, 0};
}

spar_status spar__read_file(const char *path, size_t maximum, char **bytes, size_t *length) {
    size_t size = 0, used = 0;
    int fd = STDIN_FILENO;
    bool standard = strcmp(path, "-") == 0;
    if (!standard) SPAR_TRY(open_regular(path, &fd, &size));
    spar_status status = SPAR_OK;
    char *all = NULL;
    if (size > maximum)
        SPAR_TRY_GOTO(done, spar__fail(SPAR_ERR_LIMIT, "%s: %zu bytes, at most %zu are read", path,
                                       size, maximum));
    size_t capacity = standard ? 65536 : size + 1;
    if (!(all = spar__resize(NULL, capacity, 1))) SPAR_TRY_GOTO(done, SPAR_ERR_MEMORY);
    for (;;) {
        if (used + 1 >= capacity && standard) {
            char *more = spar__resize(all, capacity * 2, 1);
            if (!more) SPAR_TRY_GOTO(done, SPAR_ERR_MEMORY);
            all = more;
            capacity *= 2;
        }
        if (used + 1 >= capacity) break;
        ssize_t n = read(fd, all + used, capacity - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) SPAR_TRY_GOTO(done, io_error(path, "cannot read"));
        if (n == 0) break;
        used += (size_t)n;
        if (used > maximum)
            SPAR_TRY_GOTO(done, spar__fail(SPAR_ERR_LIMIT, "%s: more than %zu bytes", path, maximum));
    }
    all[used] = 0;
    *bytes = all;
    *length = used;
done:
    if (status) spar__free(all);
    if (!standard) close(fd);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------ */

struct spar__writer {
    int fd;
    uint64_t offset; /* bytes handed in, buffered ones included */
    size_t buffered;
    char *path, *temporary;
    spar_status failed; /* the first failure; nothing is written after it */
    char buffer[1 << 16];
};

spar_status spar__writer_open(const char *path, spar__writer **out) {
    spar__writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    w->fd = -1;
    size_t room = strlen(path) + 32;
    w->path = spar__copy_string(path);
    w->temporary = spar__alloc(room);
    if (!w->path || !w->temporary) SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
    /* The process id keeps two writers of one path apart; a left-over of a killed one is reused. */
    snprintf(w->temporary, room, "%s.%ld.tmp", path, (long)getpid());
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) SPAR_TRY_GOTO(fail, io_error(path, "cannot create"));
    *out = w;
    return SPAR_OK;
fail:
    spar__writer_abandon(w);
    return status;
}

static spar_status write_all(spar__writer *w, const char *bytes, size_t length, off_t at) {
    while (length) {
        ssize_t n = refused() ? -1 : pwrite(w->fd, bytes, length, at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return w->failed = io_error(w->path, "cannot write");
        bytes += n;
        length -= (size_t)n;
        at += n;
    }
    return SPAR_OK;
}

static spar_status flush(spar__writer *w) {
    size_t n = w->buffered;
    w->buffered = 0;
    return n ? write_all(w, w->buffer, n, (off_t)(w->offset - n)) : SPAR_OK;
}

spar_status spar__writer_write(spar__writer *w, const void *bytes, size_t length) {
    if (w->failed) return w->failed;
    if (length > sizeof w->buffer - w->buffered) SPAR_TRY(flush(w));
    if (length >= sizeof w->buffer) {
        SPAR_TRY(write_all(w, bytes, length, (off_t)w->offset));
    } else if (length) {
        memcpy(w->buffer + w->buffered, bytes, length);
        w->buffered += length;
    }
    w->offset += length;
    return SPAR_OK;
}

spar_status spar__writer_patch(spar__writer *w, uint64_t offset, const void *bytes, size_t length) {
    if (w->failed) return w->failed;
    if (offset > w->offset || length > w->offset - offset)
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: patch beyond what was written", w->path);
    SPAR_TRY(flush(w));
    return write_all(w, bytes, length, (off_t)offset);
}

uint64_t spar__writer_offset(const spar__writer *w) { return w->offset; }

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return spar__copy_string(".");
    return slash == path ? spar__copy_string("/") : spar__copy_bytes(path, (size_t)(slash - path));
}

spar_status spar__writer_commit(spar__writer *w) {
    spar_status status = w->failed ? w->failed : flush(w);
    char *folder = NULL;
    if (!status && (refused() || fsync(w->fd))) status = io_error(w->path, "cannot sync");
    if (!status) observe("file synced");
    /* Some file systems report a full disk only here. */
    if (close(w->fd) && !status) status = io_error(w->path, "cannot close");
    w->fd = -1;
    if (!status && !(folder = folder_of(w->path))) status = SPAR_ERR_MEMORY;
    if (!status && (refused() || rename(w->temporary, w->path)))
        status = io_error(w->path, "cannot rename");
    if (!status) {
        w->temporary[0] = 0;
        observe("renamed");
        status = spar__sync_folder(folder);
    }
    spar__free(folder);
    spar__writer_abandon(w);
    return status;
}

void spar__writer_abandon(spar__writer *w) {
    if (!w) return;
    int why = errno;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary && w->temporary[0]) unlink(w->temporary);
    spar__free(w->temporary);
    spar__free(w->path);
    spar__free(w);
    errno = why;
}

spar_status spar__write_file(const char *path, const void *bytes, size_t length) {
    spar__writer *w;
    SPAR_TRY(spar__writer_open(path, &w));
    spar__writer_write(w, bytes, length); /* a failure is kept and returned by the commit */
    return spar__writer_commit(w);
}

spar_status spar__sync_folder(const char *folder) {
    int fd = refused() ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error(folder, "cannot open folder");
    /* Some file systems cannot sync a folder and say EINVAL; they order renames themselves. */
    int failed = fsync(fd) && errno != EINVAL;
    spar_status status = failed ? io_error(folder, "cannot sync folder") : SPAR_OK;
    close(fd);
    if (!status) observe("folder synced");
    return status;
}

spar_status spar__make_folder(const char *path) {
    char *copy = spar__copy_string(path);
    if (!copy) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    for (char *p = copy + 1; !status && *copy; p++) {
        char kept = *p;
        if (kept && kept != '/') continue;
        *p = 0;
        if (mkdir(copy, 0777) && errno != EEXIST) status = io_error(copy, "cannot make folder");
        *p = kept;
        if (!kept) break;
    }
    spar__free(copy);
    if (!status && !spar__folder_exists(path))
        status = spar__fail(SPAR_ERR_IO, "%s: exists and is not a folder", path);
    return status;
}

bool spar__file_exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

bool spar__folder_exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

char *spar__path_join(const char *folder, const char *name) {
    size_t n = strlen(folder), room = n + strlen(name) + 2;
    char *path = spar__alloc(room);
    if (path) snprintf(path, room, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return path;
}

/* ---- What spar/file.h shows ----------------------------------------------------------------- */

spar_status spar_file_read(const char *path, size_t maximum, char **bytes, size_t *length) {
    return spar__read_file(path, maximum, bytes, length);
}

spar_status spar_file_write(const char *path, const void *bytes, size_t length) {
    return spar__write_file(path, bytes, length);
}

spar_status spar_folder_make(const char *path) { return spar__make_folder(path); }
