#!/bin/bash
# spar train: what it prints and leaves, interruption and resumption, wrong usage, a few kills.
. "$(dirname "$0")/support/lib.sh"
has train || exit 77
. "$top/tests/cli/support/training.sh"

rows="--tokens-file rows.npy --quiet"
holds() { python3 -c "import json, sys; r = json.loads(open(sys.argv[1]).readlines()[-1]); sys.exit(not ($2))" "$1"; }

is "trains" bash -c "'$spar_program' train config.json $rows --output run --json --log log.jsonl \
    --set train.steps=20 >result.json"
is "one line of JSON" test "$(wc -l <result.json)" = 1
is "its keys" holds result.json \
    "r['step'] == 20 and r['loss'] > 0 and r['valid_loss'] is None and r['tokens_per_second'] > 0"
is "the log has a line a step" test "$(wc -l <log.jsonl)" = 20
is "keys of the log" holds log.jsonl "set(r) == {'step', 'loss', 'grad_norm', 'lr'}"
is "the run's files" test -s run/model.gguf -a -s run/config.json -a -s run/metrics.db

is "from a model's weights, without a configuration" spar train --init run/model.gguf $rows \
    --output more --order sequential --set train.steps=2 --set train.batch=2
is "resumes to more steps, without a configuration" spar train --resume --output run $rows \
    --set train.steps=25 --log log.jsonl
is "the log goes on" test "$(wc -l <log.jsonl)" = 25

# Ctrl-C. The program itself is started, not the function, so that the signal reaches it.
"$spar_program" train config.json $rows --output stopped --set train.steps=1000000 \
    --set train.checkpoint_every=0 2>err.txt &
child=$!
for i in $(seq 100); do [ -e stopped/metrics.db ] && break; sleep 0.1; done
sleep 0.3
kill -INT $child && kill -INT $child # as timeout(1) does
wait $child
is "an interruption exits with 130" test $? = 130
is "and leaves a checkpoint" bash -c "ls stopped/checkpoints/checkpoint-*"
step=$(ls stopped/checkpoints | sed 's/checkpoint-//')
is "which resumes" spar train --resume --output stopped $rows --set train.steps=$((step + 2))

fails 1 "run: holds a run already" spar train config.json $rows --output run
fails 1 "did you mean 'steps'?" spar train config.json $rows --output x --set train.setps=3
fails 1 "did you mean 'd_model'?" spar train config.json $rows --output x --set model.d_modl=3
fails 1 "no kind 'adanw'; the nearest is 'adamw'" \
    spar train config.json $rows --output x --set train.optimizer.kind=adanw
fails 1 "nothing.json" spar train nothing.json $rows --output x
fails 1 "nothing.npy" spar train config.json --tokens-file nothing.npy --output x
fails 1 "expected 0 to 15" spar train config.json $rows --output x --set model.vocab_size=16
fails 1 "expected finite numbers" spar train config.json $rows --output y --set train.optimizer.kind=sgd \
    --set train.optimizer.lr=1e6 --set train.clip=0 --set train.schedule.kind=constant
fails 2 "expected one of --data and --tokens-file" spar train config.json --output x
fails 2 "expected a configuration" spar train $rows --output x
fails 2 "expected shuffled or sequential" spar train config.json $rows --output x --order random

"$top/tests/long/kill.sh" 5
