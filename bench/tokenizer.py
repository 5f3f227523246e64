#!/usr/bin/env python3
"""Tokenizers beside tiktoken, Hugging Face's tokenizers and SentencePiece: encoding, training.

    bench/tokenizer.py TEXT [TOKENIZER…] [--valid TEXT] [--rounds 7] [--vocab-size 8000]

A TOKENIZER is a tokenizer.json (its peers: tokenizers, and for byte-level BPE tiktoken) or a
SentencePiece .model (its peer: sentencepiece). TEXT is encoded on one thread, whole and line by
line; each round runs every implementation once, in turn, and the figures are medians of processor
time. Then bpe, unigram and wordpiece are trained on TEXT by Spar and by its peer (wall-clock time,
all threads, in turn) and compared by bytes per token of --valid (TEXT unless given), <unk> counted
apart. Ratios are Spar's figure over the peer's, larger is better. Exits 1 when ids are not all equal.
The peers are PyPI packages; those that are missing are left out.
"""
import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import common

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def missing(module):
    try:
        __import__(module)
        return False
    except ImportError:
        common.say(f"{module} is not installed: left out")
        return True


PLAIN = 2  # special tokens in the text are ordinary text (include/spar/tokenizer.h)


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
        lib.spar_tokenizer_unk.argtypes = [ctypes.c_void_p]
        self.handle = ctypes.c_void_p()
        if lib.spar_tokenizer_open(tokenizer.encode(), ctypes.byref(self.handle)):
            sys.exit(lib.spar_error().decode())

    def encode(self, text, as_list=True, flags=0):
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        if self.lib.spar_tokenizer_encode(self.handle, text, len(text), flags, ctypes.byref(ids),
                                          ctypes.byref(count)):
            sys.exit(self.lib.spar_error().decode())
        result = ids[:count.value] if as_list else None
        self.lib.spar_free(ids)
        return result

    def unknown(self):
        return self.lib.spar_tokenizer_unk(self.handle)


def byte_of_character():
    """How byte-level vocabularies spell bytes (GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(b): b for b in shown}
    for n, b in enumerate(b for b in range(256) if b not in shown):
        table[chr(256 + n)] = b
    return table


def make_tiktoken(description):
    """tiktoken with the ranks of a byte-level BPE whose ids rise with the ranks; else None."""
    part = description["pre_tokenizer"] or {}
    stages = part.get("pretokenizers", [part])
    if description["model"]["type"] != "BPE" or stages[-1].get("type") != "ByteLevel" or \
            description["normalizer"] or missing("tiktoken"):
        return None
    import tiktoken
    table, added = byte_of_character(), {t["content"]: t["id"] for t in description["added_tokens"]}
    ranks = {bytes(table[c] for c in token): id
             for token, id in description["model"]["vocab"].items() if token not in added}
    expression = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    if stages[0].get("type") == "Split":
        expression = stages[0]["pattern"]["Regex"]
    return tiktoken.Encoding("bench", pat_str=expression, mergeable_ranks=ranks,
                             special_tokens=added)


def encoders(path):
    """The peers for a tokenizer: name → function of text to ids."""
    if path.endswith(".model"):
        if missing("sentencepiece"):
            return {}
        import sentencepiece
        processor = sentencepiece.SentencePieceProcessor(model_file=path)
        return {"sentencepiece": processor.encode}
    found = {}
    tik = make_tiktoken(json.load(open(path, encoding="utf-8")))
    if tik:
        found["tiktoken"] = tik.encode_ordinary
    if not missing("tokenizers"):
        import tokenizers
        hf = tokenizers.Tokenizer.from_file(path)
        found["tokenizers"] = lambda text: hf.encode(text, add_special_tokens=False).ids
    return found


def encoding(o, path, parts):
    """`parts`: the text whole, or its lines."""
    spar, raw = Spar(o.library, path), [p.encode() for p in parts]
    programs = {"spar": lambda: [spar.encode(p, False) for p in raw]}
    ids = {"spar": [spar.encode(p) for p in raw]}
    for name, encode in encoders(path).items():
        programs[name] = lambda encode=encode: [encode(p) for p in parts]
        ids[name] = [encode(p) for p in parts]
    seconds = {name: [] for name in programs}
    for _ in range(o.rounds):
        for name, run in programs.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    size = sum(map(len, raw))
    speed = {name: size / statistics.median(s) / 1e6 for name, s in seconds.items()}
    return {"mb_per_second": speed, "ids_equal": all(i == ids["spar"] for i in ids.values()),
            "bytes": size, "tokens": sum(map(len, ids["spar"]))}


def train_hf_bpe(o, output):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train([o.text], trainers.BpeTrainer(
        vocab_size=o.vocab_size, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.save(output)


def train_hf_wordpiece(o, output):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=False)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train([o.text], trainers.WordPieceTrainer(
        vocab_size=o.vocab_size, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.save(output)


def train_spm_unigram(o, output):
    import sentencepiece
    sentencepiece.SentencePieceTrainer.train(
        input=o.text, model_prefix=output.removesuffix(".model"), model_type="unigram",
        vocab_size=o.vocab_size, byte_fallback=True, max_sentence_length=16384, minloglevel=2,
        hard_vocab_limit=False, num_threads=len(os.sched_getaffinity(0)))


# kind: the peer's module, its training, the name of its file, further options of ours
TRAINING = {
    "bpe": ("tokenizers", train_hf_bpe, "peer.json", []),
    "unigram": ("sentencepiece", train_spm_unigram, "peer.model",
                ["--byte-fallback", "--character-coverage", "0.9995"]),
    "wordpiece": ("tokenizers", train_hf_wordpiece, "peer.json", []),
}


def density(o, tokenizer):
    """Bytes per token of the validation text, by lines, and how many tokens are unknown. A literal
    <unk>, of which WikiText is full, is one token to some models and five to others: it goes."""
    spar = Spar(o.library, tokenizer)
    text = open(o.valid or o.text, encoding="utf-8").read().replace("<unk>", "")
    lines = [line.encode() for line in text.split("\n")]
    ids = [i for line in lines for i in spar.encode(line, flags=PLAIN)]
    unknown = spar.unknown()
    return sum(map(len, lines)) / len(ids), sum(i == unknown for i in ids)


def training(o, kind):
    module, peer, name, options = TRAINING[kind]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = os.path.join(folder, "spar.json"), os.path.join(folder, name)

        def run(program, output):
            began = time.perf_counter()
            program(o, output)
            return time.perf_counter() - began

        def spar(_, output):
            subprocess.run([common.SPAR, "tokenizer", "train", "--kind", kind, "--vocab-size",
                            str(o.vocab_size), "--output", output, "--quiet", *options, o.text],
                           check=True, capture_output=True)
        programs = [lambda: run(spar, ours)]
        if not missing(module):
            os.environ["TOKENIZERS_PARALLELISM"] = "true"
            programs.append(lambda: run(peer, theirs))
        seconds, _ = common.alternate(o.train_rounds, *programs)
        result = {"seconds": {"spar": seconds[0]}, "bytes_per_token": {}, "unknown": {}}
        result["bytes_per_token"]["spar"], result["unknown"]["spar"] = density(o, ours)
        if len(seconds) > 1:
            result["seconds"][module] = seconds[1]
            result["bytes_per_token"][module], result["unknown"][module] = density(o, theirs)
        return result


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("text")
    a.add_argument("tokenizer", nargs="*")
    a.add_argument("--valid")
    a.add_argument("--library", default=os.path.join(common.ROOT, "build", "libspar.so"))
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--train-rounds", type=int, default=3)
    a.add_argument("--train", nargs="*", default=list(TRAINING), choices=list(TRAINING))
    a.add_argument("--vocab-size", type=int, default=8000)
    o = a.parse_args()
    text = open(o.text, encoding="utf-8").read()
    ratios, encoded, trained = {}, {}, {}
    for path in o.tokenizer:
        name = os.path.basename(os.path.dirname(os.path.abspath(path)))
        if not os.path.basename(path).startswith("tokenizer."):
            name = os.path.basename(path)
        for way, parts in (("whole", [text]), ("lines", text.split("\n"))):
            found = encoded[f"{name} {way}"] = encoding(o, path, parts)
            speed = found["mb_per_second"]
            for peer in speed:
                if peer != "spar":
                    ratios[f"encode {name} {way} / {peer}"] = speed["spar"] / speed[peer]
    for kind in o.train:
        found = trained[kind] = training(o, kind)
        for peer in found["seconds"]:
            if peer != "spar":
                ratios[f"train {kind} speed / {peer}"] = (found["seconds"][peer] /
                                                          found["seconds"]["spar"])
                ratios[f"train {kind} bytes per token / {peer}"] = (
                    found["bytes_per_token"]["spar"] / found["bytes_per_token"][peer])
    common.save("tokenizer", ratios, encode=encoded, train=trained)
    return 0 if all(e["ids_equal"] for e in encoded.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
