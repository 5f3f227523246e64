#!/bin/bash
# spar report: variants trained and compared on one page; runs are found again and go on.
. "$(dirname "$0")/support/lib.sh"
has report || exit 77

cat "$top"/docs/*.md "$top"/include/spar/*.h >book.txt
is "data" bash -c "'$spar_program' tokenizer train --kind bpe --vocab-size 400 --output t.json book.txt --quiet &&
    '$spar_program' data pack --tokenizer t.json --output data book.txt --quiet"
cat >small.json <<END
{"model": {"vocab_size": 400, "context": 32, "d_model": 16, "n_layers": 2, "attention": {"n_heads": 2},
           "feedforward": {"kind": "dense", "d_ff": 48}},
 "train": {"steps": 12, "batch": 2, "eval_every": 4, "eval_batches": 2, "checkpoint_every": 4}}
END
report() {
    "$spar_program" report dense=small.json small.json --data data --seeds 2 --quiet --title 'A <b> & "c"' \
        --set train.optimizer.lr=3e-3 --set 'small:model.feedforward={"kind": "experts", "n_experts": 3}' "$@"
}
is "two variants, two seeds" bash -c "$(declare -f report); spar_program=$spar_program
    report --output r.html --json >out.json"
cat >check.py <<'END'
import json, re, sys, xml.dom.minidom
out = json.loads(open("out.json").read())
assert json.load(open("r.json")) is not None
page = open("r.html").read()
assert "<b>" not in page and "A &lt;b&gt; &amp; &quot;c&quot;" in page
assert not re.search(r"(src|href)=.(https?:)?//", page), "the page stands alone"
pictures = re.findall(r"<svg.*?</svg>", page, re.S)
assert len(pictures) == 10, len(pictures)
for picture in pictures:
    xml.dom.minidom.parseString(picture)
ids = re.findall(r' id="([^"]+)"', page)
assert len(ids) == len(set(ids))
assert open("r.png", "rb").read(4) == b"\x89PNG"
assert [v["name"] for v in out["variants"]] == ["dense", "small"] and out["seeds"] == 2
for variant in out["variants"]:
    assert [run["seed"] for run in variant["runs"]] == [1, 2]
    losses = [run["valid_loss"] for run in variant["runs"]]
    loss = variant["loss"]
    assert losses[0] != losses[1] and loss["least"] == min(losses) and loss["most"] == max(losses)
    assert abs(loss["mean"] - sum(losses) / 2) < 1e-6
    for run in variant["runs"]:
        assert run["step"] == 12 and run["tokens"] == 12 * 2 * 32
        assert run["curve"]["tokens"][-1] == 768 and len(run["curve"]["loss"]) == 12
        assert run["validation"]["tokens"] == [256.0, 512.0, 768.0]
    for key in ("parameters", "bytes_per_token", "weight_bytes", "cache_bytes_per_1k", "activation_bytes",
                "decode_tokens_per_second", "train_tokens_per_second"):
        assert variant[key] > 0, key
dense, experts = out["variants"]
assert dense["config"]["train"]["optimizer"]["lr"] == experts["config"]["train"]["optimizer"]["lr"] == 3e-3
assert experts["config"]["model"]["feedforward"]["kind"] == "experts"
assert experts["parameters"] > dense["parameters"]
END
is "what it says" python3 check.py

# Finished runs are not trained again; one of them is taken away, then trained anew to the same end.
find r.runs -name model.gguf -exec touch -d 2001-01-01 {} +
cp out.json before.json
rm -r r.runs/dense-*/seed-2
is "again" bash -c "$(declare -f report); spar_program=$spar_program
    report --output r.html --json >out.json"
is "trains what is missing" test "$(find r.runs -name model.gguf -newermt 2002-01-01 | wc -l)" = 1
is "to the same end" python3 -c 'import json
a, b = (json.load(open(f)) for f in ("before.json", "out.json"))
assert [v["loss"] for v in a["variants"]] == [v["loss"] for v in b["variants"]]'

# Ctrl-C, then on from the checkpoint.
"$spar_program" report small.json --data data --seeds 1 --output s.html --set train.steps=1000000 2>err.txt &
child=$!
for i in $(seq 200); do ls s.runs/*/seed-1/checkpoints/checkpoint-* >/dev/null 2>&1 && break; sleep 0.1; done
kill -INT $child
wait $child
is "an interruption exits with 130" test $? = 130
is "and leaves no page" test ! -e s.html

fails 2 "R.txt: expected a name that ends in .html" spar report small.json --data data --output R.txt \
    --runs r.runs --seeds 1 --quiet
fails 2 "no variant is called 'smal'" spar report small.json --data data --output x.html --set smal:model.d_model=8
fails 1 "two variants are called 'small'" spar report small.json small.json --data data --output x.html --quiet
fails 1 "small, seed 1: model: unknown key 'd_modl'" spar report small.json --data data --output x.html \
    --set model.d_modl=8 --quiet
fails 2 "--seeds: found 0, expected 1 to 1000" spar report small.json --data data --output x.html --seeds 0
