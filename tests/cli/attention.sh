#!/bin/bash
# spar attention: pages, pictures and numbers, for decoders and encoder–decoders.
. "$(dirname "$0")/support/lib.sh"
has attention || exit 77

cat "$top"/docs/*.md >book.txt
cat >small.json <<'END'
{"model": {"vocab_size": 300, "context": 64, "d_model": 16, "n_layers": 2, "position": "alibi",
           "attention": {"n_heads": 2, "pattern": ["band:3", "causal"]}}}
END
cat >two.json <<'END'
{"model": {"architecture": "encoder-decoder", "vocab_size": 300, "context": 64, "d_model": 16, "n_layers": 2,
           "start": 0, "attention": {"n_heads": 2}}}
END
is "a decoder" bash -c "'$spar_program' tokenizer train --kind bpe --vocab-size 300 --output t.json book.txt --quiet &&
    '$spar_program' init small.json --tokenizer t.json --seed 1 --output m.gguf --quiet &&
    '$spar_program' init two.json --seed 1 --output two.gguf --quiet"
is "numbers, page and picture" bash -c "
    '$spar_program' attention --model m.gguf --text '</script><b>&\"\\ to be' --output a.html --json >a.json &&
    '$spar_program' attention --model m.gguf --text 'To be, or not to be' --output a.png &&
    '$spar_program' attention --model m.gguf --tokens 1,2,3,4,5 --layer 1 --head 1 --output one.json --quiet &&
    '$spar_program' attention --model two.gguf --tokens 1,2,3 --source 4,5,6,7 --json >two.json &&
    '$spar_program' attention --model two.gguf --source 4,5,6,7 --json --output two.html >start.json"
cat >check.py <<'END'
import base64, json, re, struct
a = json.load(open("a.json"))
n = len(a["tokens"])
assert "".join(a["tokens"]) == '</script><b>&"\\ to be', a["tokens"]
assert [(h["layer"], h["head"]) for h in a["heads"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
for h in a["heads"]:
    assert h["stack"] == "decoder" and not h["cross"] and len(h["weights"]) == n
    for i, row in enumerate(h["weights"]):
        assert len(row) == n and abs(sum(row) - 1) < 1e-5
        low = max(0, i - 2) if h["layer"] == 0 else 0
        assert all((w > 0) == (low <= j <= i) for j, w in enumerate(row)), (h["layer"], i)
page = open("a.html").read()
assert not re.search(r"(src|href)=|https?://|@import|url\(", page), "the page stands alone"
assert page.count("<script") == page.count("</script>") == 1 and "<b>" not in page
data = re.findall(r'data:"([^"]*)"', page)
assert len(data) == 4
for h, text in zip(a["heads"], data):
    got = struct.unpack(f"<{n * n}H", base64.b64decode(text))
    assert max(abs(g / 65535 - w) for g, w in zip(got, sum(h["weights"], []))) < 1e-5
picture = open("a.png", "rb").read()
assert picture[:4] == b"\x89PNG" and struct.unpack(">II", picture[16:24])[1] > 2 * 128
one = json.load(open("one.json"))
assert [(h["layer"], h["head"]) for h in one["heads"]] == [(1, 1)] and len(one["tokens"]) == 5
two = json.load(open("two.json"))
shapes = {(h["stack"], h["cross"]): (len(h["weights"]), len(h["weights"][0])) for h in two["heads"]}
assert shapes == {("encoder", False): (4, 4), ("decoder", False): (3, 3), ("decoder", True): (3, 4)}, shapes
assert len(two["heads"]) == 12
for h in two["heads"]:
    assert all(abs(sum(row) - 1) < 1e-5 for row in h["weights"])
assert len(json.load(open("start.json"))["tokens"]) == 1
END
is "what they say" python3 check.py
if command -v node >/dev/null; then
    python3 -c 'import re; print(re.search(r"<script>(.*)</script>", open("a.html").read(), re.S)[1])' >a.js
    is "the page's script is one" node --check a.js
fi

fails 2 "expected --output or --json" spar attention --model m.gguf --text x
fails 2 "expected one of --text and --tokens" spar attention --model m.gguf --json
fails 1 "expected a name that ends in .html, .png or .json" spar attention --model m.gguf --text x --output x.txt
fails 1 "found no layer 7" spar attention --model m.gguf --text x --layer 7 --json
fails 2 "--segments: found 2, expected as many as tokens, 3" spar attention --model m.gguf --tokens 1,2,3 --segments 0,1 --json
fails 2 "needs --source" spar attention --model two.gguf --tokens 1,2 --json
fails 1 "no tokenizer" spar attention --model two.gguf --text x --json
is "nothing was left" test ! -e x.txt
