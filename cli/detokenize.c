/* spar detokenize: token ids to text. */
#include <stdio.h>

#include "cli.h"
#include "spar/tokenizer.h"

static int run(const char *path, const char *list) {
    spar_tokenizer *t;
    int32_t *ids = NULL;
    size_t count, length;
    char *text = NULL;
    spar_status status = spar_tokenizer_open(path, &t);
    if (status) return cli_report(status);
    status = cli_ids(list, &ids, &count);
    if (!status) status = spar_tokenizer_decode(t, ids, count, &text, &length);
    int code = cli_report(status);
    if (!code && cli.json)
        code = cli_print_json(json_pack("{s:o}", "text", json_stringn(text, length)));
    else if (!code && (fwrite(text, 1, length, stdout) != length || putchar('\n') < 0))
        code = cli_fail("standard output: cannot write");
    spar_free(text);
    spar_free(ids);
    spar_tokenizer_free(t);
    return code;
}

int cmd_detokenize(int argc, char **argv) {
    const char *tokenizer = NULL, *model = NULL, *ids = NULL;
    const cli_option options[] = {
        {"tokenizer", CLI_TEXT, &tokenizer, "T", "tokenizer.json, vocab.json, folder or .gguf",
         false},
        {"model", CLI_TEXT, &model, "M", "the tokenizer of a model", false},
        {"ids", CLI_TEXT, &ids, "1,2,3", "the token ids", true},
        {0},
    };
    const cli_usage usage = {"detokenize", "Turns token ids into text.", options,
                             "spar detokenize --model model.gguf --ids 464,3290"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!tokenizer == !model)
        return cli_misuse("detokenize: expected one of --tokenizer and --model");
    return run(tokenizer ? tokenizer : model, ids);
}
