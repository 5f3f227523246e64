#!/bin/bash
# Speed beside the peers: bench/run.sh [BENCH…]        train, attention, decode, llamacpp (all unless named)
#
# The peers live in a virtual environment of their own, build/bench-venv, made when first needed;
# SPAR_BENCH_PYTHON names another Python that has them. Nothing else should run meanwhile: the load
# of the machine is part of every result. Results go to runs/bench.
set -eu
cd "$(dirname "$0")/.."
benches=("$@")
[ $# -gt 0 ] || benches=(train attention decode llamacpp)

if [ -z "${SPAR_BENCH_PYTHON:-}" ]; then
    venv=build/bench-venv
    if [ ! -e "$venv/.done" ]; then
        echo "bench: installing the peers into $venv (torch 2.13.0, tiktoken, tokenizers, xllamacpp)" >&2
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet torch==2.13.0 numpy tiktoken tokenizers xllamacpp
        touch "$venv/.done"
    fi
    SPAR_BENCH_PYTHON=$PWD/$venv/bin/python
fi
export SPAR_BENCH_PYTHON

for bench in "${benches[@]}"; do
    echo "== $bench" >&2
    "$SPAR_BENCH_PYTHON" "bench/$bench.py" ${BENCH_OPTIONS:-}
done
