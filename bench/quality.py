#!/usr/bin/env python3
"""What does each block type cost a trained model?

    bench/quality.py --data D --text F [--minutes 1] [--types q8_0,q4_k] [--folder runs/quality]

Trains two small models on packed data (spar data pack), dense and with gated sparse feed-forward layers,
or takes those that are in --folder; then quantises both to every type: perplexity of the text against f32
and the KL divergence, for the sparse one the share of equal choices of its controllers.
Prints the table as Markdown."""
import argparse
import json
import os
import subprocess

from common import ROOT, SPAR, save, say, spar

TYPES = ("f16 bf16 q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_xs iq4_nl q3_k q2_k").split()
SETTINGS = {"dense": ["--set", 'model.feedforward={"kind": "dense", "d_ff": 1024, "activation": "relu"}'],
            "sparse": ["--set", 'model.feedforward={"kind": "sparse", "d_ff": 1024, "block": 16}']}


def model_of(name, o):
    """A trained model, d_model 256 so that all block types fit its rows."""
    run = os.path.join(o.folder, name)
    path = os.path.join(run, "model.gguf")
    if not os.path.exists(path):
        say(f"training {name} for {o.minutes} minutes")
        spar("train", "configs/demo.json", "--data", o.data, "--output", run, "--set", "model.d_model=256",
             "--set", "train.steps=0", "--set", f"train.minutes={o.minutes}", *SETTINGS[name])
    return path


def choices(path, other, text):
    program = os.path.join(os.path.dirname(os.path.realpath(SPAR)), "bench", "choices")
    ids = spar("tokenize", "--model", path, "--file", text)["ids"][:256]
    r = subprocess.run([program, path, other, ",".join(map(str, ids))], capture_output=True, text=True,
                       check=True)
    return json.loads(r.stdout)["equal"]


def measure(name, path, o):
    rows = {"f32": None}
    for kind in o.types.split(","):
        out = os.path.join(o.folder, f"{name}-{kind}.gguf")
        made = spar("quantize", path, out, "--type", kind, "--eval", o.text)
        r = made["eval"]
        rows["f32"] = {"perplexity": r["perplexity_original"]}
        rows[kind] = {"perplexity": r["perplexity"], "worse": r["perplexity"] / r["perplexity_original"] - 1,
                      "kl": r["kl_divergence"], "bits": made["bits_per_weight"]}
        if name == "sparse":
            rows[kind]["equal choices"] = choices(path, out, o.text)
        os.remove(out)
        say(f"  {name} {kind}: " + ", ".join(f"{k} {v:.5g}" for k, v in rows[kind].items() if v is not None))
    return rows


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", required=True)
    a.add_argument("--text", required=True, help="what neither model has read")
    a.add_argument("--minutes", type=float, default=1)
    a.add_argument("--types", default=",".join(TYPES))
    a.add_argument("--folder", default=os.path.join(ROOT, "runs", "quality"))
    o = a.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    results = {name: measure(name, model_of(name, o), o) for name in SETTINGS}
    print("| type | bits | dense: perplexity | KL | sparse: perplexity | KL | equal choices |")
    print("|---|---|---|---|---|---|---|")
    for kind in ["f32", *o.types.split(",")]:
        cells = [kind, f"{results['dense'][kind].get('bits') or 32:.2f}"]
        for name in SETTINGS:
            r = results[name][kind]
            worse = f" ({100 * r['worse']:+.2f} %)" if "worse" in r else ""
            cells.append(f"{r['perplexity']:.3f}{worse}")
            cells.append(f"{r['kl']:.2g}" if r.get("kl") is not None else "")
        equal = results["sparse"][kind].get("equal choices")
        cells.append(f"{100 * equal:.1f} %" if equal is not None else "")
        print("| " + " | ".join(cells) + " |")
    save("quality", {f"{n}, {k}, perplexity of f32 to its": 1 / (1 + r["worse"])
                     for n, rows in results.items() for k, r in rows.items() if "worse" in r},
         results=results)


if __name__ == "__main__":
    main()
