#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

typedef enum { PLAIN, GZIP, ZSTD } kind;

struct spar__stream {
    char *path;
    int fd;
    bool owned, at_end; /* at_end: nothing more comes from the file */
    kind kind;
    bool inside; /* of a gzip member or zstd frame */
    z_stream gzip;
    bool gzip_started;
    ZSTD_DStream *zstd;
    uint64_t consumed;
    size_t start, length; /* of what is left in `raw` */
    unsigned char raw[1 << 17];
};

static spar_status refill(spar__stream *s) {
    memmove(s->raw, s->raw + s->start, s->length);
    s->start = 0;
    while (!s->at_end && s->length < sizeof s->raw) {
        ssize_t n = read(s->fd, s->raw + s->length, sizeof s->raw - s->length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return spar__fail(SPAR_ERR_IO, "%s: cannot read: %s", s->path, strerror(errno));
        if (n == 0) s->at_end = true;
        s->length += (size_t)n;
        s->consumed += (uint64_t)n;
    }
    return SPAR_OK;
}

static spar_status open_file(spar__stream *s) {
    /* O_NONBLOCK: opening a FIFO must not wait for its writer before it can be refused. */
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;
    if (s->fd < 0 || fstat(s->fd, &about)) {
        int why = errno;
        return spar__fail(why == ENOENT ? SPAR_ERR_NOT_FOUND : SPAR_ERR_IO, "%s: cannot open: %s",
                          s->path, strerror(why));
    }
    s->owned = true;
    if (!S_ISREG(about.st_mode)) return spar__fail(SPAR_ERR_IO, "%s: not a regular file", s->path);
    return SPAR_OK;
}

static spar_status detect(spar__stream *s) {
    SPAR_TRY(refill(s));
    static const unsigned char zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    if (s->length >= 3 && s->raw[0] == 0x1f && s->raw[1] == 0x8b && s->raw[2] == 8) {
        s->kind = GZIP;
        if (inflateInit2(&s->gzip, 15 + 16) != Z_OK)
            return spar__fail(SPAR_ERR_MEMORY, "%s: no memory to decompress", s->path);
        s->gzip_started = true;
    } else if (s->length >= 4 && !memcmp(s->raw, zstd_magic, 4)) {
        s->kind = ZSTD;
        if (!(s->zstd = ZSTD_createDStream()))
            return spar__fail(SPAR_ERR_MEMORY, "%s: no memory to decompress", s->path);
    }
    return SPAR_OK;
}

spar_status spar__stream_open(const char *path, int fd, spar__stream **out) {
    spar__stream *s = spar__alloc(sizeof *s);
    if (!s) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    s->fd = fd;
    if (!(s->path = spar__copy_string(path))) SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
    if (fd < 0) SPAR_TRY_GOTO(fail, open_file(s));
    SPAR_TRY_GOTO(fail, detect(s));
    *out = s;
    return SPAR_OK;
fail:
    spar__stream_close(s);
    return status;
}

void spar__stream_close(spar__stream *s) {
    if (!s) return;
    if (s->gzip_started) inflateEnd(&s->gzip);
    ZSTD_freeDStream(s->zstd);
    if (s->owned) close(s->fd);
    spar__free(s->path);
    spar__free(s);
}

uint64_t spar__stream_consumed(const spar__stream *s) {
    return s->consumed - s->length;
}

/* Each decoder takes from raw, writes at most `room` bytes to `to` and says how many. */
static spar_status step_gzip(spar__stream *s, unsigned char *to, size_t room, size_t *made) {
    if (!s->inside && inflateReset(&s->gzip) != Z_OK)
        return spar__fail(SPAR_ERR_FORMAT, "%s: malformed gzip", s->path);
    s->inside = true;
    unsigned limited = room > 1u << 30 ? 1u << 30 : (unsigned)room;
    s->gzip.next_in = s->raw + s->start;
    s->gzip.avail_in = (unsigned)s->length;
    s->gzip.next_out = to;
    s->gzip.avail_out = limited;
    int code = inflate(&s->gzip, Z_NO_FLUSH);
    s->start += s->length - s->gzip.avail_in;
    s->length = s->gzip.avail_in;
    *made = limited - s->gzip.avail_out;
    if (code == Z_STREAM_END)
        s->inside = false;
    else if (code == Z_MEM_ERROR)
        return spar__fail(SPAR_ERR_MEMORY, "%s: no memory to decompress", s->path);
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return spar__fail(SPAR_ERR_FORMAT, "%s: malformed gzip: %s", s->path,
                          s->gzip.msg ? s->gzip.msg : "bad data");
    return SPAR_OK;
}

static spar_status step_zstd(spar__stream *s, unsigned char *to, size_t room, size_t *made) {
    ZSTD_inBuffer in = {s->raw + s->start, s->length, 0};
    ZSTD_outBuffer into = {to, room, 0};
    size_t code = ZSTD_decompressStream(s->zstd, &into, &in);
    if (ZSTD_isError(code))
        return spar__fail(SPAR_ERR_FORMAT, "%s: malformed zstd: %s", s->path,
                          ZSTD_getErrorName(code));
    s->inside = code != 0;
    s->start += in.pos;
    s->length -= in.pos;
    *made = into.pos;
    return SPAR_OK;
}

static spar_status step_plain(spar__stream *s, unsigned char *to, size_t room, size_t *made) {
    *made = s->length < room ? s->length : room;
    memcpy(to, s->raw + s->start, *made);
    s->start += *made;
    s->length -= *made;
    return SPAR_OK;
}

spar_status spar__stream_read(spar__stream *s, void *bytes, size_t capacity, size_t *length) {
    size_t used = 0;
    while (used < capacity) {
        if (!s->length) SPAR_TRY(refill(s));
        if (!s->length && !s->inside) break;
        size_t before = s->length, made = 0;
        unsigned char *to = (unsigned char *)bytes + used;
        if (s->kind == GZIP)
            SPAR_TRY(step_gzip(s, to, capacity - used, &made));
        else if (s->kind == ZSTD)
            SPAR_TRY(step_zstd(s, to, capacity - used, &made));
        else
            SPAR_TRY(step_plain(s, to, capacity - used, &made));
        used += made;
        if (!made && s->length == before) {
            /* A decoder that neither takes nor gives wants bytes that the file does not have. */
            if (s->at_end)
                return spar__fail(SPAR_ERR_FORMAT, "%s: compressed data is cut off", s->path);
            SPAR_TRY(refill(s));
            if (s->length == before && !s->at_end)
                return spar__fail(SPAR_ERR_FORMAT, "%s: malformed compressed data", s->path);
        }
    }
    *length = used;
    return SPAR_OK;
}
