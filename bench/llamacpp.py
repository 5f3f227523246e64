#!/usr/bin/env python3
"""How fast are prompts and decoding beside llama.cpp?

    bench/llamacpp.py [1.1b] [7b] [800m] [17b] [--types q8_0,q4_k] [--rounds 5] [--folder DIR] [--keep]

1.1b, 7b: random models of LLaMA's shape, one file for both programs, type by type: decoding, a prompt
of 512 tokens, and start to first token with the file in the page cache. 800m, 17b: llama.cpp's dense
model beside Spar's sparse ones of equal parameters in Q8_0; those of 17b do not fit into memory
together, so each is measured alone, one after the other. Files are written to --folder (runs/bench;
17b: 18 GB at a time) and deleted.

llama.cpp is PyPI's llama-cpp-python, or else xllamacpp, of the Python that SPAR_BENCH_PYTHON names."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import gguf
from common import FOLDER, PYTHON, ROOT, SPAR, save, say, spar

SHAPES = {
    "1.1b": dict(d_model=2048, layers=22, heads=32, kv_heads=4, d_ff=5632, vocab=32000, context=4096),
    "7b": dict(d_model=4096, layers=32, heads=32, kv_heads=32, d_ff=11008, vocab=32000, context=2048),
    # d_ff of a gated feed-forward: as many weights in three matrices as two of 4·d (17b: 40,960) have
    "800m": dict(d_model=1536, layers=24, heads=16, kv_heads=16, d_ff=4096, vocab=32000, context=512),
    "17b": dict(d_model=9216, layers=15, heads=96, kv_heads=96, d_ff=27296, vocab=32000, context=512),
}
TYPES = {"1.1b": "bf16,q8_0,q4_0,q4_k,q6_k", "7b": "q4_k"}
# Of what everything that can be is sparse; VARIANTS are less so.
SPARSE = {
    "17b": "configs/scaling-17b.json", "800m": "configs/scaling-800m.json",
}
VARIANTS = ["feed-forward", "QKV", "both", "both, loss"]
PAPER = {"17b": {"dense": 3.690, "feed-forward": 1.595, "QKV": 3.154, "both": 0.183},
         "800m": {"dense": 0.160, "both": 0.061}}
CORES = len(os.sched_getaffinity(0))


class Peer:
    """llama.cpp in a process of its own (llamacpp_worker.py)."""

    def __init__(self):
        worker = os.path.join(ROOT, "bench", "llamacpp_worker.py")
        self.process = subprocess.Popen([PYTHON, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, cwd=ROOT)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{PYTHON} bench/llamacpp_worker.py: ended; is xllamacpp or llama-cpp-python there?")
        return json.loads(line)

    def load(self, path, context, **more):
        return self.ask(do="load", model=path, context=context, threads=CORES, **more)

    def run(self, prompt, decode):
        return self.ask(do="run", prompt=prompt, decode=decode)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def tokens(n):
    return [1] + [(i * 7919) % 30000 + 300 for i in range(n - 1)]


def ours(path, prompt, decode):
    r = spar("generate", "--model", path, "--tokens", ",".join(map(str, prompt)), "--max-tokens",
             str(decode), "--temperature", "0", "--ignore-eos")
    return r["prompt_seconds"], r["decode_tokens_per_second"]


def warm(path):
    """Into the page cache."""
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def median(values):
    return statistics.median(values)


# ---- Dense: one file for both ----

def first_tokens(path, rounds):
    """Seconds from start to first token. Ours with the start of the process, theirs without Python's."""
    a, b = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        ours(path, tokens(8), 1)
        a.append(time.perf_counter() - begin)
        peer = Peer()
        peer.ask(do="ready")
        b.append(peer.load(path, 512, first=True, prompt=tokens(8))["seconds"])
        peer.close()
    return a, b


def dense_pair(path, o):
    """Rates of both, in turn."""
    rates = {"decode": ([], []), "prompt": ([], [])}
    prompt, peer = tokens(o.prompt), Peer()
    engine = peer.load(path, o.prompt + o.tokens + 64)["engine"]
    peer.run(prompt, 4)
    for i in range(o.rounds):
        seconds, rate = ours(path, prompt, o.tokens)
        theirs = peer.run(prompt, o.tokens)
        rates["prompt"][0].append(o.prompt / seconds)
        rates["prompt"][1].append(o.prompt / theirs["prompt_seconds"])
        rates["decode"][0].append(rate)
        rates["decode"][1].append(o.tokens / theirs["decode_seconds"])
        say(f"  {i + 1}/{o.rounds}: " + ", ".join(f"{k} {v[0][-1]:.1f} / {v[1][-1]:.1f}"
                                                for k, v in rates.items()))
    peer.close()
    return engine, rates


def dense(name, o):
    shape, ratios, result, engine = SHAPES[name], {}, {}, ""
    lines = [("type", "decode", "llama.cpp", "ratio", "prompt", "llama.cpp", "ratio", "first token",
              "llama.cpp")]
    for kind in (o.types or TYPES.get(name, "q8_0")).split(","):
        path = os.path.join(o.folder, f"llama-{name}-{kind}.gguf")
        if not os.path.exists(path):
            gguf.write(path, shape, kind)
        warm(path)
        say(f"{name} {kind}: ours / llama.cpp")
        engine, rates = dense_pair(path, o)
        rates["first token"] = first_tokens(path, o.rounds)
        if not o.keep:
            os.remove(path)
        m = {k: [median(x) for x in v] for k, v in rates.items()}
        for key in ("decode", "prompt"):
            ratios[f"{kind}, {key}, tokens/s to llama.cpp's"] = m[key][0] / m[key][1]
        ratios[f"{kind}, start to first token, llama.cpp's to ours"] = m["first token"][1] / m["first token"][0]
        result[kind] = {"spar": {k: v[0] for k, v in m.items()}, "llama.cpp": {k: v[1] for k, v in m.items()},
                        "runs": rates}
        lines.append((kind, *(f"{x:.1f}" for x in m["decode"]), f"{m['decode'][0] / m['decode'][1]:.2f}",
                      *(f"{x:.1f}" for x in m["prompt"]), f"{m['prompt'][0] / m['prompt'][1]:.2f}",
                      *(f"{x:.2f} s" for x in m["first token"])))
    save(f"llamacpp-{name}", ratios, shape=shape, parameters=gguf.parameters(shape), types=result,
         prompt_tokens=o.prompt, engine=engine)
    print_table(f"{name}, tokens/s, Spar beside {engine}, prompts of {o.prompt}", lines)
    draw(f"llamacpp-{name}")


# ---- Sparse beside dense ----

def settings_of(variant, config, layers):
    """--set for a variant of a fully sparse configuration."""
    changes = {"n_layers": layers}
    if variant != "both, loss":
        changes["head"] = "separate"
    if variant == "feed-forward":
        changes["projection"] = "dense"
    if variant == "QKV":
        d = config["d_model"]
        changes["feedforward"] = {"kind": "dense", "d_ff": 40960 if d == 9216 else 4 * d, "activation": "relu"}
    return [x for k, v in changes.items()
            for x in ("--set", f"model.{k}={v if isinstance(v, str) else json.dumps(v)}")]


def sparse_variant(name, variant, parameters, o):
    """Made in memory by `spar bench`, which lets go of it."""
    path = SPARSE[name]
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        config = json.load(f)["model"]
    settings = settings_of(variant, config, layers_for(path, config, variant, parameters))
    made = spar("inspect", path, "--type", o.type, *settings)
    r = spar("bench", "decode", path, "--type", o.type, "--prompt", "16", "--tokens", str(o.tokens),
             "--repeats", str(o.rounds), *settings)
    share = made["parameters"] / parameters
    if not 0.98 <= share <= 1.02:
        say(f"{name} {variant}: {share:.3f} of the dense model's parameters")
    return {"parameters": made["parameters"], "share": share, **{k: r[k] for k in (
        "tokens_per_second", "slowest", "fastest", "bytes_per_token", "gb_per_second", "limits")
        if k in r}}


def layers_for(path, config, variant, parameters):
    """As many layers as make the dense model's parameters."""
    def count(n):
        return spar("inspect", path, *settings_of(variant, config, n))["parameters"]

    one, two = count(1), count(2)
    return max(1, round((parameters - one) / (two - one)) + 1)


def sparse(name, o):
    shape = SHAPES[name]
    parameters = gguf.parameters(shape)
    path = os.path.join(o.folder, f"llama-{name}-{o.type}.gguf")
    say(f"{name}: llama.cpp's dense model, {parameters / 1e9:.2f}B parameters in {o.type}")
    size = os.path.getsize(path) if os.path.exists(path) else gguf.write(path, shape, o.type)
    warm(path)
    peer = Peer()
    engine = peer.load(path, o.tokens + 64)["engine"]
    peer.run(tokens(16), 2)
    rates = [o.tokens / peer.run(tokens(16), o.tokens)["decode_seconds"] for _ in range(o.rounds)]
    peer.close()
    if not o.keep:
        os.remove(path)
    theirs, variants = median(rates), {}
    paper = PAPER[name]
    lines = [("model", "parameters", "ms/token", "faster", "MB/token", "of its limit", "paper's")]
    lines.append(("llama.cpp, dense", f"{parameters / 1e9:.2f}B", f"{1e3 / theirs:.1f}", "1", f"{size / 1e6:.0f}",
                  "", "1"))
    for variant in o.variants.split("; ") if o.variants else VARIANTS:
        say(f"{name}: {variant}")
        v = variants[variant] = sparse_variant(name, variant, parameters, o)
        rate = v["tokens_per_second"]
        limit = v.get("limits", {}).get("tokens_per_second_pieces")
        lines.append((variant, f"{v['parameters'] / 1e9:.2f}B", f"{1e3 / rate:.2f}", f"{rate / theirs:.1f}",
                      f"{v['bytes_per_token'] / 1e6:.0f}", f"{limit / rate:.2f} ×" if limit else "",
                      f"{paper['dense'] / paper[variant]:.1f}" if variant in paper else ""))
    save(f"llamacpp-{name}", {f"{k}, tokens/s to llama.cpp's dense": v["tokens_per_second"] / theirs
                              for k, v in variants.items()},
         shape=shape, parameters=parameters, type=o.type, engine=engine,
         dense={"tokens_per_second": theirs, "runs": rates, "bytes": size}, sparse=variants)
    print_table(f"{name}, one token in {o.type}, Spar's sparse models beside {engine}", lines)
    draw(f"llamacpp-{name}")


def print_table(title, lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    say(f"\n{title}")
    for line in lines:
        say("  " + "  ".join(x.ljust(w) if i == 0 else x.rjust(w) for i, (x, w) in enumerate(zip(line, widths))))
    say(f"repeat: SPAR_BENCH_PYTHON={PYTHON} bench/llamacpp.py {' '.join(sys.argv[1:])}")


def draw(name):
    """The ratios as bars: runs/bench/NAME.png."""
    program = os.path.join(os.path.dirname(os.path.realpath(SPAR)), "bench", "bars")
    path = os.path.join(FOLDER, name)
    if os.path.exists(program) and subprocess.run([program, path + ".json", path + ".png"], check=False).returncode == 0:
        say(f"picture: {path}.png")
    else:
        say("no picture: make benches builds what draws it")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("shapes", nargs="*", choices=list(SHAPES))
    a.add_argument("--types", help="of dense models: " + TYPES["1.1b"])
    a.add_argument("--type", default="q8_0", help="of sparse models and what they stand beside (q8_0)")
    a.add_argument("--variants", help="of sparse models: " + "; ".join(VARIANTS))
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--prompt", type=int, default=512)
    a.add_argument("--tokens", type=int, default=32)
    a.add_argument("--folder", default=FOLDER)
    a.add_argument("--keep", action="store_true", help="the dense files, for the next time")
    o = a.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    for name in o.shapes or ["1.1b"]:
        (sparse if name in SPARSE else dense)(name, o)


if __name__ == "__main__":
    main()
