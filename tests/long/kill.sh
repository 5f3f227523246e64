#!/bin/bash
# Training killed (SIGKILL) at random instants: every time it resumes, and the final weights equal
# those of an undisturbed run to the bit.
#   kill.sh [KILLS]        200 unless given
. "$(dirname "$0")/../cli/support/lib.sh"
kills=${1:-200}
RANDOM=${SEED:-$$}

. "$top/tests/cli/support/training.sh"

train() {
    spar train config.json --tokens-file rows.npy --quiet --threads 1 --log "$1.jsonl" --output "$@" \
        >>out.txt 2>err.txt
}
began=$(date +%s%N)
is "undisturbed" train whole
took=$((($(date +%s%N) - began) / 1000000))

killed=0 runs=0 code=0
while [ $killed -lt "$kills" ]; do
    rm -rf part part.jsonl
    runs=$((runs + 1))
    # At most this many kills in one run, so that it comes to its end too.
    for ((n = 0; killed < kills && n < 40; n++)); do
        "$spar_program" train config.json --tokens-file rows.npy --quiet --threads 1 --output part \
            --log part.jsonl --resume >>out.txt 2>err.txt &
        child=$!
        delay=$((RANDOM * 7 % (took / 4 + 40)))
        sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
        kill -KILL $child 2>/dev/null
        wait $child 2>/dev/null
        [ $? = 137 ] && killed=$((killed + 1))
        [ -e part/model.gguf ] && break
    done
    train part --resume || { code=1; cat err.txt; break; }
    cmp whole/model.gguf part/model.gguf && cmp whole.jsonl part.jsonl || { code=1; break; }
done
if [ $code = 0 ]; then echo "ok $killed kills in $runs runs: all resumed, the weights are the same"
else echo "not ok after $killed kills in $runs runs"; fi
