#!/bin/bash
# Bash completion out of the tables that the commands parse their options by.
#   tools/completion.sh SPAR
set -eu
spar=$1
commands=$("$spar" --help=commands | tr '\n' ' ')
echo "# bash completion for spar"
echo "_spar() {"
echo "    local word=\${COMP_WORDS[COMP_CWORD]} words"
echo "    case \"\${COMP_WORDS[1]-} \${COMP_WORDS[2]-}\" in"
for command in $commands; do
    if second=$("$spar" "$command" --help=commands 2>/dev/null); then
        for name in $second; do
            echo "    \"$command $name\") words=\"$("$spar" "$command" "$name" --help=words | tr '\n' ' ')\" ;;"
        done
        echo "    \"$command \"*) words=\"$(echo $second)\" ;;"
    else
        echo "    \"$command \"*) words=\"$("$spar" "$command" --help=words | tr '\n' ' ')\" ;;"
    fi
done
echo "    *) words=\"$commands--help --version\" ;;"
cat <<'END'
    esac
    if [ "$COMP_CWORD" -gt 1 ] && [[ $word != -* ]] && [[ $words == *--* ]]; then
        COMPREPLY=($(compgen -f -- "$word"))
    elif [ "$COMP_CWORD" -gt 1 ] || [ -n "$words" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}
complete -o filenames -F _spar spar
END
