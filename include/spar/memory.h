/* Memory that the library hands to its callers. */
#ifndef SPAR_MEMORY_H
#define SPAR_MEMORY_H

#ifdef __cplusplus
extern "C" {
#endif

/* Gives back what a function of the library returned with the words "the caller frees it with
 * spar_free". NULL is fine. Any thread. */
void spar_free(void *pointer);

#ifdef __cplusplus
}
#endif
#endif
