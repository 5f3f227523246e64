#!/bin/bash
# spar chat through a pipe, with a model of three steps: what counts is the conversation, not the
# answers.
. "$(dirname "$0")/support/lib.sh"
has chat || exit 77

cat "$top"/*.md >book.txt
spar tokenizer train --kind bpe --vocab-size 500 --special '<|endoftext|>' --special '<|im_start|>' \
    --special '<|im_end|>' --output tokenizer.json --quiet book.txt >/dev/null
spar data pack --tokenizer tokenizer.json --output data --quiet book.txt >/dev/null
spar train "$top/configs/demo.json" --data data --output run --quiet --set train.steps=3 \
    --set train.minutes=0 --set train.batch=2 --set train.length=32 --set train.eval_batches=1 \
    --set model.d_model=32 --set model.n_layers=2 --set model.context=256 >/dev/null
model=run/model.gguf

# talk OPTIONS: what is said comes from standard input; answers go to `out`, notes to `err`.
talk() { spar chat --model $model --max-tokens 4 --temperature 0 "$@" >out 2>err; }
roles() { python3 -c 'import json, sys; print(" ".join(m["role"] for m in json.load(sys.stdin)["messages"]))' <out; }

fails 1 "give --template FILE" spar chat --model $model </dev/null

is "a question is answered" talk --template chatml < <(echo "Hello")
is "the answer is a line" test "$(wc -l <out)" -ge 1
talk --template chatml --json < <(printf 'one\ntwo\n')
is "two questions, two answers" test "$(roles)" = "user assistant user assistant"
talk --template chatml --json --system "Be brief." < <(printf 'one\n/undo\ntwo\n/reset\nthree\n/retry\n')
is "undo, reset and retry" test "$(roles)" = "system user assistant"
talk --template chatml --json < <(printf 'first\\\nsecond\n"""third\nfourth"""\n')
is "lines that go on" python3 -c 'import json; m = json.load(open("out"))["messages"]
assert m[0]["content"] == "first\nsecond" and m[2]["content"] == "third\nfourth", m'
talk --template chatml --json < <(printf '/system Quiet.\none\n/save talk.json\n/reset\n/load talk.json\ntwo\n')
is "system, save and load" test "$(roles)" = "system user assistant user assistant"
talk --template chatml < <(printf '/hlep\n/set tmperature 1\n/set temperature 0.5\n/set\n/stats\n/quit\nnever\n')
is "commands that do not exist" grep -q 'nearest is /help' err
is "settings that do not exist" grep -q 'nearest is temperature' err
is "settings are shown" grep -q '^temperature 0.5' err
is "stats are shown" grep -q 'tokens of context' err
is "quit leaves" test ! -s out
talk --template chatml < <(printf '/help\n/exit\nnever\n')
is "exit leaves" test ! -s out
is "help lists every command" test "$(grep -c '^/' err)" = "$(grep -c '^    {"/[a-z]*", ".*", "' "$top/cli/chat.c")"
talk --template chatml < <(printf '/load nothing.json\n/save\n/set top-k x\n/undo\n/retry\n')
is "files that are not there" grep -q nothing.json err
is "commands without what they need" test "$(grep -c 'expected a' err)" -ge 2

# What does not fit is told; the conversation stays as it was and goes on.
long=$(printf 'word %.0s' $(seq 400))
talk --template chatml --json < <(printf 'one\n%s\n/stats\n' "$long")
is "a full context is told" grep -q 'context is full: the conversation has' err
is "nothing is cut" test "$(roles)" = "user assistant"

# A template of one's own; what it refuses is said with its line.
printf '%s' '{{ bos_token }}{% for m in messages %}{% if m.role == "system" %}{{ raise_exception("no system") }}{% endif %}
{{ m.role }}: {{ m.content }}{% endfor %}
assistant:' >own.jinja
talk --template own.jinja --json < <(printf 'one\n')
is "a template of one's own" test "$(roles)" = "user assistant"
talk --template own.jinja --system S < <(printf 'one\n')
is "the template's refusal" grep -q 'own.jinja: line 1: no system' err
printf '{%% for m in messages %%}\n{%% include "x" %%}{%% endfor %%}' >bad.jinja
fails 1 "bad.jinja: line 2: statement 'include' is not supported" \
    spar chat --model $model --template bad.jinja </dev/null
