"""What the benches share: running Spar and PyTorch in turn, medians, and results as JSON.

A result counts as a ratio of two programs measured in one run, A B A B …; it is written to
runs/bench/NAME.json with the processor, threads, commit and the command that repeats it. The result
before goes to runs/bench/previous/, which `make bench-check` compares with."""
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.environ.get("SPAR_BENCH_RESULTS", os.path.join(ROOT, "runs", "bench"))
SPAR = os.environ.get("SPAR", os.path.join(ROOT, "build", "spar"))
PYTHON = os.environ.get("SPAR_BENCH_PYTHON", sys.executable)


def say(text):
    print(text, file=sys.stderr, flush=True)


def spar(*arguments):
    """Runs Spar; returns its JSON."""
    command = [SPAR, *arguments, "--json"]
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, check=False)
    if p.returncode:
        sys.exit(f"{shlex.join(command)}: exit {p.returncode}")
    return json.loads(p.stdout)


class Torch:
    """PyTorch in a process of its own (torch_worker.py), which stays for further requests."""

    def __init__(self):
        worker = os.path.join(ROOT, "bench", "torch_worker.py")
        self.process = subprocess.Popen([PYTHON, worker], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{PYTHON} bench/torch_worker.py: ended; is torch there?")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def alternate(rounds, *programs):
    """Medians of what the programs return, run in turn."""
    values = [[] for _ in programs]
    for i in range(rounds):
        for kept, program in zip(values, programs):
            kept.append(program())
        say(f"  {i + 1}/{rounds}: " + ", ".join(f"{v[-1]:.4g}" for v in values))
    return [statistics.median(v) for v in values], values


def flags():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        lines = f.read().splitlines()
    return set(next((x for x in lines if x.startswith(("flags", "Features"))), "").split())


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def save(name, ratios, **result):
    """Ratios: what `make bench-check` watches, larger is better."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
                         cwd=ROOT, check=False)
    result = {"bench": name, "ratios": ratios, **result, "cpu": processor(),
              "threads": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
              "commit": git.stdout.strip(), "command": shlex.join([sys.executable, *sys.argv])}
    path = os.path.join(FOLDER, name + ".json")
    os.makedirs(os.path.join(FOLDER, "previous"), exist_ok=True)
    if os.path.exists(path):
        os.replace(path, os.path.join(FOLDER, "previous", name + ".json"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    print(json.dumps(result), flush=True)
    for key, ratio in ratios.items():
        say(f"{name}: {key}: {ratio:.2f}")
