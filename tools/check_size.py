#!/usr/bin/env python3
"""Reports files of more than 800 lines and functions of more than 100, and fails on the really
large ones (1500 and 200): what is that long is several things."""
import os
import re
import sys

FILE_SMELL, FILE_LIMIT = 800, 1500
FUNCTION_SMELL, FUNCTION_LIMIT = 100, 200
# A definition begins in the first column, has a parameter list, and ends at a "}" there.
HEAD = re.compile(r"^[A-Za-z_].*\b([A-Za-z_]\w*)\(")


def functions(lines):
    name, start = None, 0
    for number, line in enumerate(lines, 1):
        match = HEAD.match(line)
        if match and name is None and not line.rstrip().endswith(";"):
            name, start = match.group(1), number
        elif name and (line.startswith("}") or line.rstrip().endswith(";") and line[0] != " "):
            if line.startswith("}"):
                yield name, start, number - start + 1
            name = None


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    failed, smells = False, 0
    for folder in ("include", "src", "cli", "examples", "bench", "tests"):
        for path, _, names in os.walk(folder):
            for name in sorted(names):
                if not name.endswith((".c", ".h")):
                    continue
                source = os.path.join(path, name)
                with open(source, encoding="utf-8") as file:
                    lines = file.read().splitlines()
                found = [(source, len(lines), FILE_SMELL, FILE_LIMIT)]
                found += [
                    (f"{source}:{start}: {function}", length, FUNCTION_SMELL, FUNCTION_LIMIT)
                    for function, start, length in functions(lines)
                ]
                for what, length, smell, limit in found:
                    if length > smell:
                        smells += 1
                        print(f"{what}: {length} lines" + (" (too long)" if length > limit else ""))
                    failed |= length > limit
    print(f"{smells} files and functions are longer than they should be" if smells else
          "no file or function is too long")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
