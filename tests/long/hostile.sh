#!/bin/bash
# Published models whose files lie: every fixture cut at every 97th byte, every number of its headers replaced.
set -u
cd "$(dirname "$0")/../.."
for variant in release asan; do
    program=build/$variant/tests/property/test_family_hostile
    [ -x "$program" ] || continue
    if SPAR_HOSTILE=long "$program" >/tmp/hostile.$$ 2>&1; then echo "ok $variant"
    else
        cat /tmp/hostile.$$
        echo "not ok $variant"
    fi
done
rm -f /tmp/hostile.$$
