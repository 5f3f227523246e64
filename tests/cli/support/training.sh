# Sourced after lib.sh: writes config.json (a tiny model) and rows.npy (rows of 17 tokens).
cat >config.json <<'END'
{"model": {"architecture": "decoder", "vocab_size": 64, "context": 32, "d_model": 32, "n_layers": 2,
           "attention": {"n_heads": 2, "pattern": ["causal", {"kind": "band", "width": 8}]},
           "position": "learned", "feedforward": {"kind": "dense", "d_ff": 64}},
 "train": {"steps": 120, "batch": 4, "length": 16, "dropout": 0.1, "checkpoint_every": 1,
           "optimizer": {"kind": "adamw", "lr": 3e-3}, "schedule": {"kind": "cosine", "warmup": 5}}}
END
python3 - <<'END'
import random, struct
random.seed(1)
rows, columns = 40, 17
header = "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, columns)
header += " " * (63 - (10 + len(header)) % 64) + "\n"
with open("rows.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    f.write(struct.pack("<%di" % (rows * columns), *(random.randrange(64) for _ in range(rows * columns))))
END
