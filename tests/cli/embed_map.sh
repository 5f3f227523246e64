#!/bin/bash
# spar embed-map: neighbours, arithmetic, maps.
. "$(dirname "$0")/support/lib.sh"
has embed-map || exit 77

cat "$top"/docs/*.md >book.txt
cat >small.json <<'END'
{"model": {"vocab_size": 400, "context": 64, "d_model": 16, "n_layers": 1, "attention": {"n_heads": 2}}}
END
is "a model" bash -c "'$spar_program' tokenizer train --kind bpe --vocab-size 400 --output t.json book.txt --quiet &&
    '$spar_program' init small.json --tokenizer t.json --seed 1 --output m.gguf --quiet &&
    '$spar_program' init small.json --seed 1 --output bare.gguf --quiet"
is "neighbours and maps" bash -c "
    '$spar_program' embed-map --model m.gguf --near the --top 4 --json >a.json &&
    '$spar_program' embed-map --model m.gguf --near the --top 4 >a.txt &&
    '$spar_program' embed-map --model m.gguf --near the --minus of --plus attention --json --output w.html '<a&b>' >b.json &&
    '$spar_program' embed-map --model bare.gguf --near 5,6 --top 1000 --json >c.json &&
    '$spar_program' embed-map --model m.gguf --output w.png the of and model"
cat >check.py <<'END'
import json, re
a, b, c = (json.load(open(f"{x}.json"))["neighbours"] for x in "abc")
assert len(a) == 4 and len(b) == 10 and len(c) == 398
for near in a, b, c:
    cosines = [n["cosine"] for n in near]
    assert cosines == sorted(cosines, reverse=True) and all(-1.000001 <= x <= 1.000001 for x in cosines)
assert [n["token"] for n in a] != [n["token"] for n in b[:4]]
assert not {5, 6} & {n["token"] for n in c}
lines = open("a.txt").read().splitlines()
assert [int(line.split()[1]) for line in lines] == [n["token"] for n in a]
page = open("w.html").read()
assert page.count("<circle") == 4 and "&lt;a&amp;b&gt;</text>" in page and "<a&" not in page
assert not re.search(r"(src|href)=|https?://|<script", page)
assert open("w.png", "rb").read(4) == b"\x89PNG"
END
is "what they say" python3 check.py
fails 2 "expected --near, or --output and words" spar embed-map --model m.gguf
fails 2 "--plus and --minus need --near" spar embed-map --model m.gguf --plus a --output w.png b
fails 2 "no --output" spar embed-map --model m.gguf --near a b
fails 2 "--top: found 0, expected 1 to 1000000" spar embed-map --model m.gguf --near a --top 0
fails 1 "cancel each other" spar embed-map --model m.gguf --near the --minus the
fails 1 "expected a name that ends in .html or .png" spar embed-map --model m.gguf --output w.txt a b
fails 1 "id 400, expected 0 to 399" spar embed-map --model bare.gguf --near 400
