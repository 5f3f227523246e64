#!/usr/bin/env python3
"""What sessions, drafts and batches bring, each as a ratio of Spar with Spar:

    bench/sessions.py [--rounds 5] [--model trained.gguf --text FILE] [--parts context,lookup,batch]

context: time of a token after 16,384 others against after 256, in a model whose layers all are banded (k = 256);
lookup: drafts from the text itself against none, at temperature 0, on text that repeats (--text, continued by --model:
a model trained on such text; without them a model of random weights goes on with a repeating prompt, which says so);
batch: tokens/s of 8 sequences together against one, dense, q8_0."""
import argparse
import os
import tempfile

from common import alternate, save, say, spar

BANDED = {"model.context": 16500, "model.attention.pattern": '{"kind": "band", "width": 256}'}


def settings(values):
    return [x for key, value in values.items() for x in ("--set", f"{key}={value}")]


def context(rounds):
    def seconds(n):
        return 1 / spar("bench", "decode", "configs/demo.json", *settings(BANDED), "--context", str(n), "--tokens", "64",
                        "--repeats", "3")["tokens_per_second"]

    medians, values = alternate(rounds, lambda: seconds(256), lambda: seconds(16384))
    return "token after 256 / after 16,384, all layers banded", medians[0] / medians[1], values


def batch(rounds, folder):
    model = os.path.join(folder, "dense.gguf")
    config = os.path.join(folder, "dense.json")
    with open(config, "w", encoding="utf-8") as f:
        f.write('{"model": {"vocab_size": 32000, "context": 512, "d_model": 2048, "n_layers": 4, "position": "rotary", '
                '"norm": {"kind": "rms"}, "attention": {"n_heads": 32, "n_kv_heads": 4}, '
                '"feedforward": {"kind": "gated", "d_ff": 5632}}}')
    spar("init", config, "--output", model, "--type", "q8_0")

    def rate(n):
        return spar("bench", "batch", model, "--sequences", str(n), "--tokens", "8", "--repeats",
                    "3")["tokens_per_second"]

    medians, values = alternate(rounds, lambda: rate(8), lambda: rate(1))
    return "8 sequences / one, dense q8_0", medians[0] / medians[1], values


def lookup(rounds, folder, model, text):
    name = "look-up / none, trained model"
    ask = ["--prompt", text] if model else ["--tokens", ",".join(str(i % 40 + 1) for i in range(200))]
    if not model:
        name = "look-up / none, random weights, repeating prompt"
        model = os.path.join(folder, "random.gguf")
        spar("init", "configs/demo.json", "--output", model, "--type", "q8_0", "--set", "model.context=1024",
             "--set", "model.d_model=1024", "--set", "model.attention.n_heads=16", "--set", "model.feedforward.d_ff=4096")

    def rate(*more):
        r = spar("generate", "--model", model, *ask, "--temperature", "0", "--max-tokens", "128", "--ignore-eos", *more)
        if r["drafted"]:
            say(f"  {r['accepted']} of {r['drafted']} drafts were right")
        return r["decode_tokens_per_second"]

    medians, values = alternate(rounds, lambda: rate("--lookup"), rate)
    return name, medians[0] / medians[1], values


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--model")
    a.add_argument("--text")
    a.add_argument("--parts", default="context,lookup,batch")
    o = a.parse_args()
    text = open(o.text, encoding="utf-8").read() if o.text else None
    ratios, runs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for part in o.parts.split(","):
            say(part)
            run = {"context": lambda: context(o.rounds), "batch": lambda: batch(o.rounds, folder),
                   "lookup": lambda: lookup(o.rounds, folder, o.model if text else None, text)}[part]
            name, ratio, values = run()
            ratios[name], runs[part] = ratio, values
    save("sessions", ratios, runs=runs)


if __name__ == "__main__":
    main()
