#!/bin/bash
# Man pages out of the tables that the commands parse their options by.
#   tools/man.sh SPAR FOLDER
set -eu
spar=$1 folder=$2
page() { "$spar" "$@" --help=man >"$folder/spar-$(echo "$*" | tr ' ' -).1"; }
{
    echo ".TH spar 1 \"\" \"$("$spar" --version)\" \"Spar\""
    echo ".SH NAME"
    echo "spar \\- trains, evaluates and runs sparse Transformer language models"
    echo ".SH SYNOPSIS"
    echo ".B spar"
    echo "COMMAND [options]"
    echo ".SH COMMANDS"
    "$spar" --help | sed -n 's/^  \([a-z-]\+\)  *\(.*\)/.TP\n.BR spar-\1 (1)\n\2/p' | grep -v '^$'
    echo ".SH EXIT STATUS"
    echo "0 success, 1 the work failed, 2 wrong usage, 130 interrupted."
} >"$folder/spar.1"
for command in $("$spar" --help=commands); do
    if words=$("$spar" "$command" --help=commands 2>/dev/null); then
        for word in $words; do page "$command" "$word"; done
    else
        page "$command"
    fi
done
