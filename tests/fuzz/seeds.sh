#!/bin/bash
# Seeds for the fuzz targets, made by the program itself.   tests/fuzz/seeds.sh FOLDER
set -eu
cd "$(dirname "$0")/../.."
out=$1
spar=build/spar
mkdir -p "$out"/fuzz_{model,safetensors,tokenizer,config,spm,chat}
cp -r tests/fuzz/seeds/. "$out" # small files that try every kind of value
cp configs/*.json "$out/fuzz_config"
cp tests/golden/data/tokenizers/marian/*.spm "$out/fuzz_spm"
python3 - "$out" <<'END'
import json, sys
for i, line in enumerate(open("tests/golden/data/tokenizers/kinds.jsonl")):
    with open(f"{sys.argv[1]}/fuzz_tokenizer/kind{i}.json", "w") as f:
        json.dump(json.loads(line)["tokenizer"], f)
cases = json.load(open("tests/golden/data/chat/templates.json"))
for i, case in enumerate(cases.values() if isinstance(cases, dict) else cases):
    with open(f"{sys.argv[1]}/fuzz_chat/template{i}.jinja", "w") as f:
        f.write(case["template"])
END
tiny=(--set model.vocab_size=300 --set model.d_model=16 --set model.n_layers=2 --set model.context=32
      --set model.attention.n_heads=2 --set model.feedforward.d_ff=32)
echo '{"model": {"architecture": "decoder", "vocab_size": 8, "context": 8, "d_model": 8, "n_layers": 1,
 "attention": {"n_heads": 1}, "feedforward": {"d_ff": 8}}}' >"$out/fuzz_config/tiny.json"
$spar tokenizer train --kind bpe --vocab-size 300 --output "$out/fuzz_tokenizer/bpe.json" README.md --quiet
$spar init configs/demo.json --output "$out/fuzz_model/demo.gguf" "${tiny[@]}" \
    --tokenizer "$out/fuzz_tokenizer/bpe.json" --quiet
$spar init configs/llama-7b.json --output "$out/fuzz_model/llama.gguf" "${tiny[@]}" \
    --set model.attention.n_kv_heads=1 --type bf16 --quiet
python3 - "$out/fuzz_safetensors/two.safetensors" <<'END'
import json, struct, sys
header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                     "bias": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
                     "__metadata__": {"format": "pt"}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + bytes(range(32)))
END
