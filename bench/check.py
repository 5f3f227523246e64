#!/usr/bin/env python3
"""Names the ratios that fell by more than 10 % between the last two runs of a bench.

    bench/check.py [PERCENT]     exits 1 when there are any"""
import glob
import json
import os
import sys

from common import FOLDER


def main():
    allowed = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    fell = compared = 0
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        before = os.path.join(FOLDER, "previous", os.path.basename(path))
        if not os.path.exists(before):
            continue
        with open(path, encoding="utf-8") as f, open(before, encoding="utf-8") as g:
            new, old = json.load(f), json.load(g)
        if (new["cpu"], new["threads"]) != (old["cpu"], old["threads"]):
            print(f"{new['bench']}: on another processor before, not compared")
            continue
        for name, ratio in new["ratios"].items():
            last = old["ratios"].get(name)
            if last is None:
                continue
            compared += 1
            if ratio < last * (1 - allowed / 100):
                fell += 1
                print(f"{new['bench']}: {name}: {ratio:.3g}, was {last:.3g} at {old['commit']} "
                      f"({100 * (ratio / last - 1):.0f} %)")
    print(f"{compared} ratios compared, {fell} fell by more than {allowed:g} %")
    return 1 if fell or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
