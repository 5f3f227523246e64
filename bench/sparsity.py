#!/usr/bin/env python3
"""What do sparse layers cost in quality, and what helps?

    bench/sparsity.py --data D [--folder runs/sparsity] [--seeds 3] [--jobs 2] [--only gated-16,dense] [--set KEY=VALUE]

Trains variants of one small decoder with `spar report` on packed data (spar data pack): dense, each sparse
layer, and what we found to help. All have the parameters of the dense one, within two percent: the width of
the feed-forward layers makes up for what a controller costs or a projection saves. ("dense-active" alone has
fewer: as many neurons as block 16 chooses.) Runs are kept in the folder and found again; --jobs of them go
side by side, a thread each. Decoding is timed at the end, when nothing else runs.
The page, its picture and its JSON lie in the folder; the table is printed as Markdown."""
import argparse
import concurrent.futures
import glob
import json
import os
import subprocess
import sys
import tempfile

from common import ROOT, SPAR, save, say, spar

BASE = {
    "model": {"architecture": "decoder", "vocab_size": 2048, "context": 128, "d_model": 128, "n_layers": 2,
              "residual": "pre-norm", "position": "rotary",
              "attention": {"n_heads": 4, "bias": False, "output_bias": False, "pattern": "causal"},
              "feedforward": {"kind": "dense", "d_ff": 512, "activation": "relu", "bias": False},
              "head": "tied"},
    "train": {"steps": 400, "batch": 8, "length": 128, "clip": 1.0,
              "eval_every": 200, "eval_batches": 64, "checkpoint_every": 0,
              "optimizer": {"kind": "adamw", "lr": 3e-3, "beta2": 0.98, "weight_decay": 0.1},
              "schedule": {"kind": "cosine", "warmup": 40, "min_ratio": 0.05}}}
RANK, ALWAYS, MODULES = 16, 32, 8


def dense(**other):
    return {"kind": "dense", "activation": "relu", "bias": False, **other}


def sparse(block, **other):
    return {"kind": "sparse", "block": block, "rank": RANK, **other}


def qkv(output):
    return {"projection": {"kind": "multiplicative-conv", "modules": MODULES, "length": 3, "output": output}}


def published(block):
    return sparse(block, mode="straight-through")


# name: (feed-forward without its width, other parts of the model)
VARIANTS = {
    "dense": (dense(), {}),
    "dense-active": (dense(), {}),
    **{f"published-{n}": (published(n), {}) for n in (4, 16, 64)},
    **{f"gated-{n}": (sparse(n), {}) for n in (4, 16, 64)},
    **{f"qkv-{o}": (dense(), qkv(o)) for o in ("none", "mult", "dense")},
    **{f"ff+qkv-{o}": (sparse(16), qkv(o)) for o in ("mult", "dense")},
    "ff+qkv+loss": (sparse(16), {**qkv("mult"), "head": {"kind": "sparse", "modules": 4}}),
    **{f"always-on-{n}": (sparse(n, shared=ALWAYS), {}) for n in (16, 64)},
    "conv": (dense(), {"projection": {"kind": "conv"}}),
    "conv+always-on-16": (sparse(16, shared=ALWAYS), {"projection": {"kind": "conv"}}),
}


def settings(feedforward, parts):
    return [f"model.{k}={json.dumps(v)}" for k, v in {**parts, "feedforward": feedforward}.items()]


def arguments(sets, name=""):
    return [x for s in sets for x in ("--set", f"{name}:{s}" if name else s)]


def parameters(base, sets):
    return spar("inspect", base, *arguments(sets))["parameters"]


def fit(base, common, feedforward, parts, target):
    """The width whose parameters come nearest to the target: they grow linearly with it."""
    step = max(8, feedforward.get("block", 1))
    few, more = (parameters(base, common + settings({**feedforward, "d_ff": w}, parts)) for w in (step, 2 * step))
    width = step * max(1, round(1 + (target - few) / (more - few)))
    return settings({**feedforward, "d_ff": width}, parts)


def variants_of(base, o):
    dense_width = BASE["model"]["feedforward"]["d_ff"]
    target = parameters(base, o.set + settings({**dense(), "d_ff": dense_width}, {}))
    out = {}
    for name in o.only.split(",") if o.only else VARIANTS:
        feedforward, parts = VARIANTS[name]
        if name == "dense-active":
            out[name] = settings({**dense(), "d_ff": dense_width // 16}, {})
        else:
            out[name] = fit(base, o.set, feedforward, parts, target)
    return out


def report(base, variants, o, output, runs, *more):
    sets = [x for name, s in variants.items() for x in arguments(s, name)]
    return spar("report", *(f"{name}={base}" for name in variants), *sets, *arguments(o.set), "--data", o.data,
                "--output", output, "--runs", runs, "--title", "Sparse layers at equal parameters", *more)


def train(base, variants, o, runs):
    """Every run by itself, first seeds first; the report then finds them."""
    def one(job):
        seed, name = job
        with tempfile.TemporaryDirectory() as scrap:
            r = report(base, {name: variants[name]}, o, os.path.join(scrap, "one.json"), runs, "--seeds", "1",
                       "--seed", str(seed), "--threads", "1")
        say(f"  {name}, seed {seed}: {r['variants'][0]['loss']['mean']:.4f}")

    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        list(pool.map(one, [(seed, name) for seed in range(1, o.seeds + 1) for name in variants]))


def forget_speeds(runs):
    """Of decoding: they were measured beside other runs."""
    for path in glob.glob(os.path.join(runs, "*", "seed-*", "report.json")):
        with open(path, encoding="utf-8") as f:
            run = json.load(f)
        run.pop("decode_tokens_per_second", None)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(run, f, indent=1)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", required=True)
    a.add_argument("--folder", default=os.path.join(ROOT, "runs", "sparsity"))
    a.add_argument("--seeds", type=int, default=3)
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--only", help="some of: " + ", ".join(VARIANTS))
    a.add_argument("--set", action="append", default=[], help="of all variants, as of spar report")
    a.add_argument("--train-only", action="store_true", help="no page: it can be made later, on an idle machine")
    o = a.parse_args()
    o.data, o.folder = os.path.abspath(o.data), os.path.abspath(o.folder)
    unknown = [n for n in o.only.split(",") if n not in VARIANTS] if o.only else []
    if unknown:
        sys.exit(f"--only: found {unknown[0]}, expected some of {', '.join(VARIANTS)}")
    os.makedirs(o.folder, exist_ok=True)
    base, runs = os.path.join(o.folder, "base.json"), os.path.join(o.folder, "runs")
    with open(base, "w", encoding="utf-8") as f:
        json.dump(BASE, f, indent=1)
    variants = variants_of(base, o)
    with open(os.path.join(o.folder, "variants.json"), "w", encoding="utf-8") as f:
        json.dump(variants, f, indent=1)
    train(base, variants, o, runs)
    if o.train_only:
        return
    forget_speeds(runs)
    rows = report(base, variants, o, os.path.join(o.folder, "report.html"), runs, "--seeds", str(o.seeds))["variants"]
    first = rows[0]["loss"]["mean"]
    print("| variant | loss | of the seeds | against the first | parameters | read for a token | decoded tokens/s |")
    print("|---|---|---|---|---|---|---|")
    for v in rows:
        seeds = ", ".join(f"{r['valid_loss']:.3f}" for r in v["runs"])
        print(f"| `{v['name']}` | {v['loss']['mean']:.3f} | {seeds} | {100 * (v['loss']['mean'] / first - 1):+.1f} % | "
              f"{v['parameters'] / 1e6:.3f}M | {v['bytes_per_token'] / 1e6:.2f} MB | "
              f"{v['decode_tokens_per_second']:,.0f} |")
    save("sparsity", {}, variants={v["name"]: {k: v[k] for k in ("loss", "parameters", "bytes_per_token")}
                                   for v in rows})


if __name__ == "__main__":
    main()
