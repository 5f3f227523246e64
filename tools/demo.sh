#!/bin/bash
# What `make demo` does once all is built: from the text of a Debian package to a model that writes.
#   tools/demo.sh [MINUTES]      of training; 3 unless given
set -eu
cd "$(dirname "$0")/.."
minutes=${1:-${DEMO_MINUTES:-3}}
spar=${SPAR:-build/spar}
demo=${DEMO_FOLDER:-runs/demo}
began=$(date +%s)

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    printf '$'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}
[ -t 1 ] || step() { printf '\n%s\n' "$*"; }

# The King James Bible of the packages bible-kjv and bible-kjv-text, a chapter a line as JSON. The
# gospel of John is kept out of the training text, to measure the model on what it has not read.
text() {
    echo "$1" | bible -f -l 99999 2>/dev/null | awk -v plain="$2" '
        /^[0-9]?[A-Za-z]+[0-9]+:[0-9]+ / {
            if (!greeted++) next # the program shows its first verse unasked
            chapter = $1; sub(/:.*/, "", chapter)
            if (chapter != before && before != "") close_chapter()
            before = chapter; sub(/^[^ ]+ /, ""); verses = verses $0 "\n"
        }
        function close_chapter() {
            if (plain) printf "%s\n", verses
            else {
                gsub(/\\/, "\\\\", verses); gsub(/"/, "\\\"", verses)
                gsub(/\t/, " ", verses); gsub(/\n/, "\\n", verses)
                printf "{\"text\": \"%s\"}\n", verses
            }
            verses = ""
        }
        END { if (verses != "") close_chapter() }'
}

step "1. Text: the King James Bible, without the gospel of John"
rm -rf "$demo"
mkdir -p "$demo"
{ text gen1:1-lk24:53 ""; text act1:1-rev22:21 ""; } >"$demo/train.jsonl"
text jn1:1-jn21:25 1 >"$demo/unseen.txt"
wc -c "$demo/train.jsonl" "$demo/unseen.txt"
[ "$(wc -c <"$demo/train.jsonl")" -gt 3000000 ] && [ "$(wc -c <"$demo/unseen.txt")" -gt 50000 ] ||
    { echo "demo.sh: the program 'bible' gave less text than expected" >&2; exit 1; }

step "2. Tokenizer: 4096 pieces of words, learned from the text"
run "$spar" tokenizer train --kind bpe --vocab-size 4096 --output "$demo/tokenizer.json" \
    "$demo/train.jsonl"

step "3. Data: the text as token ids, a part of it kept for validation"
run "$spar" data pack --tokenizer "$demo/tokenizer.json" --output "$demo/data" "$demo/train.jsonl"

step "4. Training: a decoder with dense and banded attention in turn, for $minutes minutes"
run "$spar" train configs/demo.json --data "$demo/data" --output "$demo/run" \
    --set train.steps=0 --set train.minutes="$minutes"

step "5. Evaluation on text that the model has not seen"
run "$spar" eval --model "$demo/run/model.gguf" --file "$demo/unseen.txt"

step "6. The loss"
run "$spar" plot "$demo/run" --output "$demo/loss.png"

step "7. Some text"
run "$spar" generate --model "$demo/run/model.gguf" --prompt "In the beginning" --max-tokens 100 \
    --temperature 0.8 --top-p 0.95 --seed 1

step "Done in $(($(date +%s) - began)) seconds. What to try next:"
cat <<END
  $spar generate --model $demo/run/model.gguf --prompt "And the king said"
  $spar inspect $demo/run/model.gguf
  $spar train configs/demo.json --data $demo/data --output runs/wider --set model.d_model=384
  $spar plot $demo/run runs/wider --output runs/compared.png
  $spar doctor
The loss curve is in $demo/loss.png; docs/tutorial.md explains each step.
END
