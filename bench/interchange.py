#!/usr/bin/env python3
"""Other programs read what Spar writes: interchange.py SPAR CASE…  [--only gguf|hf]

CASE is a folder with case.json (tokens, greedy) and a model. It is converted to a GGUF file, which llama.cpp (PyPI
xllamacpp) must continue with the same greedy tokens, and to a Hugging Face folder, whose logits in transformers must
equal Spar's. Prints one JSON object a case; exits 1 on any difference.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile


def spar(program, *args):
    done = subprocess.run([program, *args], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def ids(tokens):
    return ",".join(map(str, tokens))


def llama_cpp(path, tokens, count):
    """In a process of its own: a bad file may end it."""
    code = (
        "import json, sys, xllamacpp as x\n"
        "p = x.CommonParams(); p.model.path = sys.argv[1]; p.n_ctx = 64; p.n_parallel = 1; p.warmup = False\n"
        "r = x.Server(p).handle_completions({'prompt': json.loads(sys.argv[2]), 'n_predict': int(sys.argv[3]),\n"
        "    'temperature': 0.0, 'ignore_eos': True, 'logprobs': 1, 'cache_prompt': False})\n"
        "r = r if isinstance(r, dict) else json.loads(r)\n"
        "print('TOKENS', json.dumps([t['id'] for t in r['choices'][0]['logprobs']['content']]))\n"
    )
    args = [sys.executable, "-c", code, path, json.dumps(tokens), str(count)]
    done = subprocess.run(args, capture_output=True, text=True, timeout=240)
    for line in done.stdout.splitlines():
        if line.startswith("TOKENS"):
            return json.loads(line[6:])
    raise RuntimeError("llama.cpp: " + " | ".join(done.stderr.strip().splitlines()[-3:]))


def agree(got, want):
    """llama.cpp's list leaves out tokens that end within a character (byte fallback)."""
    rest = iter(want)
    return len(got) + 2 >= len(want) and all(token in rest for token in got)


def transformers_logits(folder, tokens):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def check(program, folder, only, scratch):
    import numpy as np

    case = json.load(open(os.path.join(folder, "case.json")))
    model, tokens = os.path.join(folder, case.get("file", "model")), case["tokens"]
    row = {"case": os.path.basename(folder)}
    want = json.loads(spar(program, "generate", "--model", model, "--tokens", ids(tokens), "--max-tokens", "12",
                           "--temperature", "0", "--ignore-eos", "--json"))["tokens"]
    if only != "hf":
        path = os.path.join(scratch, "model.gguf")
        row["form"] = json.loads(spar(program, "convert", model, path, "--to", "gguf", "--json"))["form"]
        row["greedy_equal"] = agree(llama_cpp(path, tokens, len(want)), want)
    if only != "gguf":
        target = os.path.join(scratch, "hf")
        spar(program, "convert", model, target, "--to", "hf")
        spar(program, "logits", "--model", model, "--tokens", ids(tokens), "--output", target + ".npy")
        row["max_abs"] = float(np.abs(np.load(target + ".npy") - transformers_logits(target, tokens)).max())
    row["good"] = row.get("greedy_equal", True) and row.get("max_abs", 0) <= 1e-4
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spar")
    parser.add_argument("case", nargs="+")
    parser.add_argument("--only", choices=["gguf", "hf"])
    options = parser.parse_args()
    failed = 0
    for folder in options.case:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                row = check(options.spar, folder, options.only, scratch)
            except Exception as error:
                row = {"case": os.path.basename(folder), "error": str(error)[-300:], "good": False}
        failed += not row["good"]
        print(json.dumps(row), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
