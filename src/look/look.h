/* What the files of this room share. */
#ifndef SPAR_LOOK_LOOK_H
#define SPAR_LOOK_LOOK_H

#include <jansson.h>

#include "base/buffer.h"
#include "spar/look.h"

/* Any bytes as UTF-8: what is none becomes \xNN, control characters too. */
spar_status spar__look_text(spar__buffer *out, const char *text);
/* Heads of the same stack, kind and layer are a row of the grids: true where `index` begins one. */
bool spar__look_new_row(const spar_attention *attention, size_t index);
/* "encoder 3", "decoder 0 cross". */
void spar__look_row_name(const spar_attention_head *head, char out[64]);

/* The content of an element of a page. */
spar_status spar__look_markup(spar__buffer *page, const char *text);
spar_status spar__look_page(const spar_attention *attention, const spar_attention_labels *labels,
                            spar__buffer *page);
spar_status spar__look_picture(const spar_attention *attention, const spar_attention_labels *labels,
                               const char *path, spar__buffer *out);

#endif
