"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): a decoder that samples text.

    python examples/models/gpt2.py

trains a small one on the standard library's text, character by character, then samples with its cache of keys and
values, eager and compiled from the same seed.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from support.data import CharacterText
from support.training import train

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F

#: what a target says of positions that have no loss
IGNORED = -1

#: for each block the keys and the values of the tokens so far, stacked: [2, B, heads, length, channels / heads]
Past = tuple[tg.Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are those of the smallest published model."""

    vocabulary: int = 50257
    context: int = 1024
    channels: int = 768
    depth: int = 12
    heads: int = 12
    widening: int = 4
    dropout: float = 0.1
    epsilon: float = 1e-5
    spread: float = 0.02

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.channels} channels evenly")


class Prediction(NamedTuple):
    """What the model gives: logits [B, T, vocabulary] of the token after each."""

    logits: tg.Tensor
    loss: tg.Tensor | None = None
    past: Past | None = None


class SelfAttention(nn.Module):
    """Each token gathers from itself and what came before; `out` brings the heads together."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.qkv = nn.Linear(sizes.channels, 3 * sizes.channels)
        self.out = nn.Linear(sizes.channels, sizes.channels)
        self.drop = nn.Dropout(sizes.dropout)

    def forward(self, x: tg.Tensor, visible: tg.Tensor, past: tg.Tensor | None) -> tuple[tg.Tensor, tg.Tensor]:
        """What the tokens `x` [B, T, C] gather where `visible` (bool, [T, keys] or more), and the longer past."""
        projected = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, present = projected[0], projected[1:]
        if past is not None:
            present = tg.cat([past, present], dim=-2)
        keys, values = present.unbind()
        rate = self.dropout if self.training else 0.0
        gathered = F.scaled_dot_product_attention(query, keys, values, attn_mask=visible, dropout_p=rate)
        return self.drop(self.out(gathered.movedim(1, 2).flatten(-2))), present


class Block(nn.Module):
    """Attention, then a feed-forward network, each on normalised input and added to what it was given."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide = sizes.widening * sizes.channels
        self.before_attention, self.before_feed = (nn.LayerNorm(sizes.channels, eps=sizes.epsilon) for _ in range(2))
        self.attention = SelfAttention(sizes)
        self.feed = nn.Sequential(
            OrderedDict(
                widen=nn.Linear(sizes.channels, wide),
                bend=nn.GELU(approximate="tanh"),
                out=nn.Linear(wide, sizes.channels),
                drop=nn.Dropout(sizes.dropout),
            )
        )

    def forward(self, x: tg.Tensor, visible: tg.Tensor, past: tg.Tensor | None) -> tuple[tg.Tensor, tg.Tensor]:
        gathered, present = self.attention(self.before_attention(x), visible, past)
        x = x + gathered
        return x + self.feed(self.before_feed(x)), present


class GPT2(nn.Module):
    """Learned tokens and places, the blocks, and logits as likeness to the tokens' own vectors."""

    is_earlier: tg.Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.tokens = nn.Embedding(sizes.vocabulary, sizes.channels)
        self.places = nn.Parameter(tg.empty(sizes.context, sizes.channels))
        self.drop = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(sizes.channels, eps=sizes.epsilon)
        place = tg.arange(sizes.context)
        self.register_buffer("is_earlier", place <= place[:, None], persistent=False)
        self.initialise()

    @tg.no_grad()
    def initialise(self) -> None:
        """Small normal weights, those that end a branch smaller with the number of branches; no biases."""
        branches = 2 * self.sizes.depth
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 2:
                ends_branch = name.endswith("out.weight")
                parameter.normal_(std=self.sizes.spread * (branches**-0.5 if ends_branch else 1.0))

    def forward(
        self,
        tokens: tg.Tensor,
        past: Past | None = None,
        is_token: tg.Tensor | None = None,
        target: tg.Tensor | None = None,
        with_past: bool = False,
    ) -> Prediction:
        """Logits for what follows each of the `tokens` [B, T]; with a `target` [B, T], the loss of predicting that.

        Args:
            past: of the tokens before these.
            is_token: which tokens, those of the past included, are not padding, bool [B, length].
            with_past: whether to give the past that the next tokens will have.
        """
        start = past[0].size(-2) if past else 0
        end = start + tokens.size(1)
        if end > self.sizes.context:
            raise ValueError(f"the context holds {self.sizes.context} tokens, not {end}")
        visible = self.is_earlier[start:end, :end]
        if is_token is not None:
            visible = visible & is_token[:, None, None, :]

        x = self.drop(self.tokens(tokens) + self.places[start:end])
        grown = []
        for depth, block in enumerate(self.blocks):
            x, present = block(x, visible, past[depth] if past else None)
            grown.append(present)
        logits = F.linear(self.norm(x), self.tokens.weight)

        loss = None
        if target is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORED)
        return Prediction(logits, loss, tuple(grown) if with_past else None)

    @tg.no_grad()
    def generate(self, prompt: tg.Tensor, length: int, temperature: float = 1.0, top_k: int | None = None) -> tg.Tensor:
        """The `prompt` [B, T] and `length` tokens drawn after it, each from the `top_k` most likely ones."""
        text, past = [prompt], None
        for _ in range(length):
            seen = self(text[-1], past=past, with_past=True)
            past = seen.past
            text.append(draw(seen.logits[:, -1], temperature, top_k))
        return tg.cat(text, dim=1)


def draw(logits: tg.Tensor, temperature: float, top_k: int | None) -> tg.Tensor:
    """A token [B, 1] for each row of logits: the sharper the lower the temperature."""
    vocabulary = logits.size(-1)
    scores, candidates = logits.topk(min(top_k or vocabulary, vocabulary))
    choice = (scores / temperature).softmax(dim=-1).multinomial(1)
    return candidates.gather(-1, choice)


def small(**changes: int | float) -> GPT2:
    """Two blocks of 32 channels, over characters."""
    return GPT2(Sizes(**{"vocabulary": 96, "context": 64, "channels": 32, "depth": 2, "heads": 4, **changes}))


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randint(0, 96, (batch, 12)),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    """Tokens, and targets of which the last two do not count."""
    tokens, target = tg.randint(0, 96, (2, batch, 12)).unbind()
    return tokens, target.masked_fill(tg.arange(12) > 9, IGNORED)


def loss_of(model: GPT2, tokens: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    return model(tokens, target=target).loss


def main() -> int:
    tg.manual_seed(0)
    text = CharacterText()
    model = small(dropout=0.05)
    train(model, loss_of, text.batches(batch=16, length=32, steps=80), lr=5e-3, clip=1.0)

    model.eval()
    prompt = tg.from_numpy(text.encode("def ")[None])

    def sample(sampler: nn.Module) -> list[int]:
        tg.manual_seed(1)
        return sampler.generate(prompt, length=50, temperature=0.7, top_k=20)[0].tolist()

    eager, compiled = sample(model), sample(tg.compile(model))
    print(repr(text.decode(eager)))
    print(f"compiled sampling gives the same {np.equal(eager, compiled).mean():.0%} of the characters")
    return 0 if eager == compiled else 1


if __name__ == "__main__":
    sys.exit(main())
