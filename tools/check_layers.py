#!/usr/bin/env python3
"""Checks that dependencies point down: a room includes only rooms below it, or beside it without a
circle; format stands on base alone; the command line uses public headers only."""
import os
import re
import sys

LAYERS = [
    ["base"],
    ["kernel", "format", "plot"],
    ["tensor", "token", "chat"],
    ["op"],
    ["attention", "projection", "feedforward", "position", "head"],
    ["block"],
    ["model"],
    ["family", "data", "generate", "train", "eval", "look", "sparsify", "stream", "dist"],
    ["bench", "serve"],
    ["report"],
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# The one exception: kernels are told the types of numbers by the room that defines them.
SHARED = {"tensor/tensor.h", "tensor/type.def"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def files(folder):
    for path, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".def")):
                yield os.path.join(path, name)


def includes(path):
    with open(path, encoding="utf-8") as file:
        return INCLUDE.findall(file.read())


def circle(edges):
    """A list of rooms that include each other in a circle, or None."""
    done, path = set(), []

    def visit(room):
        if room in path:
            return path[path.index(room):] + [room]
        if room in done:
            return None
        path.append(room)
        for other in sorted(edges.get(room, ())):
            found = visit(other)
            if found:
                return found
        done.add(path.pop())
        return None

    for room in sorted(edges):
        found = visit(room)
        if found:
            return found
    return None


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    faults, edges = [], {}
    for path in files("src"):
        room = path.split(os.sep)[1]
        if room not in LEVEL:
            faults.append(f"{path}: room '{room}' has no place in tools/check_layers.py")
            continue
        for name in includes(path):
            other = name.split("/")[0] if "/" in name else room
            if other in ("spar", room) or name in SHARED:
                continue
            if other not in LEVEL:
                if os.path.exists(os.path.join("src", name)):
                    faults.append(f"{path}: includes '{name}' of an unknown room")
                continue
            if LEVEL[other] > LEVEL[room] or (room == "format" and other != "base"):
                faults.append(f"{path}: {room} includes '{name}', which is above it")
            edges.setdefault(room, set()).add(other)
    found = circle(edges)
    if found:
        faults.append("rooms include each other: " + " -> ".join(found))
    for folder, allowed in (("cli", "cli"), ("examples", "examples")):
        for path in files(folder):
            for name in includes(path):
                here = os.path.exists(os.path.join(allowed, name))
                if not name.startswith("spar/") and not here:
                    faults.append(f"{path}: includes '{name}', which is not public")
    for path in files("include"):
        for name in includes(path):
            if not name.startswith("spar/"):
                faults.append(f"{path}: a public header includes '{name}'")
    print("\n".join(faults) if faults else "every dependency points down")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
