#!/bin/bash
# Runs test programs (cmocka) and scripts, one line each, the whole output of those that fail, and
# a closing line "N passed, N failed, N skipped".
#   tests/run.sh TEST…
# A script passes with exit code 0 and is skipped with 77; "ok NAME" and "not ok NAME" lines that
# it prints count as tests of their own. SECONDS_EACH (default 300) bounds each.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export LSAN_OPTIONS=suppressions=$PWD/tests/leaks.txt:print_suppressions=0

count() { grep -c -- "$1" "$output"; }

for test in "$@"; do
    began=$(date +%s.%N)
    case $test in
    *.sh | *.py)
        timeout -k 5 "${SECONDS_EACH:-300}" "$test" </dev/null >"$output" 2>&1
        code=$? ok=$(count '^ok ') bad=$(count '^not ok ') skip=0
        if [ $code = 77 ]; then skip=1
        elif [ $code != 0 ] && [ $bad = 0 ]; then bad=1
        elif [ $code = 0 ] && [ $ok = 0 ]; then ok=1
        fi ;;
    *)
        # An emulator or a debugger may stand before the program: WRAPPER="qemu-aarch64".
        timeout -k 5 "${SECONDS_EACH:-300}" ${WRAPPER:-} "$test" </dev/null >"$output" 2>&1
        code=$?
        run=$(count '^\[ RUN ') ok=$(count '^\[       OK \]')
        skip=$(sed -n 's/^\[  SKIPPED \] .*[^0-9]\([0-9]\+\) test(s).*/\1/p' "$output" | tail -1)
        skip=${skip:-$(sed -n 's/^\[  SKIPPED \] \([0-9]\+\) test(s).*/\1/p' "$output" | tail -1)}
        skip=${skip:-0}
        bad=$((run - ok - skip))
        [ $bad -ge 0 ] || bad=0
        if [ $bad = 0 ] && { [ $code != 0 ] || [ "$run" = 0 ]; }; then bad=1; fi ;;
    esac
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    verdict=pass
    [ $bad = 0 ] || verdict=FAIL
    [ $verdict = FAIL ] || [ $ok != 0 ] || verdict=skip
    printf '%-5s %-58s %3d ok %2d bad %2d skipped %6.1f s\n' $verdict "${test#build/}" "$ok" "$bad" \
        "$skip" "$(echo "$(date +%s.%N) $began" | awk '{print $1 - $2}')"
    if [ $bad != 0 ]; then
        [ $code = 124 ] && echo "      stopped after ${SECONDS_EACH:-300} s"
        sed 's/^/      /' "$output"
    elif [ "$skip" != 0 ]; then
        grep -i -m 3 'skip' "$output" | grep -v '^\[' | sed 's/^/      /'
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
