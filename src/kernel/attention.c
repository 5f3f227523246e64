#include "kernel/attention.h"

/* The layout is the same for all instruction sets: blocks of 64 keys, widths padded to 16. */
size_t spar__attention_workspace_scalar(int64_t head_dim, int64_t value_dim, bool backward);

size_t spar__attention_workspace(int64_t head_dim, int64_t value_dim, bool backward) {
    return spar__attention_workspace_scalar(head_dim, value_dim, backward);
}
