#!/usr/bin/env python3
"""Times training steps of nanoGPT's GPU configuration in eager PyTorch, and prints them as Google Benchmark prints JSON.

  TorchTrainStep/dtype:autocast   float32 parameters, forward pass under autocast to bfloat16: as nanoGPT trains
  TorchTrainStep/dtype:bf16       parameters and activations in bfloat16, without autocast

The model is what train_lm trains: pre-norm blocks without biases, tied embeddings, fused attention, dropout everywhere. AdamW
is PyTorch's fused one, gradients are clipped to 1. An entry is the mean of one round: the host waits at its end alone.
Batches are drawn on the host and copied while the device works, as nanoGPT does it; their tokens are random, which changes no time.
"""
import argparse
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attention, self.attention_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.mlp_in, self.mlp_out = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        batch, context, width = x.shape
        q, k, v = (each.view(batch, context, self.heads, width // self.heads).transpose(1, 2)
                   for each in self.attention(self.norm1(x)).split(width, 2))
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0, is_causal=True)
        x = x + self.drop(self.attention_out(mixed.transpose(1, 2).reshape(batch, context, width)))
        return x + self.drop(self.mlp_out(F.gelu(self.mlp_in(self.norm2(x)))))


class Gpt(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(a.vocabulary, a.width), nn.Embedding(a.context, a.width)
        self.drop = nn.Dropout(a.dropout)
        self.blocks = nn.ModuleList(Block(a.width, a.heads, a.dropout) for _ in range(a.layers))
        self.norm = nn.LayerNorm(a.width, bias=False)
        self.head = nn.Linear(a.width, a.vocabulary, bias=False)
        self.tokens.weight = self.head.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x, y):
        hidden = self.drop(self.tokens(x) + self.positions(torch.arange(x.shape[1], device=x.device)))
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.head(self.norm(hidden))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))


class Training:
    def __init__(self, a, autocast):
        torch.manual_seed(1337)
        self.a, self.autocast = a, autocast
        self.text = torch.randint(a.vocabulary, (1_000_000,))
        self.model = Gpt(a).cuda()
        if not autocast:
            self.model = self.model.to(torch.bfloat16)
        matrices = [p for p in self.model.parameters() if p.dim() >= 2]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        self.optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}],
                                           lr=1e-3, betas=(0.9, 0.99), fused=True)
        self.batch = self.draw()

    def draw(self):
        places = torch.randint(len(self.text) - self.a.context - 1, (self.a.batch,))
        x = torch.stack([self.text[i:i + self.a.context] for i in places])
        y = torch.stack([self.text[i + 1:i + 1 + self.a.context] for i in places])
        return x.pin_memory().cuda(non_blocking=True), y.pin_memory().cuda(non_blocking=True)

    def step(self):
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.autocast):
            loss = self.model(*self.batch)
        self.batch = self.draw()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def seconds_of_a_step(self, steps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / steps


def measure(a, name, autocast):
    training = Training(a, autocast)
    training.seconds_of_a_step(a.warm_up)
    name = f"TorchTrainStep/dtype:{name}"
    return [{"name": name, "run_name": name, "run_type": "iteration", "real_time": 1e3 * training.seconds_of_a_step(a.steps),
             "time_unit": "ms"} for _ in range(a.rounds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in (("layers", 6), ("heads", 6), ("width", 384), ("context", 256), ("batch", 64), ("vocabulary", 65),
                            ("warm-up", 30), ("steps", 100), ("rounds", 3)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.2)
    a = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("pytorch_train: PyTorch sees no CUDA device: install its CUDA build, and the driver")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    benchmarks = []
    for name, autocast in (("autocast", True), ("bf16", False)):
        try:
            benchmarks += measure(a, name, autocast)
        except torch.cuda.OutOfMemoryError as error:
            name = f"TorchTrainStep/dtype:{name}"
            benchmarks.append({"name": name, "run_name": name, "run_type": "iteration", "error_occurred": True,
                               "error_message": str(error).splitlines()[0]})
        torch.cuda.empty_cache()
    context = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name()}
    print(json.dumps({"context": context, "benchmarks": benchmarks}, indent=1))


if __name__ == "__main__":
    main()
