/* All of Spar, and a tour of it. Every function that can fail returns a spar_status and leaves a
 * message in spar_error(); the library never prints, exits or aborts.
 *
 * Text → tokens                     spar/tokenizer.h   spar_tokenizer_open, _encode, _train
 * Text → packed data → batches      spar/data.h        spar_corpus_open, spar_data_pack
 * A model: configuration, weights   spar/model.h       spar_config_open, spar_model_open, _logits
 * Which keys a query sees           spar/pattern.h     spar_pattern_register
 * Training                          spar/train.h       spar_train
 * What a training run measured      spar/metrics.h, spar/plot.h
 * Variants side by side             spar/report.h      spar_report_create
 * How well a model predicts         spar/eval.h        spar_eval_text
 * Where heads look, what is near    spar/look.h      spar_attention_find, spar_embedding_near
 * Writing: caches and sampling      spar/session.h     spar_session_create, spar_generate
 * The machine, threads, version     spar/machine.h     spar_machine_bandwidth
 * Errors, messages, progress        spar/status.h, spar/log.h
 *
 *     spar_model *model;
 *     if (spar_model_open("model.gguf", &model)) return puts(spar_error());
 *     spar_evaluation result;
 *     spar_eval_text(model, text, strlen(text), NULL, &result);
 *     printf("perplexity %.2f\n", result.perplexity);
 *     spar_model_free(model);
 *
 * Threads: models, tokenizers and packed data do not change once made and are shared freely;
 * sessions, samplers and corpora belong to one thread at a time. Memory that a function gives away
 * is freed by spar_free or the function that its description names. examples/ has whole programs. */
#ifndef SPAR_H
#define SPAR_H

#include "spar/chat.h"
#include "spar/data.h"
#include "spar/eval.h"
#include "spar/file.h"
#include "spar/log.h"
#include "spar/look.h"
#include "spar/machine.h"
#include "spar/memory.h"
#include "spar/metrics.h"
#include "spar/model.h"
#include "spar/quantize.h"
#include "spar/pattern.h"
#include "spar/plot.h"
#include "spar/report.h"
#include "spar/session.h"
#include "spar/status.h"
#include "spar/text.h"
#include "spar/tokenizer.h"
#include "spar/train.h"

#endif
