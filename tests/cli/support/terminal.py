"""Talks to a program on a terminal of its own: terminal.py PROGRAM ARGUMENT… reads steps from standard input, one a line:
    send TEXT    types TEXT (\\n, \\x03 … as in Python)
    wait TEXT    until TEXT has appeared since the last wait, at most 60 seconds
    pause S      seconds
    end CODE     until it ends, with this exit code"""
import os
import pty
import select
import sys
import time

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""


def read(seconds):
    global seen
    if not select.select([terminal], [], [], seconds)[0]:
        return True
    try:
        data = os.read(terminal, 65536)
    except OSError:
        return False
    seen += data
    return bool(data)


for line in sys.stdin:
    verb, _, rest = line.rstrip("\n").partition(" ")
    text = rest.encode().decode("unicode_escape").encode()
    limit = time.monotonic() + 60
    if verb == "send":
        os.write(terminal, text)
    elif verb == "pause":
        time.sleep(float(rest))
    elif verb == "wait":
        while text not in seen:
            if not read(0.2) or time.monotonic() > limit:
                sys.exit(f"waited for {rest!r}; there was {seen[-400:]!r}")
        seen = seen[seen.index(text) + len(text):]
    elif verb == "end":
        while read(0.2) and time.monotonic() < limit:
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != int(rest):
            sys.exit(f"exit code {code}, expected {rest}; there was {seen[-400:]!r}")
