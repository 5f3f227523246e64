#!/usr/bin/env python3
"""Does banded attention take time in proportion to the length, and is the dense one a fair measure?

    bench/attention.py [--longest 65536] [--rounds 5]

Attention alone, forward and backward, 2 heads of 64: a band of 256 keys from 4,096 tokens to the
longest; dense causal attention at the longest; and at 2,048 tokens beside PyTorch's fused one."""
import argparse
import statistics

from common import Torch, alternate, save, say, spar


def ours(length, pattern, repeats=1):
    r = spar("bench", "attention", "bench/attention.json", "--prompt", str(length), "--repeats",
             str(repeats), "--set", f"model.attention.pattern={pattern}")
    return length / r["tokens_per_second"]


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--longest", type=int, default=65536)
    a.add_argument("--rounds", type=int, default=5)
    o = a.parse_args()
    lengths = []
    n = 4096
    while n <= o.longest:
        lengths.append(n)
        n *= 2
    band = '{"kind": "band", "width": 256}'
    say("band of 256: " + ", ".join(map(str, lengths)))
    medians, _ = alternate(o.rounds, *[lambda n=n: ours(n, band, 3) for n in lengths])
    per_token = [s / n for s, n in zip(medians, lengths)]
    torch = Torch()
    say("dense, 2048: Spar, PyTorch")
    (dense, peer), values = alternate(
        o.rounds, lambda: ours(2048, '"causal"', 5),
        lambda: statistics.median(torch.ask(do="attention", length=2048, heads=2, head_dim=64, repeats=5)))
    torch.close()
    say(f"dense, {o.longest}")
    far = ours(o.longest, '"causal"')
    save("attention", {"dense to PyTorch's at 2048": peer / dense,
                       f"band to dense at {o.longest}": far / medians[-1],
                       "linear: cost of a token at 4096 to the highest": per_token[0] / max(per_token)},
         lengths=lengths, band_seconds=medians, dense_seconds={"2048": dense, str(o.longest): far},
         torch_seconds={"2048": peer}, runs=values)


if __name__ == "__main__":
    main()
