#!/bin/bash
# The copy task of the Reformer (Kitaev et al. 2020, arXiv 2001.04451, section 5): rows 0 w 0 w, w drawn at random; only the
# second w is scored. A model with LSH attention learns to copy, token by token with a cache, words never met.
#   copy.sh [CONFIG]       configs/copy-lsh.json unless given; a row fills its context
. "$(dirname "$0")/../cli/support/lib.sh"
config=$(realpath "${1:-$top/configs/copy-lsh.json}")
words=20
cat >rows.py <<'END'
import json, random, struct, sys
model = json.load(open(sys.argv[1]))["model"]
word, vocabulary = model["context"] // 2 - 1, model["vocab_size"]
rows, words, columns = 20000, int(sys.argv[2]), 2 * word + 2
draw = lambda: [0] + [random.randrange(1, vocabulary) for _ in range(word)]
random.seed(1)
header = "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, columns)
header += " " * (63 - (10 + len(header)) % 64) + "\n"
with open("rows.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    for _ in range(rows):
        f.write(struct.pack("<%di" % columns, *draw() * 2))
with open("words.txt", "w") as f:
    for _ in range(words):
        f.write(",".join(map(str, draw())) + "\n")
END
python3 rows.py "$config" $words
is "trains" spar train "$config" --tokens-file rows.npy --output run --quiet
while read -r word; do
    length=$(tr -cd , <<<"$word" | wc -c)
    spar generate --model run/model.gguf --tokens "$word,0" --max-tokens "$length" --temperature 0 --ignore-eos --json
    echo "${word#0,}"
done <words.txt >copies.txt
python3 - <<'END'
import json
lines = open("copies.txt").read().splitlines()
right = total = 0
for made, word in zip(lines[::2], lines[1::2]):
    word = [int(t) for t in word.split(",")]
    right += sum(a == b for a, b in zip(json.loads(made)["tokens"], word))
    total += len(word)
print("%s %.2f %% of %d tokens of new words copied, expected more than 99 %%" %
      ("ok" if total and right > 0.99 * total else "not ok", 100 * right / max(total, 1), total))
END
