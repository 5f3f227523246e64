#!/bin/bash
# spar generate and chat: sessions in files, drafts, end tokens, and Ctrl-C on a terminal.
. "$(dirname "$0")/support/lib.sh"
has generate || exit 77

cat "$top"/*.md >book.txt
spar tokenizer train --kind bpe --vocab-size 400 --special '<|endoftext|>' --special '<|im_start|>' \
    --special '<|im_end|>' --output tokenizer.json --quiet book.txt >/dev/null
spar data pack --tokenizer tokenizer.json --output data --quiet book.txt >/dev/null
# So many steps that no model writes a token that its text does not hold: answers have text, and no end.
train() { spar train "$top/configs/demo.json" --data data --quiet --set train.steps=60 --set train.minutes=0 \
    --set train.batch=2 --set train.length=32 --set train.eval_batches=1 --set model.d_model=32 "$@" >/dev/null; }
train --output run --set model.n_layers=3 --set model.context=30000
train --output small --set model.n_layers=1 --set model.context=256 --seed 3
model=run/model.gguf
of() { python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }
say() { spar generate --model $model --temperature 0 --max-tokens 24 --context 256 --ignore-eos --json "$@"; }

# Drafts change no token.
say --prompt "The model" >plain.json
for how in "--lookup" "--draft small/model.gguf" "--draft-layers 1" "--draft-layers 1 --lookup"; do
    say --prompt "The model" $how >drafts.json
    is "the same tokens with $how" test "$(of plain.json 'r["tokens"]')" = "$(of drafts.json 'r["tokens"]')"
    is "drafts were made with $how" test "$(of drafts.json 'r["drafted"] >= r["accepted"]')" = True
done
is "a draft model is used" test "$(of drafts.json 'r["drafted"] > 0')" = True
spar tokenizer train --kind bpe --vocab-size 400 --special '<|pad|>' --special '<|im_start|>' --special '<|im_end|>' \
    --output other.json --quiet book.txt >/dev/null
spar data pack --tokenizer other.json --output other --quiet book.txt >/dev/null
spar train "$top/configs/demo.json" --data other --quiet --output strange --set train.steps=1 --set train.minutes=0 \
    --set train.batch=2 --set train.length=32 --set train.eval_batches=1 --set model.d_model=32 --set model.n_layers=1 >/dev/null
fails 1 "draft model: token" say --prompt "The model" --draft strange/model.gguf
fails 1 "layers 9: expected 1 to 3" say --prompt "The model" --draft-layers 9
fails 2 "not for --beams" say --prompt "The model" --draft-layers 1 --beams 2

# A session in a file: what was read is not read again, and the text goes on.
say --prompt "The model is a" --session talk.session >first.json
is "the file is there" test -s talk.session
spar tokenize --model $model --text "The model is a" --json >ids.json
next=$(python3 -c 'import json; print(",".join(map(str, json.load(open("ids.json"))["ids"] + json.load(open("first.json"))["tokens"])))')
say --tokens "$next" --session talk.session >second.json
is "what was read is reused" test "$(of second.json 'r["reused_tokens"] >= r["prompt_tokens"] - 1')" = True
is "nothing is reused without" test "$(of first.json 'r["reused_tokens"]')" = 0
spar generate --model $model --temperature 0 --max-tokens 48 --context 256 --ignore-eos --json --prompt "The model is a" >both.json
is "the text goes on as it would have" test "$(of both.json 'r["tokens"][24:]')" = "$(of second.json 'r["tokens"]')"
fails 1 "another model" spar generate --model strange/model.gguf --prompt x --session talk.session
fails 1 "cache type: saved with f32" say --prompt x --session talk.session --cache-type bf16
head -c 5000 talk.session >short.session
fails 1 "short.session: 5000 bytes" say --prompt x --session short.session
python3 - <<'PY'
data = bytearray(open("talk.session", "rb").read())
data[len(data) // 2] ^= 4
open("flipped.session", "wb").write(data)
PY
fails 1 "checksum" say --prompt x --session flipped.session

# Many prompts together: each as alone; what they begin with alike is read once.
python3 - <<'PY'
import json
head = open("book.txt").read()[:700]
with open("prompts.jsonl", "w") as f:
    for end in ["", " and", " The model", " is a", "x", " 1 2 3"]:
        f.write(json.dumps(head + end) + "\n")
    f.write(json.dumps("Short.") + "\n")
PY
many() { spar generate --model $model --jsonl prompts.jsonl --max-tokens 9 --context 1000 --seed 4 --temperature 0.9 "$@"; }
many --batch 3 >three.jsonl 2>notes
is "what prompts share is not read again" grep -q 'tokens that prompts share were not read again' notes
many --batch 8 --quiet >eight.jsonl
many --batch 1 --quiet >one.jsonl
is "a line for each prompt" test "$(wc -l <three.jsonl)" = 7
is "three at a time as one by one" cmp three.jsonl one.jsonl
is "eight at a time as one by one" cmp eight.jsonl one.jsonl
spar generate --model $model --prompt "Short." --max-tokens 9 --context 1000 --seed 4 --temperature 0.9 --json >alone.json
is "and as a prompt alone" test "$(of alone.json 'r["tokens"]')" = "$(tail -1 one.jsonl | python3 -c 'import json, sys; print(json.load(sys.stdin)["tokens"])')"
echo '{"a": 1}' >bad.jsonl
fails 1 "bad.jsonl: line 1: expected a JSON string" spar generate --model $model --jsonl bad.jsonl

# Caches of every type.
for type in f32 f16 bf16 q8_0; do
    is "a cache in $type" say --prompt "The model" --cache-type $type
done
fails 1 "cache type 'q4_0': expected f32, bf16, f16 or q8_0" say --prompt x --cache-type q4_0

# Every end token of generation_config.json ends the text.
cp -r "$top/tests/golden/data/hf/llama-mha/model" folder && chmod -R u+w folder
ask() { spar generate --model folder --tokens 5,6,7 --temperature 0 --max-tokens 6 --json "$@"; }
ask --ignore-eos >all.json
third=$(of all.json 'r["tokens"][2]')
echo "{\"eos_token_id\": [1, $third, 2]}" >folder/generation_config.json
ask >ended.json
is "one of several end tokens ends the text" test "$(of ended.json 'r["finish"]')" = eos
is "and is not part of it" test "$(of ended.json 'r["tokens"]')" = "$(of all.json "r['tokens'][:r['tokens'].index($third)]")"

# Ctrl-C.
terminal() { timeout 100 python3 "$top/tests/cli/support/terminal.py" "$spar_program" "$@"; }
is "Ctrl-C ends a text, which is kept" terminal generate --model $model --prompt "The model is a" --max-tokens 0 \
    --ignore-eos --temperature 0 --session cut.session <<'STEPS'
wait The model is a
pause 1
send \x03
wait cancelled
end 130
STEPS
is "the session was saved" test -s cut.session
is "Ctrl-C ends an answer, and the conversation goes on" terminal chat --model $model --template chatml \
    --max-tokens 25000 --temperature 1 --top-k 20 <<'STEPS'
wait > 
send first\n
pause 1.5
send \x03
wait (stopped)
wait > 
send /set max-tokens 3\n
wait > 
send second\n
wait (ended at 3 tokens
wait > 
send /save talk.json\n
wait saved
wait > 
send \x03
wait Ctrl-D
wait > 
send /quit\n
end 0
STEPS
is "both turns are in the history" test "$(of talk.json '" ".join(m["role"] for m in r)')" = "user assistant user assistant"
is "with what was said until then" test "$(of talk.json 'len(r[1]["content"]) > 0')" = True
