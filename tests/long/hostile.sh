#!/bin/bash
# Published models and tokenizers whose files lie: every fixture cut at every 97th byte, every number of its headers replaced.
set -u
cd "$(dirname "$0")/../.."
for program in build/{release,asan}/tests/property/test_{family_hostile,token_files}; do
    [ -x "$program" ] || continue
    if SPAR_HOSTILE=long "$program" >/tmp/hostile.$$ 2>&1; then echo "ok $program"
    else
        cat /tmp/hostile.$$
        echo "not ok $program"
    fi
done
rm -f /tmp/hostile.$$
