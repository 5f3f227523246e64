# Sourced by the scripts of tests/cli: `spar` runs the program, `is` and `fails` count tests.
# SPAR names another program (a build with sanitizers).
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
spar_program=$(realpath "${SPAR:-$top/build/spar}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

spar() { "$spar_program" "$@"; }
has() { "$spar_program" --help=commands | grep -qx "$1"; }

# is NAME COMMAND… : the command succeeds.
is() {
    local name=$1
    shift
    if "$@" >"$work/.out" 2>&1; then echo "ok $name"; else
        echo "not ok $name: $*"
        sed 's/^/    /' "$work/.out"
    fi
}
# fails CODE TEXT COMMAND… : it ends with CODE and one line on standard error that holds TEXT.
fails() {
    local code=$1 text=$2 got
    shift 2
    "$@" >"$work/.out" 2>"$work/.err"
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$work/.err")" = 1 ] && grep -qF -- "$text" "$work/.err"; then
        echo "ok ${*:1:5}: $text"
    else
        echo "not ok $*: exit code $got, expected $code; message, expected one line with '$text':"
        sed 's/^/    /' "$work/.err"
    fi
}
