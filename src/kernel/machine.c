#include "kernel/kernel.h"
#include "spar/machine.h"

spar_status spar_machine_isa(const char **name) {
    SPAR_TRY(spar__kernels_choose());
    *name = spar__k()->isa;
    return SPAR_OK;
}
