/* Reports: several configurations trained on the same data with several seeds, side by side: what
 * they predict, what they read for a token, how fast they are.
 *
 *     spar_report_variant variants[2] = {{"dense", dense}, {"sparse", sparse}};
 *     spar_report_options options = SPAR_REPORT_OPTIONS_INIT;
 *     spar_report *report;
 *     options.data = data, options.folder = "runs/report";
 *     spar_report_create(variants, 2, &options, &report);
 *     spar_report_write(report, "report.html");
 *     spar_report_free(report); */
#ifndef SPAR_REPORT_H
#define SPAR_REPORT_H

#include "spar/data.h"
#include "spar/log.h"
#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_report_variant {
    const char *name; /* up to 63 bytes, each once */
    const spar_config *config;
} spar_report_variant;

typedef struct spar_report_options {
    const spar_data *data;
    const char *folder; /* where the runs are kept; made if need be */
    int64_t first_seed; /* seeds first_seed … first_seed + n_seeds − 1 */
    int64_t n_seeds;
    const char *title;             /* NULL = none */
    const spar_progress *progress; /* NULL is fine */
} spar_report_options;
#define SPAR_REPORT_OPTIONS_INIT                                                                   \
    { .first_seed = 1, .n_seeds = 3 }

typedef struct spar_report spar_report;

/* Trains every variant with every seed, one after the other, each in a folder of its own below
 * options->folder, and measures how fast it decodes. A run that is there already is taken as it is, one
 * that was interrupted goes on from its last checkpoint; a changed configuration or other data make
 * another folder. Errors: as of spar_train, with the variant's name before the message; ARGUMENT for
 * names that are missing or equal, and for no variants or seeds. Uses the library's threads. */
spar_status spar_report_create(const spar_report_variant *variants, size_t n_variants,
                               const spar_report_options *options, spar_report **out);
void spar_report_free(spar_report *report); /* NULL is fine */

/* Writes a .html page that stands alone, the numbers as .json, or the main picture (loss against bytes
 * read for a token) as .png or .svg; ARGUMENT for another ending. The file appears whole. */
spar_status spar_report_write(const spar_report *report, const char *path);
/* The numbers as JSON text; the caller frees it with spar_free. */
spar_status spar_report_json(const spar_report *report, char **text);

#ifdef __cplusplus
}
#endif
#endif
