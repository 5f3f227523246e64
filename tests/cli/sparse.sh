#!/bin/bash
# Whole sparse models of the authors' code through the command line: logits, greedy continuation and
# loss of tests/golden/data/scaling/*/model, and of $SPAR_GOLDEN/sparse where it is set.
. "$(dirname "$0")/support/lib.sh"
has logits && has generate && has eval || exit 77

cat >check.py <<'END'
import array, json, os, struct, subprocess, sys
spar, folder = sys.argv[1:]
case = json.load(open(os.path.join(folder, "case.json")))

def run(*arguments):
    where = ["--model", os.path.join(folder, "model")]
    if "source" in case: where += ["--source", ",".join(map(str, case["source"]))]
    return subprocess.run([spar, arguments[0], *where, *arguments[1:]], capture_output=True, text=True, check=True).stdout

def floats(data):
    return array.array("f", data)

def expected(name):
    raw = open(os.path.join(folder, "expected.safetensors"), "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    begin, end = json.loads(raw[8:8 + n])[name]["data_offsets"]
    return floats(raw[8 + n:][begin:end])

fed = case["input_ids"]
ids = ",".join(map(str, fed))
whole = ",".join(map(str, fed[:1] + case["tokens"]))
run("logits", "--tokens", ids, "--output", "x.npy")
raw = open("x.npy", "rb").read()
got, want = floats(raw[10 + struct.unpack("<H", raw[8:10])[0]:]), expected("logits")
assert len(got) == len(want) > 0, (len(got), len(want))
most = max(abs(a - b) for a, b in zip(got, want))
assert most <= case["tolerance"], most
if "greedy" in case:
    made = json.loads(run("generate", "--tokens", whole, "--max-tokens", str(len(case["greedy"])), "--temperature", "0",
                          "--ignore-eos", "--json"))["tokens"]
    assert made == case["greedy"], made
if "loss" in case and "source" not in case:
    loss = json.loads(run("eval", "--tokens", whole, "--json"))["nll"]
    assert abs(loss - case["loss"]) <= 1e-4, loss
END
folders=("$top"/tests/golden/data/scaling/*/model)
[ -z "${SPAR_GOLDEN:-}" ] || folders+=("$SPAR_GOLDEN"/sparse/*/model)
for model in "${folders[@]}"; do
    folder=$(dirname "$model")
    grep -q '"input_ids"' "$folder/case.json" || continue
    is "$(basename "$folder")" python3 check.py "$spar_program" "$folder"
done
