/* What every file of kernel/isa shares. Each is compiled once for each instruction set with
 * SPAR_ISA naming it, has static functions, and exports one that puts them into a table. */
#ifndef SPAR_KERNEL_ISA_ISA_H
#define SPAR_KERNEL_ISA_ISA_H

#include "kernel/attention.h"
#include "kernel/kernel.h"

#define SPAR__JOIN_(name, isa) spar__##name##_##isa
#define SPAR__JOIN(name, isa)  SPAR__JOIN_(name, isa)
#define SPAR__FN(name)         SPAR__JOIN(name, SPAR_ISA) /* spar__name_avx2 */
#define SPAR__TEXT_(text)      #text
#define SPAR__TEXT(text)       SPAR__TEXT_(text)

void SPAR__FN(fill_vector)(spar__kernels *k);
void SPAR__FN(fill_activation)(spar__kernels *k);
void SPAR__FN(fill_norm)(spar__kernels *k);
void SPAR__FN(fill_softmax)(spar__kernels *k);
void SPAR__FN(fill_rotary)(spar__kernels *k);
void SPAR__FN(fill_rows)(spar__kernels *k);
void SPAR__FN(fill_thin)(spar__kernels *k);
void SPAR__FN(fill_gather)(spar__kernels *k);
void SPAR__FN(fill_pack)(spar__kernels *k);
#define TYPE(NAME, name, block, bytes)
#define BLOCK_TYPE(NAME, name, block, bytes) void SPAR__FN(fill_##name)(spar__kernels *k);
#include "tensor/type.def"
#undef TYPE
#undef BLOCK_TYPE
void SPAR__FN(fill_optimiser)(spar__kernels *k);
void SPAR__FN(fill_attention)(spar__kernels *k);
void SPAR__FN(fill_product)(spar__kernels *k);
void SPAR__FN(fill_short)(spar__kernels *k);
size_t SPAR__FN(attention_workspace)(int64_t head_dim, int64_t value_dim, bool backward);
void SPAR__FN(fill)(spar__kernels *k); /* all of them: table.c */

#endif
