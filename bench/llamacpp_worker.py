#!/usr/bin/env python3
"""llama.cpp for bench/llamacpp.py: requests and results are lines of JSON. Uses llama-cpp-python (PyPI;
compiled for this processor, so the faster one) where it is there, else xllamacpp (PyPI, prebuilt)."""
import json
import os
import sys
import time


class LlamaCppPython:
    def __init__(self, path, context, threads):
        import llama_cpp
        self.name = "llama-cpp-python " + llama_cpp.__version__
        self.model = llama_cpp.Llama(path, n_ctx=context, n_batch=512, n_threads=threads,
                                     n_threads_batch=threads, verbose=False)

    def run(self, prompt, decode):
        self.model.reset()
        begin = time.perf_counter()
        self.model.eval(prompt)
        middle = time.perf_counter()
        for i in range(decode):
            self.model.eval([500 + i])
        return middle - begin, time.perf_counter() - middle


class Xllamacpp:
    def __init__(self, path, context, threads):
        import xllamacpp
        self.name = "xllamacpp " + xllamacpp.__version__
        p = xllamacpp.CommonParams()
        p.model.path, p.n_ctx, p.n_parallel = path, context, 1
        p.warmup = False
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
        self.server, self.runs = xllamacpp.Server(p), 0

    def run(self, prompt, decode):
        self.runs += 1  # the first token differs, so that nothing is taken from the cache
        r = self.server.handle_completions(
            {"prompt": [self.runs % 200 + 3] + prompt[1:], "n_predict": max(decode, 1), "temperature": 0.0,
             "ignore_eos": True, "cache_prompt": False})
        t = (r if isinstance(r, dict) else json.loads(r))["timings"]
        return t["prompt_ms"] / 1e3, t["predicted_ms"] / 1e3


def engine():
    try:
        import llama_cpp  # noqa: F401
        return LlamaCppPython
    except ImportError:
        import xllamacpp  # noqa: F401
        return Xllamacpp


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the libraries print to standard output
    make, model = engine(), None
    for line in sys.stdin:
        q = json.loads(line)
        if q["do"] == "load":
            begin = time.perf_counter()
            model = make(q["model"], q["context"], q["threads"])
            if q.get("first"):  # until the first token is there
                model.run(q["prompt"], 0)
            answer = {"seconds": time.perf_counter() - begin, "engine": model.name}
        elif q["do"] == "ready":  # the library is loaded
            answer = {}
        else:
            p, d = model.run(q["prompt"], q["decode"])
            answer = {"prompt_seconds": p, "decode_seconds": d}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
