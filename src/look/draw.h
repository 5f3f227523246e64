/* Cairo's PNG output into a buffer. */
#ifndef SPAR_LOOK_DRAW_H
#define SPAR_LOOK_DRAW_H

#include <cairo.h>

#include "look/look.h"

cairo_status_t spar__look_collect(void *buffer, const unsigned char *bytes, unsigned length);

#endif
