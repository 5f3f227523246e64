#!/bin/bash
# data pack and info, tokenizers of characters, plot.
. "$(dirname "$0")/support/lib.sh"
field() { python3 -c "import json, sys; print(eval('json.load(sys.stdin)$1'))"; }
equal() { [ "$1" = "$2" ] || { echo "found $1, expected $2"; return 1; }; }

for i in $(seq 300); do printf 'chapter %d\nsome words of it\n\n\n' "$i"; done >book.txt
mkdir -p more/below
head -c 2000 book.txt | gzip >more/a.txt.gz
printf '{"text": "one"}\n{"text": "two"}\n' | zstd -q >more/below/b.jsonl.zst 2>/dev/null ||
    printf '{"text": "one"}\n{"text": "two"}\n' >more/below/b.jsonl
is "tokenizer train --kind char" spar tokenizer train --kind char --output t.json book.txt --quiet
is "a character is a token" equal 6 "$(spar tokenize --tokenizer t.json --text 'a word' --json | field '["ids"].__len__()')"

pack() { spar data pack --tokenizer t.json --quiet --json "$@"; }
is "documents of a folder" equal 3 "$(pack --output d1 more | field '["documents"]')"
is "documents between separators" equal 300 "$(pack --output d2 --separator '\n\n\n' book.txt | field '["documents"]')"
is "a tail for validation" equal "$(($(wc -c <book.txt) - $(wc -c <book.txt) * 9 / 10))" \
    "$(pack --output d3 --valid 0.1 book.txt | field '["valid"]["bytes"]')"
is "standard input" eval 'pack --output d4 --valid 0.1 - <book.txt && cmp d3/train-00000.bin d4/train-00000.bin'
is "one thread or two" eval 'pack --output d5 --valid 0.1 --threads 1 book.txt && cmp d3/train-00000.bin d5/train-00000.bin'
is "bytes in all" equal "$(wc -c <book.txt)" "$(spar data info d3 --json | field '["bytes"]')"
is "info for people" grep -q '^train' <(spar data info d3)
is "invalid UTF-8 replaced" eval "printf 'a\xff' | pack --output d6 --valid 0 --replace-invalid -"

printf 'abc\xff' >bad.txt
fails 1 "bad.txt: byte offset 3" pack --output d7 bad.txt
fails 1 "d7/data.json" spar data info d7
fails 1 "bad.txt: byte offset 3" pack --output d2 bad.txt
is "an older packing outlives a failed one" eval 'spar data info d2 && [ -z "$(ls d2 | grep new)" ]'
fails 1 "missing.txt" pack --output d7 missing.txt
fails 2 "--split: found 'tial', expected auto, document or tail" pack --split tial --output d7 book.txt
fails 2 "--valid: found 2" pack --valid 2 --output d7 book.txt
printf X | dd of=d3/train-00000.bin bs=1 seek=1000 conv=notrunc 2>/dev/null
fails 1 "d3/train-00000.bin: tokens damaged" spar data info d3

mkdir run
python3 - <<'END'
import sqlite3
db = sqlite3.connect("run/metrics.db")
db.executescript("""PRAGMA application_id=1397768530; PRAGMA user_version=1;
CREATE TABLE run(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE steps(step INTEGER PRIMARY KEY, tokens REAL, seconds REAL, loss REAL, valid_loss REAL,
                   lr REAL, grad_norm REAL, tokens_per_second REAL);
CREATE TABLE series(name TEXT, step INTEGER, value REAL, PRIMARY KEY(name, step)) WITHOUT ROWID;""")
for i in range(1, 200):
    db.execute("INSERT INTO steps VALUES(?,?,?,?,?,?,?,?)",
               (i, 100 * i, i / 2, 5 / i, 6 / i if i % 50 == 0 else None, 1e-3, 1, 200))
db.commit()
END
is "plot in the terminal" eval '[ $(COLUMNS=60 spar plot run | wc -l) -ge 16 ]'
is "plot as PNG" eval 'spar plot run run --series loss,lr --output p.png && [ "$(head -c 4 p.png | tail -c 3)" = PNG ]'
is "plot as SVG" eval 'spar plot run --output p.svg && grep -q "</svg>" p.svg'
is "plot as numbers" equal 199 "$(spar plot run --json | field '["runs"][0]["series"]["loss"]["y"].__len__()')"
fails 1 "did you mean 'loss'?" spar plot run --series los
fails 1 "p.gif" spar plot run --output p.gif
fails 1 "nowhere" spar plot nowhere
