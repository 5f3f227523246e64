"""Random models in the shape of LLaMA as GGUF, which both Spar and llama.cpp read; nothing but numpy.

Tensors are written one after the other, and equal shapes share their random bytes, so a model of any
size takes the memory of its largest matrix. Blocks are random bits with scales of a useful size: the
numbers mean nothing, but they are finite, and neither program's speed depends on them."""
import struct

import numpy

# name: (number in files, weights of a block, bytes of a block, [(where a binary16 scale lies, scale)])
TYPES = {
    "f32": (0, 1, 4, None), "f16": (1, 1, 2, None), "bf16": (30, 1, 2, None),
    "q8_0": (8, 32, 34, [(0, 2e-4)]),
    "q4_0": (2, 32, 18, [(0, 3e-3)]), "q4_1": (3, 32, 20, [(0, 3e-3), (2, -2e-2)]),
    "q5_0": (6, 32, 22, [(0, 1.5e-3)]), "q5_1": (7, 32, 24, [(0, 1.5e-3), (2, -2e-2)]),
    "q2_k": (10, 256, 84, [(80, 1e-3), (82, 1e-3)]), "q3_k": (11, 256, 110, [(108, 3e-4)]),
    "q4_k": (12, 256, 144, [(0, 1e-4), (2, 1e-3)]), "q5_k": (13, 256, 176, [(0, 5e-5), (2, 1e-3)]),
    "q6_k": (14, 256, 210, [(208, 3e-5)]),
    "iq4_nl": (20, 32, 18, [(0, 3e-4)]), "iq4_xs": (23, 256, 136, [(0, 1e-5)]),
}

# Numbers of a value's type in GGUF.
_NUMBERS = {"u32": (4, "<I"), "f32": (6, "<f")}


def row_bytes(kind, columns):
    _, block, size, _ = TYPES[kind]
    if columns % block:
        raise SystemExit(f"{kind}: rows of {columns}, expected a multiple of {block}")
    return columns // block * size


def random_matrix(rng, kind, rows, columns):
    """The bytes of a matrix, [rows, bytes of a row]."""
    _, block, size, scales = TYPES[kind]
    if scales is None:
        x = rng.standard_normal((rows, columns), dtype=numpy.float32) * numpy.float32(0.02)
        if kind == "bf16":
            x = (x.view(numpy.uint32) >> 16).astype(numpy.uint16)
        elif kind == "f16":
            x = x.astype(numpy.float16)
        return x.view(numpy.uint8).reshape(rows, -1)
    out = rng.integers(0, 256, (rows * columns // block, size), dtype=numpy.uint8)
    for at, scale in scales:
        out[:, at:at + 2] = numpy.frombuffer(numpy.float16(scale).tobytes(), numpy.uint8)
    return out.reshape(rows, -1)


def _text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key, kind, value):
    if kind == "text":
        return _text(key) + struct.pack("<I", 8) + _text(value)
    if kind == "texts":
        return (_text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value)))
    if kind in ("f32s", "i32s"):
        array = numpy.array(value, "<f4" if kind == "f32s" else "<i4")
        return (_text(key) + struct.pack("<IIQ", 9, 6 if kind == "f32s" else 5, len(value))
                + array.tobytes())
    number, form = _NUMBERS[kind]
    return _text(key) + struct.pack("<I", number) + struct.pack(form, value)


def _pairs(s):
    vocabulary = s["vocab"]
    words = (["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
             + [f"t{i}" for i in range(vocabulary - 259)])
    return [
        ("general.architecture", "text", "llama"), ("general.name", "text", "random"),
        ("llama.block_count", "u32", s["layers"]), ("llama.context_length", "u32", s["context"]),
        ("llama.embedding_length", "u32", s["d_model"]), ("llama.feed_forward_length", "u32", s["d_ff"]),
        ("llama.attention.head_count", "u32", s["heads"]),
        ("llama.attention.head_count_kv", "u32", s["kv_heads"]),
        ("llama.attention.layer_norm_rms_epsilon", "f32", 1e-5), ("llama.rope.freq_base", "f32", 1e4),
        ("llama.rope.dimension_count", "u32", s["d_model"] // s["heads"]),
        ("llama.vocab_size", "u32", vocabulary), ("tokenizer.ggml.model", "text", "llama"),
        ("tokenizer.ggml.tokens", "texts", words), ("tokenizer.ggml.scores", "f32s", [0.0] * vocabulary),
        ("tokenizer.ggml.token_type", "i32s", [2, 3, 3] + [6] * 256 + [1] * (vocabulary - 259)),
        ("tokenizer.ggml.bos_token_id", "u32", 1), ("tokenizer.ggml.eos_token_id", "u32", 2),
    ]


def _tensors(s, kind):
    """(name, type, rows, columns); rows None for a vector."""
    d, kv = s["d_model"], s["d_model"] // s["heads"] * s["kv_heads"]
    yield "token_embd.weight", kind, s["vocab"], d
    yield "output.weight", kind, s["vocab"], d
    yield "output_norm.weight", "f32", None, d
    for i in range(s["layers"]):
        p = f"blk.{i}."
        yield p + "attn_norm.weight", "f32", None, d
        yield p + "attn_q.weight", kind, d, d
        yield p + "attn_k.weight", kind, kv, d
        yield p + "attn_v.weight", kind, kv, d
        yield p + "attn_output.weight", kind, d, d
        yield p + "ffn_norm.weight", "f32", None, d
        yield p + "ffn_gate.weight", kind, s["d_ff"], d
        yield p + "ffn_up.weight", kind, s["d_ff"], d
        yield p + "ffn_down.weight", kind, d, s["d_ff"]


def parameters(s):
    return sum((rows or 1) * columns for _, _, rows, columns in _tensors(s, "f32"))


def write(path, shape, kind):
    """Returns the bytes of all tensors."""
    tensors, at, table = list(_tensors(shape, kind)), 0, b""
    for name, t, rows, columns in tensors:
        sizes = [columns] if rows is None else [columns, rows]
        table += _text(name) + struct.pack("<I", len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)
        table += struct.pack("<IQ", TYPES[t][0], at)
        at += -(-(rows or 1) * row_bytes(t, columns) // 32) * 32
    pairs = _pairs(shape)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs))
    head += b"".join(_pair(*p) for p in pairs) + table
    rng, shared = numpy.random.default_rng(1), {}
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32))
        for _, t, rows, columns in tensors:
            if rows is None:
                data = numpy.ones(columns, numpy.float32)
            else:
                if (rows, columns) not in shared:
                    if sum(x.nbytes for x in shared.values()) > 1 << 30:
                        shared.clear()
                    shared[rows, columns] = random_matrix(rng, t, rows, columns)
                data = shared[rows, columns]
            f.write(memoryview(data).cast("B"))
            f.write(b"\0" * (-data.nbytes % 32))
    return at
