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
    { printf '$'; printf ' %q' "$@"; printf '\n'; } >&2
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

step "5. The same size, text and time, with sparse feed-forward layers: one neuron of 16 for a token"
run "$spar" train configs/demo.json --data "$demo/data" --output "$demo/sparse" \
    --set train.steps=0 --set train.minutes="$minutes" \
    --set 'model.feedforward={"kind": "sparse", "d_ff": 944, "block": 16, "rank": 32}'

step "6. Evaluation on text that the models have not seen"
run "$spar" eval --model "$demo/run/model.gguf" --file "$demo/unseen.txt" --json >"$demo/run/eval.json"
run "$spar" eval --model "$demo/sparse/model.gguf" --file "$demo/unseen.txt" --json >"$demo/sparse/eval.json"
cat "$demo/run/eval.json" "$demo/sparse/eval.json"

step "7. The loss, and which neurons are chosen"
run "$spar" plot "$demo/run" "$demo/sparse" --x seconds --output "$demo/loss.png"
run "$spar" plot "$demo/sparse" --series 'layer.*.ff.entropy,layer.*.ff.dead' --output "$demo/choices.png"

step "8. Some text"
run "$spar" generate --model "$demo/run/model.gguf" --prompt "In the beginning" --max-tokens 100 \
    --temperature 0.8 --top-p 0.95 --seed 1
run "$spar" generate --model "$demo/sparse/model.gguf" --prompt "In the beginning" --max-tokens 100 \
    --temperature 0.8 --top-p 0.95 --seed 1

# A number of a JSON object on standard input.
number() { sed -n "s/.*\"$1\": *\([-+0-9.eE]*\).*/\1/p"; }
side() {
    local model=$demo/$2/model.gguf facts perplexity speed
    facts=$("$spar" inspect "$model" --json)
    perplexity=$(number perplexity <"$demo/$2/eval.json")
    speed=$("$spar" bench decode "$model" --json --quiet | number tokens_per_second)
    printf '%-8s %12.2f %12d %18d %12.0f\n' "$1" "$perplexity" "$(number parameters <<<"${facts%%\"layers\"*}")" \
        "$(number bytes_per_token <<<"${facts%%\"layers\"*}")" "$speed"
}
step "9. Side by side"
printf '%-8s %12s %12s %18s %12s\n' "" perplexity parameters "bytes per token" "tokens/s"
side dense run
side sparse sparse

step "Done in $(($(date +%s) - began)) seconds. What to try next:"
cat <<END
  $spar generate --model $demo/run/model.gguf --prompt "And the king said"
  $spar inspect $demo/sparse/model.gguf
  $spar train configs/demo.json --data $demo/data --output runs/wider --set model.d_model=384
  $spar plot $demo/run runs/wider --output runs/compared.png
  $spar doctor
The loss curves are in $demo/loss.png; docs/tutorial.md explains each step.
END
