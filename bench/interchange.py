#!/usr/bin/env python3
"""Other programs read what Spar writes: interchange.py SPAR CASE…  [--only gguf|hf] [--json FILE]

CASE is a folder with case.json (family, task, tokens, source) and a model. It is converted to a GGUF file, with which
llama.cpp (PyPI xllamacpp) must give the same greedy tokens, or of an encoder the same embedding; and to a Hugging Face
folder, whose logits or states in transformers must equal Spar's. Prints a table; exits 1 on any difference. A model that
no published GGUF file can describe is said to be so.

llama.cpp (of 2026-10) has limits of its own: it applies no sliding window in the architectures llama and mistral3, so that
windowed models are compared within their window; it cannot load T5 whose stacks differ in depth; and its 8-bit products round otherwise,
so that of quantised files only the first tokens are compared.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

COUNT = 12


def spar(program, *args):
    done = subprocess.run([program, *args], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def ids(tokens):
    return ",".join(map(str, tokens))


def where(model, case):
    source = ["--source", ids(case["source"])] if "source" in case else []
    segments = ["--segments", ids(case["token_types"])] if "token_types" in case else []
    return ["--model", model, "--tokens", ids(case["tokens"]), *source, *segments]


def llama_cpp(path, task, case):
    given = {"tokens": case["tokens"], "source": case.get("source"), "count": case["count"]}
    worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "llamacpp_calls.py")
    done = subprocess.run([sys.executable, worker, path, task, json.dumps(given)], capture_output=True, text=True, timeout=240)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line[6:])
    raise RuntimeError("llama.cpp: " + " | ".join(done.stderr.strip().splitlines()[-3:]))


def through_gguf(program, model, case, task, scratch, row):
    path = os.path.join(scratch, "model.gguf")
    row["form"] = json.loads(spar(program, "convert", model, path, "--json"))["form"]
    if row["form"] != "gguf":
        return
    if task == "classifier":
        got = llama_cpp(path, "encoder", case)[: len(case["logits"])]
        row["llama_cpp"] = max(abs(a - b) for a, b in zip(got, case["logits"], strict=True)) <= 1e-4
        return
    if task == "encoder":
        plain = {k: v for k, v in case.items() if k != "token_types"}
        want = json.loads(spar(program, "encode", *where(model, plain), "--pooling", "mean", "--json"))["embedding"]
        got = llama_cpp(path, task, case)
        row["llama_cpp"] = max(abs(a - b) for a, b in zip(got, want, strict=True)) <= 1e-4
        return
    want = json.loads(spar(program, "generate", *where(model, case), "--max-tokens", str(case["count"]), "--temperature", "0",
                           "--ignore-eos", "--json"))["tokens"]
    row["llama_cpp"] = llama_cpp(path, task, case) == want


def transformers_result(folder, case):
    import torch
    import transformers

    config = json.load(open(os.path.join(folder, "config.json")))
    kind = getattr(transformers, config["architectures"][0])
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = {"input_ids": torch.tensor([case["tokens"]])}
    if "source" in case:
        inputs = {"input_ids": torch.tensor([case["source"]]), "decoder_input_ids": inputs["input_ids"]}
    if "token_types" in case:
        inputs["token_type_ids"] = torch.tensor([case["token_types"]])
    with torch.no_grad():
        out = model(**inputs)
    result = out.logits if hasattr(out, "logits") else out.last_hidden_state
    return result[0].numpy().reshape(-1, result.shape[-1])


def through_folder(program, model, case, scratch, row):
    import numpy as np

    target, result = os.path.join(scratch, "hf"), os.path.join(scratch, "x.npy")
    spar(program, "convert", model, target, "--to", "hf")
    kind = ["encode", "--pooling", "none"] if case["task"] == "encoder" else ["logits"]
    spar(program, kind[0], *where(model, case), *kind[1:], "--output", result)
    row["max_abs"] = float(np.abs(np.load(result) - transformers_result(target, case)).max())
    row["transformers"] = row["max_abs"] <= 1e-4


def limit(program, model, case, task):
    """How many tokens to compare, where llama.cpp would differ beyond."""
    case["count"] = COUNT if case.get("tolerance", 0) <= 1e-3 else 4
    config = os.path.join(model, "config.json")
    window = (json.load(open(config)) if os.path.exists(config) else {}).get("sliding_window")
    if window and window < len(case["tokens"]) + COUNT:
        case["tokens"], case["count"] = case["tokens"][: window // 2], window // 2
    if task == "classifier":
        plain = {k: v for k, v in case.items() if k != "token_types"}
        case["logits"] = json.loads(spar(program, "logits", *where(model, plain), "--json"))["logits"][0]


def check(program, folder, only, scratch):
    case = json.load(open(os.path.join(folder, "case.json")))
    model = os.path.join(folder, case.get("file", "model"))
    task = {"causal-lm": "decoder", "seq2seq": "seq2seq", "seq-classification": "classifier"}.get(case["task"], "encoder")
    limit(program, model, case, task)
    row = {"case": os.path.basename(os.path.normpath(folder)), "family": case["family"]}
    if only != "hf":
        through_gguf(program, model, case, task, scratch, row)
    if only != "gguf":
        through_folder(program, model, case, scratch, row)
    row["good"] = row.get("llama_cpp", True) and row.get("transformers", True)
    return row


def line(row):
    said = {True: "equal", False: "DIFFERS", None: "-"}
    gguf = said[row.get("llama_cpp")] if row.get("form", "gguf") == "gguf" else "no such form"
    folder = f"{said[row.get('transformers')]}  {row.get('max_abs', float('nan')):.1e}"
    return f"{row['case']:28} {row.get('family', ''):20} {gguf:14} {folder}  {row.get('error', '')}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spar")
    parser.add_argument("case", nargs="+")
    parser.add_argument("--only", choices=["gguf", "hf"])
    parser.add_argument("--json", help="write the rows there")
    options = parser.parse_args()
    rows = []
    print(f"{'case':28} {'family':20} {'llama.cpp':14} transformers")
    for folder in options.case:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                row = check(options.spar, folder, options.only, scratch)
            except Exception as error:
                row = {"case": os.path.basename(folder), "error": str(error)[-200:], "good": False}
        rows.append(row)
        print(line(row), flush=True)
    if options.json:
        json.dump(rows, open(options.json, "w"), indent=1)
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
