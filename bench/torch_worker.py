#!/usr/bin/env python3
"""PyTorch's side of a bench, in a process of its own: reads one JSON request a line, answers each.

    {"do": "train", "config": {…}, "precision": "f32", "attention": "fused", "steps": 3}
    {"do": "attention", "length": 2048, "heads": 12, "head_dim": 64, "repeats": 1}
    {"do": "peak"}      the most memory that this process has held

A model is made once for each precision and attention, and kept for further requests."""
import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F


class Block(torch.nn.Module):
    """A pre-norm block of GPT-2: causal attention and a feed-forward with tanh-GELU."""

    def __init__(self, d, heads, d_ff, fused):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(d), torch.nn.LayerNorm(d)
        self.qkv, self.out = torch.nn.Linear(d, 3 * d), torch.nn.Linear(d, d)
        self.up, self.down = torch.nn.Linear(d, d_ff), torch.nn.Linear(d_ff, d)
        self.heads, self.fused = heads, fused

    def attend(self, x):
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
                   for y in self.qkv(x).split(d, 2))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            s = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
            hidden = torch.ones(t, t, dtype=torch.bool).triu(1)
            y = s.masked_fill(hidden, -math.inf).softmax(3) @ v
        return self.out(y.transpose(1, 2).reshape(b, t, d))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(torch.nn.Module):
    """GPT-2 with a tied head: the model that the configuration describes."""

    def __init__(self, model, fused):
        super().__init__()
        d = model["d_model"]
        self.tokens = torch.nn.Embedding(model["vocab_size"], d)
        self.positions = torch.nn.Embedding(model["context"], d)
        self.blocks = torch.nn.ModuleList(
            Block(d, model["attention"]["n_heads"], model["feedforward"]["d_ff"], fused)
            for _ in range(model["n_layers"]))
        self.norm = torch.nn.LayerNorm(d)
        torch.nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight[:ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Training:
    """Full steps: forward, backward, clipping, fused AdamW."""

    def __init__(self, config, precision, fused):
        torch.manual_seed(1)
        train = config["train"]
        self.bf16, self.clip = precision == "bf16", train["clip"]
        self.model = GPT(config["model"], fused)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        rows = torch.randint(config["model"]["vocab_size"], (train["batch"], train["length"] + 1))
        self.ids, self.targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def step(self):
        begin = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.model(self.ids, self.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        return time.perf_counter() - begin


def attention(request):
    """Seconds of causal attention, forward and backward, over one sequence."""
    shape = (1, request["heads"], request["length"], request["head_dim"])
    q, k, v = (torch.randn(shape).requires_grad_() for _ in range(3))
    dy = torch.randn(shape)
    seconds = []
    for _ in range(request["repeats"] + 1):
        q.grad = k.grad = v.grad = None
        begin = time.perf_counter()
        F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(dy)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def main():
    trainings = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "peak":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        elif request["do"] == "attention":
            answer = attention(request)
        else:
            name = request["precision"], request["attention"]
            if name not in trainings:
                trainings[name] = Training(request["config"], name[0], name[1] == "fused")
                trainings[name].step()
            answer = [trainings[name].step() for _ in range(request["steps"])]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
