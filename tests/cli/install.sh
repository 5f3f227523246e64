#!/bin/bash
# `make install` into a folder of its own; then programs are built against what lies there.
. "$(dirname "$0")/support/lib.sh"

stage=$work/stage prefix=/opt/spar
installed=$stage$prefix
is "make install" make -C "$top" --no-print-directory install DESTDIR="$stage" PREFIX=$prefix

is "the program runs" grep -q '^spar ' <("$installed/bin/spar" --version)
is "the library has a soname" grep -q 'SONAME.*libspar.so.0' \
    <(objdump -p "$installed/lib/libspar.so")
is "only spar_ names are shown" test -z \
    "$(nm -D --defined-only "$installed/lib/libspar.so" | grep -v ' spar_[a-z]')"
no_absent_commands() {
    for command in $("$installed/bin/spar" --help=commands); do
        ls "$installed/share/man/man1/spar-$command"*.1 >/dev/null || return 1
    done
}
is "every command has a man page" no_absent_commands
is "the man page of spar is right" test -z "$(man --warnings=w -l -E UTF-8 \
    "$installed/share/man/man1/spar.1" 2>&1 >/dev/null)"

completes() { # WORDS EXPECTED: the last word is completed
    bash -c '. "$1"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _spar
             printf "%s\n" "${COMPREPLY[@]}" | grep -qx -- "$3"' - \
        "$installed/share/bash-completion/completions/spar" "$1" "$2"
}
first=$("$installed/bin/spar" --help=commands | head -1)
is "completion of commands" completes "spar ${first:0:3}" "$first"
is "completion of options" completes "spar tokenize --js" --json

# The staged folder stands for the root of a system: pkg-config is told so.
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
build_with() { # FLAGS: compiles program.c as a user of the package would
    cp "$top"/examples/01_*.c program.c 2>/dev/null || cat >program.c <<'END'
#include <stdio.h>
#include <spar/machine.h>
int main(void) { return printf("%s\n", spar_version()) < 0; }
END
    gcc -std=c11 -Wall -Werror program.c -o program $(pkg-config --cflags --libs spar "$@") -lm
}
is "an example compiles through pkg-config" build_with
is "and finds its library" grep -q "libspar.so.0 => $installed" \
    <(LD_LIBRARY_PATH=$installed/lib ldd ./program)
runs() { LD_LIBRARY_PATH=$installed/lib timeout 20 ./program; [ $? -le 2 ]; }
is "and starts" runs
every_header_alone() {
    for header in "$installed"/include/spar/*.h; do
        echo "#include <spar/$(basename "$header")>" >alone.c
        gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$installed/include" alone.c || return 1
        g++ --version >/dev/null 2>&1 || continue
        g++ -Wall -Wextra -Werror -fsyntax-only -x c++ -I"$installed/include" alone.c || return 1
    done
}
is "every header stands alone, in C and C++" every_header_alone
if command -v cmake >/dev/null; then
    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.13)
project(user C)
find_package(Spar 0.1 REQUIRED)
add_executable(user program.c)
target_link_libraries(user Spar::spar m)
END
    is "an example compiles through CMake" bash -c "cmake -B cmake -DCMAKE_PREFIX_PATH='$installed' \
        && cmake --build cmake && LD_LIBRARY_PATH='$installed/lib' ldd cmake/user"
fi
