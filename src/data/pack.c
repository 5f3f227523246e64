/* Packing: pieces of a corpus are gathered, tokenised in parallel, and written in their order. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/log.h"
#include "data/data.h"
#include "spar/memory.h"
#include "spar/tokenizer.h"

enum {
    GATHER_BYTES = 8 << 20, /* of text tokenised at a time: what bounds the memory */
    GATHER_ITEMS = 1 << 15,
    EXPECTED_VALID = 20,       /* documents for validation, below which AUTO takes tails */
    SHARD_TOKENS = 128 << 20,  /* by default */
    SHARD_DOCUMENTS = 4 << 20, /* most in a shard: its table is in memory while it is written */
};

typedef struct item {
    size_t offset, length; /* in the gathered text */
    spar_data_split split;
    bool starts, ends; /* the split's part of the document */
    int32_t *ids;
    size_t count;
} item;

/* What is being written of one split. */
typedef struct output {
    spar__shard_writer writer;
    json_t *hashes;
    spar_data_counts counts;
    bool within, begun; /* a document is under way; it has tokens in some shard */
    uint64_t bytes;     /* of text that has given no token yet */
} output;

typedef struct packing {
    const spar_tokenizer *tokenizer;
    spar_corpus *corpus;
    const char *folder;
    spar_pack_options options;
    size_t vocab_size;
    int32_t eos;
    uint64_t tokenizer_hash;

    uint64_t *lengths; /* tail: bytes of every document */
    size_t n_lengths, capacity;
    size_t document;   /* number of the one being gathered */
    uint64_t position; /* bytes of it gathered so far */
    spar_data_split split;

    char *text;
    size_t used, text_capacity, n_items;
    item *items;
    output outputs[SPAR_DATA_SPLITS];
} packing;

/* ---- Which split -------------------------------------------------------------------------- */

static spar_status note_length(packing *p, uint64_t length) {
    if (p->n_lengths == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 256;
        uint64_t *grown = spar__resize(p->lengths, capacity, sizeof *grown);
        if (!grown) return SPAR_ERR_MEMORY;
        p->lengths = grown;
        p->capacity = capacity;
    }
    p->lengths[p->n_lengths++] = length;
    return SPAR_OK;
}

static spar_status report(const packing *p, const char *what) {
    uint64_t done, total;
    char text[64];
    spar_corpus_progress(p->corpus, &done, &total);
    uint64_t tokens = p->outputs[0].counts.tokens + p->outputs[1].counts.tokens;
    snprintf(text, sizeof text, "%.1f M tokens", (double)tokens * 1e-6);
    return spar__progress(p->options.progress, what, done, total, tokens ? text : "");
}

/* Reads the corpus once to learn how long its documents are: to cut their tails, or until there
 * are so many that whole documents will do. */
static spar_status measure(packing *p) {
    bool may_stop = p->options.split == SPAR_PACK_AUTO;
    double enough = EXPECTED_VALID / p->options.valid;
    SPAR_TRY(spar_corpus_keep(p->corpus));
    p->options.split = SPAR_PACK_TAIL;
    uint64_t length = 0, unreported = 0;
    for (;;) {
        spar_corpus_piece piece;
        spar_status status = spar_corpus_next(p->corpus, &piece);
        if (status == SPAR_ERR_NOT_FOUND) break;
        SPAR_TRY(status);
        length += piece.length;
        unreported += piece.length;
        if (unreported > GATHER_BYTES) {
            SPAR_TRY(report(p, "measuring"));
            unreported = 0;
        }
        if (!piece.ends) continue;
        SPAR_TRY(note_length(p, length));
        length = 0;
        if (may_stop && (double)p->n_lengths >= enough) {
            p->options.split = SPAR_PACK_DOCUMENT;
            break;
        }
    }
    return spar_corpus_rewind(p->corpus);
}

/* Splits a piece where its document's tail begins: `part` bytes go to training, and `last` says
 * that none of the following pieces' do. */
static spar_status cut_tail(const packing *p, const spar_corpus_piece *piece, size_t *part,
                            bool *last) {
    *part = 0;
    *last = true;
    if (p->document >= p->n_lengths)
        return spar__fail(SPAR_ERR_IO, "the corpus changed while it was read");
    uint64_t cut = (uint64_t)((1 - p->options.valid) * (double)p->lengths[p->document]);
    if (cut <= p->position) return SPAR_OK;
    uint64_t left = cut - p->position;
    size_t n = left < piece->length ? (size_t)left : piece->length;
    while (n < piece->length && (piece->text[n] & 0xc0) == 0x80) n++;
    *part = n;
    *last = n >= left;
    return SPAR_OK;
}

/* ---- Gathering and tokenising ------------------------------------------------------------- */

static void add_item(packing *p, size_t offset, size_t length, spar_data_split split, bool starts,
                     bool ends) {
    if (length) p->items[p->n_items++] = (item){offset, length, split, starts, ends, NULL, 0};
}

static spar_status gather(packing *p, const spar_corpus_piece *piece) {
    if (piece->length > p->text_capacity - p->used) {
        size_t capacity = p->used + piece->length;
        char *text = spar__resize(p->text, capacity, 1);
        if (!text) return SPAR_ERR_MEMORY;
        p->text = text;
        p->text_capacity = capacity;
    }
    if (piece->starts) p->position = 0;
    size_t at = p->used, n = piece->length;
    memcpy(p->text + at, piece->text, n);
    p->used += n;
    if (p->options.split == SPAR_PACK_TAIL) {
        size_t part;
        bool last, begun = !piece->starts && p->split == SPAR_DATA_VALID;
        SPAR_TRY(cut_tail(p, piece, &part, &last));
        add_item(p, at, part, SPAR_DATA_TRAIN, piece->starts, last || piece->ends);
        add_item(p, at + part, n - part, SPAR_DATA_VALID, !begun, piece->ends);
        p->split = part < n ? SPAR_DATA_VALID : SPAR_DATA_TRAIN;
    } else {
        if (piece->starts) {
            uint64_t hash = XXH3_64bits_withSeed(piece->text, n, p->options.seed);
            p->split = (double)(hash >> 11) * 0x1p-53 < p->options.valid ? SPAR_DATA_VALID
                                                                         : SPAR_DATA_TRAIN;
        }
        add_item(p, at, n, p->split, piece->starts, piece->ends);
    }
    p->position += n;
    p->document += piece->ends;
    return SPAR_OK;
}

/* The message of a failure belongs to the thread that met it: the first failing item's is taken
 * over to this one. */
static spar_status tokenize(packing *p) {
    spar_status status = SPAR_OK;
    char message[512] = "";
    size_t failed = p->n_items;
#pragma omp parallel for schedule(dynamic, 8) num_threads(spar__threads())
    for (size_t i = 0; i < p->n_items; i++) {
        item *it = &p->items[i];
        spar_status here = spar_tokenizer_encode(p->tokenizer, p->text + it->offset, it->length,
                                                 SPAR_TOKENIZE_PLAIN, &it->ids, &it->count);
        if (here) {
#pragma omp critical(spar_pack_failure)
            if (i < failed) {
                failed = i;
                status = here;
                snprintf(message, sizeof message, "%s", spar_error());
            }
        }
    }
    return status ? spar__fail(status, "%s", message) : SPAR_OK;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static spar_status end_shard(output *o) {
    if (!o->writer.file) return SPAR_OK;
    const spar__shard_header *h = &o->writer.header;
    uint64_t hash;
    o->counts.tokens += h->tokens;
    o->counts.documents += h->documents - (h->flags & SPAR__SHARD_CONTINUES);
    for (uint64_t i = 0; i < h->documents; i++) o->counts.bytes += o->writer.documents[i].bytes;
    o->counts.shards++;
    SPAR_TRY(spar__shard_end(&o->writer, &hash));
    char text[24];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    if (json_array_append_new(o->hashes, json_string(text)))
        return spar__fail(SPAR_ERR_MEMORY, "no memory for the list of shards");
    return SPAR_OK;
}

/* Shards have a name of their own until all are there: a failure leaves an older packing whole. */
static char *new_shard_path(const packing *p, spar_data_split split, size_t number) {
    char *path = spar__data_shard_path(p->folder, split, number), *longer = NULL;
    size_t room = path ? strlen(path) + sizeof ".new" : 0;
    if (path && (longer = spar__alloc(room))) snprintf(longer, room, "%s.new", path);
    spar__free(path);
    return longer;
}

static spar_status begin_shard(packing *p, spar_data_split split) {
    output *o = &p->outputs[split];
    if (o->counts.shards == SPAR__DATA_MAX_SHARDS)
        return spar__fail(SPAR_ERR_LIMIT, "%s: more than %d shards: raise their size", p->folder,
                          SPAR__DATA_MAX_SHARDS);
    char *path = new_shard_path(p, split, (size_t)o->counts.shards);
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = spar__shard_begin(&o->writer, path, p->vocab_size, o->begun);
    spar__free(path);
    return status;
}

/* Adds tokens to the document under way, over as many shards as they need. */
static spar_status put(packing *p, spar_data_split split, const int32_t *ids, size_t count) {
    output *o = &p->outputs[split];
    while (count) {
        const spar__shard_header *h = &o->writer.header;
        if (o->writer.file && (h->tokens >= p->options.shard_tokens ||
                               (!o->begun && h->documents >= SHARD_DOCUMENTS)))
            SPAR_TRY(end_shard(o));
        if (!o->writer.file) SPAR_TRY(begin_shard(p, split));
        if (!o->begun) SPAR_TRY(spar__shard_document_begin(&o->writer));
        o->begun = true;
        uint64_t room = p->options.shard_tokens - h->tokens;
        size_t n = count < room ? count : (size_t)room;
        uint64_t bytes = n == count ? o->bytes : (uint64_t)((double)o->bytes * n / count);
        SPAR_TRY(spar__shard_add(&o->writer, ids, n, bytes));
        o->bytes -= bytes;
        ids += n;
        count -= n;
    }
    return SPAR_OK;
}

static spar_status write_items(packing *p) {
    for (size_t i = 0; i < p->n_items; i++) {
        item *it = &p->items[i];
        output *o = &p->outputs[it->split];
        if (it->starts) {
            o->begun = false;
            o->bytes = 0;
        }
        o->bytes += it->length;
        SPAR_TRY(put(p, it->split, it->ids, it->count));
        if (it->ends && p->eos >= 0) SPAR_TRY(put(p, it->split, &p->eos, 1));
    }
    return SPAR_OK;
}

static void drop_items(packing *p) {
    for (size_t i = 0; i < p->n_items; i++) spar_free(p->items[i].ids);
    p->n_items = p->used = 0;
}

static spar_status flush(packing *p) {
    spar_status status = tokenize(p);
    if (!status) status = write_items(p);
    drop_items(p);
    return status ? status : report(p, "packing");
}

static spar_status pack_all(packing *p) {
    for (;;) {
        spar_corpus_piece piece;
        spar_status status = spar_corpus_next(p->corpus, &piece);
        if (status == SPAR_ERR_NOT_FOUND) break;
        SPAR_TRY(status);
        SPAR_TRY(gather(p, &piece));
        if (p->used >= GATHER_BYTES || p->n_items + 2 > GATHER_ITEMS) SPAR_TRY(flush(p));
    }
    SPAR_TRY(flush(p));
    for (int split = 0; split < SPAR_DATA_SPLITS; split++) SPAR_TRY(end_shard(&p->outputs[split]));
    if (!p->outputs[SPAR_DATA_TRAIN].counts.tokens)
        return spar__fail(SPAR_ERR_ARGUMENT, "the corpus has no text for training");
    return SPAR_OK;
}

/* ---- The folder's other files ------------------------------------------------------------- */

static spar_status save_tokenizer(packing *p) {
    char *path = spar__path_join(p->folder, SPAR__DATA_TOKENIZER ".new");
    if (!path) return SPAR_ERR_MEMORY;
    spar__map map;
    spar_status status = spar_tokenizer_save(p->tokenizer, path);
    if (!status) status = spar__map_open(path, &map);
    if (!status) {
        p->tokenizer_hash = XXH3_64bits(map.bytes, map.length);
        spar__map_close(&map);
    }
    spar__free(path);
    return status;
}

static json_t *describe(const output *o) {
    return json_pack("{s:I, s:I, s:I, s:O}", "tokens", (json_int_t)o->counts.tokens, "documents",
                     (json_int_t)o->counts.documents, "bytes", (json_int_t)o->counts.bytes,
                     "shards", o->hashes);
}

static spar_status write_index(const packing *p, const char *path) {
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)p->tokenizer_hash);
    bool tail = p->options.split == SPAR_PACK_TAIL;
    json_t *eos = p->eos < 0 ? json_null() : json_integer(p->eos);
    json_t *root = json_pack(
        "{s:s, s:i, s:I, s:o, s:s, s:I, s:{s:s, s:f, s:I}, s:o, s:o}", "format", "spar-data",
        "version", SPAR__DATA_VERSION, "vocab_size", (json_int_t)p->vocab_size, "eos", eos,
        "tokenizer_hash", hash, "documents", (json_int_t)p->document, "split", "by",
        tail ? "tail" : "document", "valid", p->options.valid, "seed", (json_int_t)p->options.seed,
        "train", describe(&p->outputs[SPAR_DATA_TRAIN]), "valid",
        describe(&p->outputs[SPAR_DATA_VALID]));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    spar_status status = text ? spar__write_file(path, text, strlen(text))
                              : spar__fail(SPAR_ERR_MEMORY, "%s: no memory to write it", path);
    free(text);
    json_decref(root);
    return status;
}

/* Renames a file from its new name, or removes it. */
static spar_status settle(char *from, char *to, bool keep) {
    spar_status status = from && to ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status && !keep) unlink(from);
    if (!status && keep && rename(from, to))
        status = spar__fail(SPAR_ERR_IO, "%s: cannot rename: %s", to, strerror(errno));
    spar__free(from);
    spar__free(to);
    return status;
}

/* The same for all files of the packing; the first failure is returned. */
static spar_status settle_all(const packing *p, bool keep) {
    spar_status status = settle(spar__path_join(p->folder, SPAR__DATA_TOKENIZER ".new"),
                                spar__path_join(p->folder, SPAR__DATA_TOKENIZER), keep);
    for (int split = 0; split < SPAR_DATA_SPLITS; split++) {
        for (size_t i = 0; i < p->outputs[split].counts.shards; i++) {
            spar_status here = settle(new_shard_path(p, split, i),
                                      spar__data_shard_path(p->folder, split, i), keep);
            if (!status) status = here;
        }
    }
    return status;
}

/* Shards of an earlier, larger packing; nothing reads them, so that a failure does not matter. */
static void remove_old_shards(const packing *p) {
    for (int split = 0; split < SPAR_DATA_SPLITS; split++) {
        bool removed = true;
        for (size_t i = (size_t)p->outputs[split].counts.shards; removed; i++) {
            char *path = spar__data_shard_path(p->folder, split, i);
            removed = path && unlink(path) == 0;
            spar__free(path);
        }
    }
}

static spar_status replace(const packing *p, const char *index) {
    if (spar__file_exists(index) && unlink(index))
        return spar__fail(SPAR_ERR_IO, "%s: cannot remove: %s", index, strerror(errno));
    SPAR_TRY(spar__sync_folder(p->folder));
    SPAR_TRY(settle_all(p, true));
    SPAR_TRY(write_index(p, index));
    remove_old_shards(p);
    return SPAR_OK;
}

static void describe_info(const packing *p, spar_data_info *info) {
    *info = (spar_data_info){.vocab_size = p->vocab_size,
                             .tokenizer_hash = p->tokenizer_hash,
                             .eos = p->eos,
                             .token_bytes = p->vocab_size <= 1 << 16 ? 2 : 4,
                             .documents = p->document};
    for (int i = 0; i < SPAR_DATA_SPLITS; i++) info->split[i] = p->outputs[i].counts;
}

static spar_status pack_folder(packing *p, const char *index) {
    SPAR_TRY(spar__make_folder(p->folder));
    spar_status status = save_tokenizer(p);
    if (!status && p->options.valid > 0 && p->options.split != SPAR_PACK_DOCUMENT)
        status = measure(p);
    if (!status) status = pack_all(p);
    if (!status) status = replace(p, index);
    if (status) {
        char message[512];
        snprintf(message, sizeof message, "%s", spar_error());
        (void)settle_all(p, false);
        return spar__fail(status, "%s", message);
    }
    if (p->options.valid > 0 && !p->outputs[SPAR_DATA_VALID].counts.tokens)
        spar__log(SPAR_LOG_WARNING, "%s: no document was chosen for validation", p->folder);
    return SPAR_OK;
}

static spar_status check(const spar_pack_options *o) {
    if (!(o->valid >= 0 && o->valid < 1))
        return spar__fail(SPAR_ERR_ARGUMENT, "valid: found %g, expected 0 to below 1", o->valid);
    if (o->seed > INT64_MAX) return spar__fail(SPAR_ERR_ARGUMENT, "seed: expected below 2^63");
    return SPAR_OK;
}

spar_status spar_data_pack(const spar_tokenizer *tokenizer, spar_corpus *corpus, const char *folder,
                           const spar_pack_options *options, spar_data_info *info) {
    SPAR_TRY(check(options));
    packing p = {.tokenizer = tokenizer, .corpus = corpus, .folder = folder, .options = *options};
    if (!p.options.shard_tokens) p.options.shard_tokens = SHARD_TOKENS;
    p.vocab_size = (size_t)spar_tokenizer_size(tokenizer);
    p.eos = options->no_eos ? -1 : spar_tokenizer_eos(tokenizer);
    char *index = spar__path_join(folder, SPAR__DATA_INDEX);
    p.items = spar__array(GATHER_ITEMS, sizeof *p.items);
    bool ready = index && p.items;
    for (int i = 0; i < SPAR_DATA_SPLITS; i++)
        ready = (p.outputs[i].hashes = json_array()) != NULL && ready;
    spar_status status = ready ? pack_folder(&p, index) : SPAR_ERR_MEMORY;
    if (!status && info) describe_info(&p, info);
    for (int i = 0; i < SPAR_DATA_SPLITS; i++) {
        spar__shard_writer_free(&p.outputs[i].writer);
        json_decref(p.outputs[i].hashes);
    }
    spar__free(index);
    spar__free(p.items);
    spar__free(p.text);
    spar__free(p.lengths);
    return status;
}
