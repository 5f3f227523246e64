/* The version of the library, its threads, and what the machine can do. */
#ifndef SPAR_MACHINE_H
#define SPAR_MACHINE_H

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library that runs. */
const char *spar_version(void);

/* How many threads the library computes with: all cores that the process may use unless set; n < 1
 * sets that again. Results do not depend on it. For the whole process; set it while no other
 * thread uses the library. */
void spar_threads_set(int n);
int spar_threads(void);

#ifdef __cplusplus
}
#endif
#endif
