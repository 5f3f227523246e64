#!/usr/bin/env python3
"""How fast is training beside PyTorch, and how much memory does it take?

    bench/train.py [7m] [124m] [--rounds 5] [--steps 3] [--torch 'f32 fused'] [--all]

Full steps (forward, backward, clipping, AdamW) of the same GPT: 7.4M parameters in batches of
16 × 256 tokens, and GPT-2 with 124M in batches of 4 × 64. The best of each counts: of f32 and bf16,
and for PyTorch of plain and fused attention; bf16 is left out on processors without instructions for
it, where it takes many times as long (--all measures it all the same). --torch and --precision say
what the best is."""
import argparse
import json
import os
import statistics

from common import ROOT, Torch, alternate, flags, save, say, spar

SHAPES = {"7m": ("bench/gpt-7m.json", 16, 256), "124m": ("configs/gpt2.json", 4, 64)}


def precisions(every):
    return ["f32", "bf16"] if every or flags() & {"avx512_bf16", "amx_bf16", "bf16"} else ["f32"]


def best_of_torch(config, every):
    """PyTorch's fastest way to train this model, and the seconds of each."""
    seconds = {}
    for precision in precisions(every):
        for attention in ["fused", "plain"]:
            torch = Torch()
            steps = torch.ask(do="train", config=config, precision=precision, attention=attention,
                              steps=3)
            seconds[precision, attention] = statistics.median(steps)
            torch.close()
    return min(seconds, key=seconds.get), {" ".join(k): v for k, v in seconds.items()}


def measure(name, o):
    path, batch, length = SHAPES[name]
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        config = json.load(f)
    config["train"].update(batch=batch, length=length)
    best, variants = (o.torch.split(), {}) if o.torch else best_of_torch(config, o.all)
    say(f"{name}: PyTorch's best is {' '.join(best)}")
    peaks = []

    def train(precision):
        return spar("bench", "train", path, "--set", f"train.batch={batch}", "--set",
                    f"train.length={length}", "--set", f"train.precision={precision}", "--repeats",
                    str(o.steps))

    def speed(precision):
        return train(precision)["tokens_per_second"]

    precision = o.precision or max(precisions(False), key=speed)
    say(f"{name}: Spar's best is {precision}")

    def ours():
        r = train(precision)
        peaks.append(r["peak_bytes"])
        return r["tokens_per_second"]

    torch = Torch()

    def theirs():
        seconds = torch.ask(do="train", config=config, precision=best[0], attention=best[1],
                            steps=o.steps)
        return batch * length / statistics.median(seconds)

    (a, b), values = alternate(o.rounds, ours, theirs)
    peak = torch.ask(do="peak")
    torch.close()
    save(f"train-{name}", {"tokens/s, to PyTorch's": a / b, "memory, PyTorch's to ours": peak / max(peaks)},
         spar_tokens_per_second=a, torch_tokens_per_second=b, runs=values, torch_best=" ".join(best), spar_best=precision,
         torch_seconds=variants, spar_peak_bytes=max(peaks), torch_peak_bytes=peak)


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("shapes", nargs="*", choices=list(SHAPES))
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--steps", type=int, default=3)
    a.add_argument("--torch")
    a.add_argument("--precision", choices=["f32", "bf16"])
    a.add_argument("--all", action="store_true")
    o = a.parse_args()
    for name in o.shapes or SHAPES:
        measure(name, o)


if __name__ == "__main__":
    main()
