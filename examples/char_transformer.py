"""A character-level Transformer trained on the Python standard library's own sources, with sampling at the end.

python examples/char_transformer.py [--steps 150] [--eager]
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.nn import functional as F

SEED = 0
CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 64, 64, 4, 2, 16
MODULES = ("heapq", "bisect", "textwrap", "fractions", "statistics", "shelve", "queue", "sched", "string", "calendar")


class Block(nn.Module):
    """Pre-norm Transformer block: causal self-attention, then a two-layer MLP, each with a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        batch, time_steps, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, time_steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time_steps, width))
        return x + self.mlp(self.norm2(x))


class CharTransformer(nn.Module):
    """Logits [B, T, vocabulary] of the next character for indices [B, T]."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block(WIDTH, HEADS) for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocabulary)

    def forward(self, tokens: tg.Tensor) -> tg.Tensor:
        x = self.token(tokens) + self.position(tg.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def loss_of(model: nn.Module, tokens: tg.Tensor, targets: tg.Tensor) -> tg.Tensor:
    """Mean cross entropy per character, in nats."""
    logits = model(tokens)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def corpus() -> str:
    """The text of some standard library modules."""
    root = Path(sysconfig.get_path("stdlib"))
    return "\n".join((root / f"{name}.py").read_text(encoding="utf-8") for name in MODULES)


def sample(model: nn.Module, prompt: str, letters: list[str], length: int) -> str:
    """Continue `prompt` by `length` characters drawn from the model at temperature 0.8."""
    index = {c: i for i, c in enumerate(letters)}
    text = prompt
    model.eval()
    with tg.no_grad():
        for _ in range(length):
            # always the full context, so that one compiled specialisation serves every step
            window = text[-CONTEXT:].rjust(CONTEXT, "\n")
            tokens = tg.tensor([[index[c] for c in window]])
            probabilities = F.softmax(model(tokens)[0, -1] / 0.8, dim=-1)
            text += letters[int(tg.multinomial(probabilities, 1).item())]
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    arguments = parser.parse_args()
    text = corpus()
    letters = sorted(set(text))
    index = {c: i for i, c in enumerate(letters)}
    data = np.array([index[c] for c in text], dtype=np.int64)
    print(f"{len(text):,} characters, {len(letters)} different")

    tg.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = CharTransformer(len(letters))
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    step_loss = loss_of if arguments.eager else tg.compile(loss_of)
    losses: list[float] = []
    start = time.perf_counter()
    for step in range(1, arguments.steps + 1):
        starts = rng.integers(0, len(data) - CONTEXT - 1, BATCH)
        tokens = tg.tensor(np.stack([data[s : s + CONTEXT] for s in starts]))
        targets = tg.tensor(np.stack([data[s + 1 : s + CONTEXT + 1] for s in starts]))
        optimizer.zero_grad()
        loss = step_loss(model, tokens, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 25 == 0 or step == 1:
            print(f"step {step:4}  loss {np.mean(losses[-25:]):.3f} nats  {time.perf_counter() - start:6.1f} s")
    print("--- sample ---")
    print(sample(model if arguments.eager else tg.compile(model), "def ", letters, 200))
    if np.mean(losses[-20:]) > 0.75 * losses[0]:
        print("the loss did not fall as it should", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
