/* The table of this instruction set. */
#include "kernel/isa/isa.h"

void SPAR__FN(fill)(spar__kernels *k) {
    k->isa = SPAR__TEXT(SPAR_ISA);
    SPAR__FN(fill_vector)(k);
    SPAR__FN(fill_activation)(k);
    SPAR__FN(fill_norm)(k);
    SPAR__FN(fill_softmax)(k);
    SPAR__FN(fill_rotary)(k);
    SPAR__FN(fill_rows)(k);
    SPAR__FN(fill_thin)(k);
    SPAR__FN(fill_gather)(k);
    SPAR__FN(fill_pack)(k);
#define TYPE(NAME, name, block, bytes)
#define BLOCK_TYPE(NAME, name, block, bytes) SPAR__FN(fill_##name)(k);
#include "tensor/type.def"
#undef TYPE
#undef BLOCK_TYPE
    SPAR__FN(fill_optimiser)(k);
    SPAR__FN(fill_attention)(k);
    SPAR__FN(fill_product)(k);
    SPAR__FN(fill_short)(k);
}
