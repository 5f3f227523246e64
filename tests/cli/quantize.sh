#!/bin/bash
# spar quantize and calibrate: types, rules, importance, comparison, and what is refused.
. "$(dirname "$0")/support/lib.sh"

settings="--set model.vocab_size=512 --set model.context=64 --set model.d_model=256 --set model.n_layers=1
          --set model.attention.n_heads=4 --set model.feedforward.d_ff=512"
head -c 30000 "$top/docs/formats.md" >text.txt
is "tokenizer" spar tokenizer train --kind bpe --vocab-size 512 --output t.json text.txt
spar init "$top/configs/demo.json" $settings --tokenizer t.json --output m.gguf >/dev/null 2>&1
value() { python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))" "$@"; }
check() { [ "$(value "$1" "$2")" = True ] || { echo "$2"; head -c 600 "$1"; return 1; }; }

for type in f16 bf16 q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_nl iq4_xs q3_k q2_k tq2_0 tq1_0; do
    spar quantize m.gguf $type.gguf --type $type --json >$type.json 2>/dev/null
    is "$type: bytes and error" check $type.json "d['bytes'] > 0 and 0 <= d['error'] < 2 and len(d['tensors']) > 5"
    is "$type runs" spar logits --model $type.gguf --tokens 1,2,3 --json
done
is "fewer bits, larger error" check q4_k.json "d['error'] > $(value q8_0.json "d['error']") and 4 < d['bits_per_weight'] < 6"
is "calibration" spar calibrate --model m.gguf --file text.txt --output i.gguf
spar quantize m.gguf a.gguf --type q3_k --imatrix i.gguf --rule ffn_up=q8_0 --rule 'head=q6_k' --eval text.txt \
    --json >a.json 2>/dev/null
is "rules" check a.json "all(t['to'] == 'q8_0' for t in d['tensors'] if 'ffn_up' in t['name'] and 'weight' in t['name']) \
    and [t['to'] for t in d['tensors'] if t['name'] == 'token_embd.weight'] == ['q6_k']"
is "comparison" check a.json "d['eval']['tokens'] > 100 and 0 <= d['eval']['kl_divergence'] < 1 and d['eval']['perplexity'] > 1"
spar quantize m.gguf b.gguf --type f32 --eval text.txt --json >b.json 2>/dev/null
is "the same model does not differ" check b.json "d['error'] == 0 and d['eval']['kl_divergence'] == 0 and d['eval']['same_choice'] == 1"
spar quantize m.gguf c1.gguf --type q4_k --threads 1 >/dev/null 2>&1
spar quantize m.gguf c2.gguf --type q4_k --threads 2 >/dev/null 2>&1
is "1 and 2 threads write the same bytes" cmp c1.gguf c2.gguf
fails 1 "type 'q9': expected one of f32" spar quantize m.gguf x.gguf --type q9
fails 1 "rule 'zzz=q8_0': no tensor fits it" spar quantize m.gguf x.gguf --type q8_0 --rule zzz=q8_0
fails 1 "rule 'head': expected PATTERN=TYPE" spar quantize m.gguf x.gguf --type q8_0 --rule head
fails 2 "expected --file or --tokens" spar calibrate --model m.gguf --output x.gguf
is "nothing was left" test ! -e x.gguf
