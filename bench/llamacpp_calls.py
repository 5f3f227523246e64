#!/usr/bin/env python3
"""What llama.cpp computes with a GGUF file, by its C functions, which PyPI's xllamacpp exports: greedy tokens or an
embedding. llamacpp_calls.py FILE TASK JSON, in a process of its own, since a bad file may end it; TASK is decoder
({tokens, count}), seq2seq (and source) or encoder. Prints RESULT and a JSON list.
"""
import ctypes
import glob
import json
import math
import os
import sys

import xllamacpp


class Params(ctypes.Structure):
    """Larger than the structure is: by value it goes through memory, of which each side takes what it knows."""

    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 56)]


def library():
    lib = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("llama_model_default_params", Params, []),
        ("llama_context_default_params", Params, []),
        ("llama_model_load_from_file", pointer, [ctypes.c_char_p, Params]),
        ("llama_init_from_model", pointer, [pointer, Params]),
        ("llama_model_get_vocab", pointer, [pointer]),
        ("llama_vocab_n_tokens", number, [pointer]),
        ("llama_model_n_embd", number, [pointer]),
        ("llama_pooling_type", number, [pointer]),
        ("llama_set_embeddings", None, [pointer, ctypes.c_bool]),
        ("llama_batch_get_one", Batch, [ctypes.POINTER(number), number]),
        ("llama_encode", number, [pointer, Batch]),
        ("llama_decode", number, [pointer, Batch]),
        ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [pointer, number]),
        ("llama_get_embeddings_seq", ctypes.POINTER(ctypes.c_float), [pointer, number]),
        ("llama_get_embeddings_ith", ctypes.POINTER(ctypes.c_float), [pointer, number]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def run(lib, call, context, tokens):
    ids = (ctypes.c_int32 * len(tokens))(*tokens)
    if getattr(lib, call)(context, lib.llama_batch_get_one(ids, len(tokens))):
        raise RuntimeError(f"{call} failed")


def greedy(lib, model, context, tokens, count):
    size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    out, fed = [], tokens
    for _ in range(count):
        run(lib, "llama_decode", context, fed)
        logits = lib.llama_get_logits_ith(context, -1)
        fed = [max(range(size), key=lambda i: logits[i])]
        out += fed
    return out


def embedding(lib, model, context, tokens):
    lib.llama_set_embeddings(context, True)
    run(lib, "llama_encode", context, tokens)
    found = lib.llama_get_embeddings_seq(context, 0)
    values = [found[i] for i in range(lib.llama_model_n_embd(model))]
    if lib.llama_pooling_type(context) == 4:  # of a classifier: its scores
        return values
    length = math.sqrt(sum(x * x for x in values))
    return [x / length for x in values]


def main():
    path, task, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    lib = library()
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    context = lib.llama_init_from_model(model, lib.llama_context_default_params()) if model else None
    if not context:
        raise RuntimeError("the file cannot be loaded")
    if task == "encoder":
        result = embedding(lib, model, context, given["tokens"])
    else:
        if task == "seq2seq":
            run(lib, "llama_encode", context, given["source"])
        result = greedy(lib, model, context, given["tokens"], given["count"])
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    main()
