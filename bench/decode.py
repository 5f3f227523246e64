#!/usr/bin/env python3
"""Does decoding read the weights at the speed of memory?

    bench/decode.py [--config configs/gpt2.json] [--rounds 5]

A model of 124M parameters in bf16 and in f32, token by token: bytes read for a token × tokens/s,
beside the bandwidth that the same process measures (as `spar doctor` does)."""
import argparse
import statistics

from common import alternate, save, say, spar


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--config", default="configs/gpt2.json")
    a.add_argument("--rounds", type=int, default=5)
    o = a.parse_args()
    types = ["bf16", "f32"]
    rates = {t: [] for t in types}

    def share(t):
        r = spar("bench", "decode", o.config, "--type", t, "--tokens", "64", "--repeats", "3")
        rates[t].append(r["tokens_per_second"])
        return r["memory_share"]

    say("share of the bandwidth: " + ", ".join(types))
    medians, values = alternate(o.rounds, *[lambda t=t: share(t) for t in types])
    save("decode", {f"{t}, of the memory's bandwidth": m for t, m in zip(types, medians)},
         tokens_per_second={t: statistics.median(r) for t, r in rates.items()}, runs=values)


if __name__ == "__main__":
    main()
