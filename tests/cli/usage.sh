#!/bin/bash
# Help, wrong usage and its exit codes, for every command that there is.
. "$(dirname "$0")/support/lib.sh"

fails 2 "a command is missing" spar
fails 2 "unknown command 'zzzzzzz'" spar zzzzzzz
is "version" grep -q '^spar [0-9.]*$' <(spar --version)
is "help" grep -q '^Usage: spar' <(spar --help)

usage_of() {
    spar "$@" --help >help.txt 2>err.txt && [ ! -s err.txt ] &&
        [ "$(wc -l <help.txt)" -le 50 ] && [ "$(tail -2 help.txt | head -1)" = "Example:" ] &&
        tail -1 help.txt | grep -q "^  spar $*" || { cat help.txt err.txt; return 1; }
}
page_of() { spar "$@" --help=man | man --warnings=w -l -E UTF-8 - 2>warnings.txt | grep -q NAME &&
    [ ! -s warnings.txt ] || { cat warnings.txt; return 1; }; }
check() {
    is "$* --help fits a screen and ends with an example" usage_of "$@"
    is "$* has a man page" page_of "$@"
    fails 2 "unknown option --no-such-option" spar "$@" --no-such-option
    fails 2 "--threads: found 'many', expected a whole number" spar "$@" --threads many
    fails 2 "--seed needs a value" spar "$@" --seed
    fails 2 "unknown option --jso, did you mean --json?" spar "$@" --jso
}
for command in $(spar --help=commands); do
    if words=$(spar "$command" --help=commands 2>/dev/null); then
        fails 2 "a command is missing" spar "$command"
        for word in $words; do check "$command" "$word"; done
    else
        check "$command"
    fi
done
if has doctor; then
    is "doctor --json is one line" test "$(spar doctor --quick --json | wc -l)" = 1
    fails 1 "standard output: cannot write" bash -c "'$spar_program' doctor --quick >/dev/full"
    SPAR_ISA=none fails 1 "SPAR_ISA" spar doctor --quick
fi
