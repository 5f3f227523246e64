#!/bin/bash
# Runs every command that the documents print: the ```sh blocks of README.md, CONTRIBUTING.md and
# docs/*.md, each document in a folder of its own. A block is left out only when the line before it
# says why: <!-- not run: REASON -->. So that this takes seconds, `spar` is a wrapper that makes the
# models of `train` and `init` tiny. ```c blocks must be in the sources, word for word.
. "$(dirname "$0")/support/lib.sh"

mkdir -p bin
cat >bin/spar <<END
#!/bin/bash
small=()
case \$1 in
train) small=(--set train.steps=3 --set train.minutes=0 --set train.batch=2 --set train.length=32
              --set train.eval_batches=1 --set model.d_model=32 --set model.n_layers=2) ;;
init) small=(--set model.d_model=32 --set model.n_layers=2) ;;
generate) small=(--max-tokens 8) ;;
doctor) small=(--quick) ;;
report) small=(--set train.steps=3 --set train.batch=2 --set train.length=32 --set train.eval_batches=1
               --set model.d_model=32 --set model.n_layers=2) ;;
esac
exec "$spar_program" "\$@" "\${small[@]}"
END
chmod +x bin/spar
export PATH=$work/bin:$PATH SPAR_DOCS=1
unset -f spar # the wrapper, also in this script

# Some English to train on: the project's own.
cat "$top"/*.md "$top"/docs/*.md "$top"/include/spar/*.h "$top"/src/*/*.h >book.txt
head -c 20000 book.txt | tail -c 12000 >other.txt

# blocks LANGUAGE FILE FOLDER: writes each block into FOLDER/NUMBER.
blocks() {
    awk -v language="$1" -v folder="$3" '
        /^<!-- not run: ./ { skip = 1; next }
        $0 == "```" language && !inside { inside = 1; name = folder "/" sprintf("%03d", ++n); next }
        /^```/ && inside { inside = 0; skip = 0; next }
        inside && !skip { print >name }
        !inside && NF { skip = 0 }' "$2"
}

for document in "$top"/README.md "$top"/CONTRIBUTING.md "$top"/docs/*.md; do
    name=page-$(basename "$document" .md)
    mkdir -p "$name/blocks" "$name/c" "$name/build" "$name/runs"
    is "$name: commands are in fenced blocks" test -z "$(grep -E '^    (spar|make) ' "$document")"
    blocks sh "$document" "$name/blocks"
    blocks c "$document" "$name/c"
    cp book.txt other.txt "$name/"
    for folder in configs examples include tests src tools Makefile; do
        ln -sfn "$top/$folder" "$name/$folder"
    done
    ln -sfn "$work/bin/spar" "$name/build/spar"
    for built in release libspar.so; do ln -sfn "$top/build/$built" "$name/build/$built"; done
    ln -sfn "$(readlink -f "$top/build/libspar.so")" "$name/build/libspar.so.0"
    for file in "$name"/c/*; do
        [ -e "$file" ] || continue
        is "$name: C block $(basename "$file") is in the sources" python3 - "$file" "$top" <<'END'
import pathlib, sys
block = pathlib.Path(sys.argv[1]).read_text().strip()
places = [p for part in ("examples", "src") for p in pathlib.Path(sys.argv[2], part).rglob("*.[ch]")]
places += list(pathlib.Path(sys.argv[2], "src").rglob("*.def"))
sys.exit(0 if len(block.splitlines()) == 1 or any(block in p.read_text() for p in places) else 1)
END
    done
done

# What pages take for granted: packed data, a tokenizer, a trained demo, compressed JSONL.
prepare() {
    cd "$work" && spar tokenizer train --kind bpe --vocab-size 600 --output tokenizer.json book.txt &&
        spar data pack --tokenizer tokenizer.json --output data book.txt &&
        spar train "$top/configs/demo.json" --data data --output run
}
is "what the pages take for granted" prepare
mkdir -p page-README/runs/demo page-data/more
cp -r run page-README/runs/demo/
cp -r data tokenizer.json page-howto-optimiser/
cp -r run page-metrics/run
cp -r run page-metrics/lion
cp -r data page-metrics/data
cp -r data page-configurations/
cp tokenizer.json page-data/
python3 -c 'import json; print(json.dumps({"text": open("other.txt").read()}))' >page-data/more/a.jsonl.zst

for document in README CONTRIBUTING $(cd "$top/docs" && ls *.md | sed 's/\.md$//'); do
    for block in "$work/page-$document"/blocks/*; do
        [ -e "$block" ] || continue
        run_block() { cd "$work/page-$document" && bash -eu "$block" </dev/null; }
        is "$document: $(grep -v '^ ' "$block" | head -1)" run_block
    done
done
