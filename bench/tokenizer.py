#!/usr/bin/env python3
"""Byte-level BPE beside tiktoken and Hugging Face's tokenizers: encoding on one thread, training.

    bench/tokenizer.py TOKENIZER.json TEXT [--library build/libspar.so] [--rounds 7] [--output F]

Each round runs every implementation once, in turn, on the same text; the figures are medians of
processor time on one thread (training: wall-clock time, all threads), so that other work on the
machine weighs little. Prints one JSON object; exits 1 when the ids are not all equal. Needs the
PyPI packages tiktoken and tokenizers (those that are missing are left out).
"""
import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"


class Spar:
    """The library through ctypes."""

    def __init__(self, path, tokenizer):
        lib = self.lib = ctypes.CDLL(path)
        lib.spar_tokenizer_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
        lib.spar_tokenizer_encode.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint,
            ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)), ctypes.POINTER(ctypes.c_size_t)]
        lib.spar_free.argtypes = [ctypes.c_void_p]
        lib.spar_error.restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p()
        if lib.spar_tokenizer_open(tokenizer.encode(), ctypes.byref(self.handle)):
            sys.exit(lib.spar_error().decode())

    def encode(self, text, as_list=True):
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        if self.lib.spar_tokenizer_encode(self.handle, text, len(text), 0, ctypes.byref(ids),
                                          ctypes.byref(count)):
            sys.exit(self.lib.spar_error().decode())
        result = ids[:count.value] if as_list else None
        self.lib.spar_free(ids)
        return result


def byte_of_character():
    """How byte-level vocabularies spell bytes (GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(b): b for b in shown}
    for n, b in enumerate(b for b in range(256) if b not in shown):
        table[chr(256 + n)] = b
    return table


def expression_of(description):
    part = description["pre_tokenizer"]
    if part["type"] == "Sequence":
        return part["pretokenizers"][0]["pattern"]["Regex"]
    return r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def make_tiktoken(description):
    import tiktoken
    table, added = byte_of_character(), {t["content"]: t["id"] for t in description["added_tokens"]}
    ranks = {bytes(table[c] for c in token): id
             for token, id in description["model"]["vocab"].items() if token not in added}
    return tiktoken.Encoding("bench", pat_str=expression_of(description), mergeable_ranks=ranks,
                             special_tokens=added)


def timed(call, clock):
    began = clock()
    call()
    return clock() - began


def encoding(o, description):
    text = open(o.text, encoding="utf-8").read()
    raw = text.encode()
    spar = Spar(o.library, o.tokenizer)
    runs, ids = {"spar": lambda: spar.encode(raw, False), "spar (list of ids)":
                 lambda: spar.encode(raw)}, {"spar": spar.encode(raw)}
    try:
        tik = make_tiktoken(description)
        runs["tiktoken"] = lambda: tik.encode_ordinary(text)
        ids["tiktoken"] = tik.encode_ordinary(text)
    except ImportError:
        pass
    try:
        import tokenizers
        hf = tokenizers.Tokenizer.from_file(o.tokenizer)
        runs["tokenizers"] = lambda: hf.encode(text, add_special_tokens=False)
        ids["tokenizers"] = hf.encode(text, add_special_tokens=False).ids
    except ImportError:
        pass
    seconds = {name: [] for name in runs}
    for _ in range(o.rounds):
        for name, run in runs.items():
            seconds[name].append(timed(run, time.process_time))
    speed = {name: len(raw) / statistics.median(s) / 1e6 for name, s in seconds.items()}
    return {"mb_per_second": speed, "ids_equal": all(i == ids["spar"] for i in ids.values()),
            "tokens": len(ids["spar"]), "bytes": len(raw),
            "ratio": {name: speed["spar"] / s for name, s in speed.items()
                      if not name.startswith("spar")}}


def training(o):
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "t.json")
        command = [o.spar, "tokenizer", "train", "--kind", "bpe", "--vocab-size", str(o.vocab_size),
                   "--output", output, "--quiet", "--json", o.text]
        seconds = {"spar": [timed(lambda: subprocess.run(command, check=True, capture_output=True),
                                  time.perf_counter) for _ in range(3)]}
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        result = {"vocab_size": found["vocab_size"], "bytes_per_token": {
            "spar": found["bytes_per_token"]}}
        try:
            import tokenizers
            from tokenizers import decoders, models, pre_tokenizers, trainers
            os.environ["TOKENIZERS_PARALLELISM"] = "true"

            def train():
                nonlocal hf
                hf = tokenizers.Tokenizer(models.BPE())
                hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
                hf.decoder = decoders.ByteLevel()
                hf.train([o.text], trainers.BpeTrainer(
                    vocab_size=o.vocab_size, special_tokens=["<|endoftext|>"], show_progress=False,
                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))

            hf = None
            seconds["tokenizers"] = [timed(train, time.perf_counter) for _ in range(3)]
            text = open(o.text, encoding="utf-8").read()
            result["bytes_per_token"]["tokenizers"] = len(text.encode()) / len(hf.encode(text).ids)
        except ImportError:
            pass
        result["seconds"] = {name: statistics.median(s) for name, s in seconds.items()}
        result["ratio"] = {name: s / result["seconds"]["spar"]
                           for name, s in result["seconds"].items() if name != "spar"}
        return result


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("tokenizer")
    a.add_argument("text")
    a.add_argument("--library", default="build/libspar.so")
    a.add_argument("--spar", default="build/spar")
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--vocab-size", type=int, default=8000)
    a.add_argument("--output")
    o = a.parse_args()
    o.library = os.path.abspath(o.library)
    description = json.load(open(o.tokenizer, encoding="utf-8"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    result = {"bench": "tokenizer", "cpu": processor(), "cores": os.cpu_count(), "threads": 1,
              "commit": commit.stdout.strip(), "encode": encoding(o, description),
              "train": training(o)}
    print(json.dumps(result))
    if o.output:
        with open(o.output, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    return 0 if result["encode"]["ids_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
