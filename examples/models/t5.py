"""T5 (Raffel et al. 2019, arXiv:1910.10683): an encoder-decoder with relative position buckets.

    python examples/models/t5.py

trains a small one to restore spans cut out of the standard library's text, then decodes greedily with the cache, eager
and compiled.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from support.data import CharacterText
from support.training import train

import tracegraph as tg
from tracegraph import nn

#: what a target says of positions that have no loss
IGNORED = -100


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are those of the paper's small model."""

    vocabulary: int = 32128
    channels: int = 512
    heads: int = 8
    per_head: int = 64
    hidden: int = 2048
    depth: int = 6
    buckets: int = 32
    reach: int = 128
    dropout: float = 0.1
    epsilon: float = 1e-6
    is_gated: bool = True
    is_causal: bool = False
    is_tied: bool = True
    start: int = 0


class Record(OrderedDict):
    """The base of dataclasses that are read by attribute, by name and by position; fields that are None are left out.

    It is filled once, by the dataclass, and not written afterwards.
    """

    def __post_init__(self) -> None:
        filled = {f.name: getattr(self, f.name) for f in fields(self)}
        super().update((name, content) for name, content in filled.items() if content is not None)

    def __getitem__(self, place: str | int | slice) -> Any:
        return super().__getitem__(place) if isinstance(place, str) else tuple(self.values())[place]


class Cached(NamedTuple):
    """Keys and values of the tokens so far, [B, heads, length, per head]."""

    keys: tg.Tensor
    values: tg.Tensor

    @property
    def length(self) -> int:
        return self.keys.size(2)


class Memories(NamedTuple):
    """What one block of the decoder remembers: of its own tokens, and of the encoder's."""

    own: Cached
    other: Cached


@dataclass
class Encoded(Record):
    """What a stack gives: states [B, T, C], memories of its blocks, and their attention [B, heads, T, keys]."""

    states: tg.Tensor | None = None
    memories: tuple[Memories, ...] | None = None
    attention: tuple[tg.Tensor, ...] | None = None


@dataclass
class Answer(Record):
    """What the whole model gives; `logits` are [B, T, vocabulary]."""

    loss: tg.Tensor | None = None
    logits: tg.Tensor | None = None
    memories: tuple[Memories, ...] | None = None
    attention: tuple[tg.Tensor, ...] | None = None
    encoded: tg.Tensor | None = None


class RMSNorm(nn.Module):
    """Channels divided by their root mean square, which is taken in float32, and scaled."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(tg.ones(channels))
        self.epsilon = epsilon

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        square = x.float().square().mean(dim=-1, keepdim=True)
        return self.scale * (x * (square + self.epsilon).rsqrt()).type_as(self.scale)


class FeedForward(nn.Module):
    """Two linear maps around a ReLU, or around a GELU that gates a third."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.into = nn.ModuleList(
            nn.Linear(sizes.channels, sizes.hidden, bias=False) for _ in range(2 if sizes.is_gated else 1)
        )
        self.out = nn.Linear(sizes.hidden, sizes.channels, bias=False)
        self.drop = nn.Dropout(sizes.dropout)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        first, *gated = [linear(x) for linear in self.into]
        inner = nn.functional.gelu(first, approximate="tanh") * gated[0] if gated else first.relu()
        return self.out(self.drop(inner))


class PositionBias(nn.Module):
    """A learned bias for each head and each bucket of distances from query to key.

    Of the buckets for one direction half hold a single distance each; the others grow as the logarithm up to `reach`,
    and the last one holds all that lies beyond. Without a future all buckets are for the past.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.table = nn.Embedding(sizes.buckets, sizes.heads)
        self.sees_future = not sizes.is_causal
        self.buckets = sizes.buckets // 2 if self.sees_future else sizes.buckets
        self.reach = sizes.reach

    def bucket(self, ahead: tg.Tensor) -> tg.Tensor:
        """The bucket of keys that lie so many places ahead."""
        exact = self.buckets // 2
        distance = ahead.abs() if self.sees_future else (-ahead).clamp(min=0)
        growth = (self.buckets - exact) / math.log(self.reach / exact)
        far = exact + (growth * (distance.clamp(min=exact) / exact).log()).long()
        found = tg.where(distance < exact, distance, far.clamp(max=self.buckets - 1))
        return found + self.buckets * (ahead > 0) if self.sees_future else found

    def forward(self, first: int, queries: int, keys: int) -> tg.Tensor:
        """[heads, queries, keys], for queries from position `first` on."""
        place = tg.arange(keys)
        return self.table(self.bucket(place - place[first : first + queries, None])).permute(2, 0, 1)


class Attention(nn.Module):
    """Attention of many heads, without the scaling of scores: initialisation sees to that."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.heads * sizes.per_head
        self.heads = sizes.heads
        self.query, self.key, self.value = (nn.Linear(sizes.channels, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, sizes.channels, bias=False)
        self.drop = nn.Dropout(sizes.dropout)

    def split(self, x: tg.Tensor) -> tg.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def remember(self, x: tg.Tensor, before: Cached | None = None) -> Cached:
        """Keys and values of the tokens `x`, after those of `before`."""
        new = Cached(self.split(self.key(x)), self.split(self.value(x)))
        return new if before is None else Cached(*(tg.cat(pair, dim=2) for pair in zip(before, new, strict=True)))

    def forward(self, x: tg.Tensor, seen: Cached, bias: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        """What the tokens `x` find in what is `seen`, and with which weights."""
        scores = self.split(self.query(x)) @ seen.keys.mT + bias
        weights = scores.float().softmax(dim=-1).type_as(scores)
        found = self.drop(weights) @ seen.values
        return self.out(found.transpose(1, 2).flatten(2)), weights


class Residual(nn.Module):
    """A layer on normalised input, added to what it was given."""

    def __init__(self, layer: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.norm = RMSNorm(sizes.channels, sizes.epsilon)
        self.layer = layer
        self.drop = nn.Dropout(sizes.dropout)


class Block(nn.Module):
    """Attention among the tokens, in a decoder attention to the encoder's, then the feed-forward layer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.own = Residual(Attention(sizes), sizes)
        self.other = Residual(Attention(sizes), sizes) if sizes.is_causal else None
        self.forth = Residual(FeedForward(sizes), sizes)

    def forward(
        self,
        x: tg.Tensor,
        own_bias: tg.Tensor,
        other_bias: tg.Tensor | float,
        encoded: tg.Tensor | None,
        memories: Memories | None,
    ) -> tuple[tg.Tensor, Memories, tg.Tensor]:
        own, other = memories or (None, None)
        normal = self.own.norm(x)
        own = self.own.layer.remember(normal, own)
        found, weights = self.own.layer(normal, own, own_bias)
        x = x + self.own.drop(found)
        if self.other is not None:
            other = other or self.other.layer.remember(encoded)  # the same at every step
            x = x + self.other.drop(self.other.layer(self.other.norm(x), other, other_bias)[0])
        x = x + self.forth.drop(self.forth.layer(self.forth.norm(x)))
        return x, Memories(own, other), weights


def as_bias(allowed: tg.Tensor, dtype: tg.dtype) -> tg.Tensor:
    """0 where attention is allowed, the most negative number where it is not."""
    return tg.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, tg.finfo(dtype).min)


class Stack(nn.Module):
    """The encoder or the decoder: blocks, all with the position biases of the first."""

    def __init__(self, sizes: Sizes, embedding: nn.Embedding) -> None:
        super().__init__()
        self.is_causal = sizes.is_causal
        self.embedding = embedding
        self.position = PositionBias(sizes)
        self.blocks = nn.ModuleList([Block(sizes) for _ in range(sizes.depth)])
        self.norm = RMSNorm(sizes.channels, sizes.epsilon)
        self.drop = nn.Dropout(sizes.dropout)

    def forward(
        self,
        tokens: tg.Tensor,
        is_token: tg.Tensor | None = None,
        encoded: tg.Tensor | None = None,
        memories: Sequence[Memories | None] | None = None,
        with_memories: bool = False,
        with_attention: bool = False,
    ) -> Encoded:
        """`is_token` [B, T] tells tokens from padding: the stack's own in the encoder, the encoder's in the decoder."""
        if with_memories and not self.is_causal:
            raise ValueError("an encoder sees all tokens at once and has nothing to remember them for")
        x = self.drop(self.embedding(tokens))
        count = tokens.size(1)
        before = memories[0].own.length if memories else 0
        bias = self.position(before, count, before + count)
        padding = None if is_token is None else as_bias(is_token[:, None, None, :], x.dtype)
        if self.is_causal:
            place = tg.arange(before + count)
            bias = bias + as_bias(place <= place[before:, None], x.dtype)
        elif padding is not None:
            bias = bias + padding
        kept, attention = [], []
        for block, memory in zip(self.blocks, memories or [None] * len(self.blocks), strict=True):
            x, memory, weights = block(x, bias, 0.0 if padding is None else padding, encoded, memory)
            kept.append(memory)
            attention.append(weights)
        return Encoded(
            states=self.drop(self.norm(x)),
            memories=tuple(kept) if with_memories else None,
            attention=tuple(attention) if with_attention else None,
        )


class T5(nn.Module):
    """Encoder, decoder, and the map to logits, which shares the embedding's weight."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.channels)
        self.encoder = Stack(replace(sizes, is_causal=False), self.embedding)
        self.decoder = Stack(replace(sizes, is_causal=True), self.embedding)
        self.head = nn.Linear(sizes.channels, sizes.vocabulary, bias=False)
        self.apply(self.initialise)
        if sizes.is_tied:
            self.head.weight = self.embedding.weight

    @tg.no_grad()
    def initialise(self, module: nn.Module) -> None:
        """Unit variance of what a layer gives; queries are smaller still, since scores are not scaled."""
        for name, linear in module.named_children():
            if isinstance(linear, nn.Linear) and linear is not self.head:
                spread = linear.in_features**-0.5
                linear.weight.normal_(std=spread * self.sizes.per_head**-0.5 if name == "query" else spread)
        if isinstance(module, PositionBias):
            module.table.weight.normal_(std=self.sizes.channels**-0.5)

    def delayed(self, target: tg.Tensor) -> tg.Tensor:
        """The decoder's input where `target` is wanted: each token one place later, behind the start token."""
        known = target.where(target != IGNORED, self.sizes.start)
        return nn.functional.pad(known[:, :-1], (1, 0), value=self.sizes.start)

    def forward(
        self,
        source: tg.Tensor | None = None,
        is_token: tg.Tensor | None = None,
        so_far: tg.Tensor | None = None,
        encoded: Encoded | None = None,
        memories: tuple[Memories, ...] | None = None,
        target: tg.Tensor | None = None,
        with_memories: bool = False,
        with_attention: bool = False,
    ) -> Answer:
        """Logits of what follows each of the tokens `so_far`; with a `target` [B, T], the loss of predicting that.

        Args:
            source: tokens [B, S] to encode, unless they are `encoded` already.
            is_token: which of them are not padding, bool [B, S].
            memories: of the decoder's tokens before `so_far`.
        """
        if encoded is None:
            encoded = self.encoder(source, is_token)
        if so_far is None and target is not None:
            so_far = self.delayed(target)
        decoded = self.decoder(so_far, is_token, encoded[0], memories, with_memories, with_attention)
        states = decoded.states * self.sizes.channels**-0.5 if self.sizes.is_tied else decoded.states
        logits = self.head(states)
        loss = None
        if target is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORED)
        return Answer(loss, logits, decoded.memories, decoded.attention, encoded["states"])

    @tg.no_grad()
    def generate(self, source: tg.Tensor, is_token: tg.Tensor | None = None, max_length: int = 16) -> tg.Tensor:
        """The most likely next token at every step, [B, max_length]."""
        encoded, memories = self.encoder(source, is_token), None
        chosen = [tg.full((source.size(0), 1), self.sizes.start)]
        while len(chosen) <= max_length:
            answer = self(is_token=is_token, so_far=chosen[-1], encoded=encoded, memories=memories, with_memories=True)
            memories = answer.memories
            chosen.append(answer.logits[:, -1:].argmax(dim=-1))
        return tg.cat(chosen[1:], dim=1)


SENTINEL, VOCABULARY = 96, 97


def small() -> T5:
    """Two blocks of 32 channels on each side, over characters."""
    return T5(Sizes(vocabulary=VOCABULARY, channels=32, heads=4, per_head=8, hidden=64, depth=2, buckets=16, reach=32))


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    lengths = 12 - tg.arange(batch) % 4
    is_token = tg.arange(12) < lengths[:, None]
    return tg.randint(1, 96, (batch, 12)), is_token, tg.randint(1, 96, (batch, 6))


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    source, is_token, target = example_inputs(batch)
    return source, is_token, target.masked_fill(tg.arange(6) > 4, IGNORED)


def loss_of(model: T5, source: tg.Tensor, is_token: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    return model(source, is_token=is_token, target=target).loss


def cut_spans(batch: int, steps: int, length: int = 20, span: int = 4) -> list[tuple[tg.Tensor, tg.Tensor, tg.Tensor]]:
    """Windows of text in which a sentinel stands for a span, and the spans (the objective of the paper)."""
    text, rng = CharacterText(), np.random.default_rng(0)
    batches = []
    for windows, _ in text.batches(batch, length, steps):
        tokens = windows.numpy()
        cuts = rng.integers(4, length - span - 4, batch)
        labels = np.stack([row[c : c + span] for row, c in zip(tokens, cuts, strict=True)])
        inputs = np.stack([[*row[:c], SENTINEL, *row[c + span :]] for row, c in zip(tokens, cuts, strict=True)])
        is_token = np.ones(inputs.shape, np.bool_)
        batches.append((tg.from_numpy(inputs), tg.from_numpy(is_token), tg.from_numpy(labels)))
    return batches


def main() -> int:
    tg.manual_seed(0)
    batches = cut_spans(batch=32, steps=50)
    model = small()
    train(model, loss_of, batches, lr=1e-2, clip=1.0, falls_to=0.9)
    model.eval()
    source, is_token, target = (t[:2] for t in batches[0])
    answers = [m.generate(source, is_token, max_length=4) for m in (model, tg.compile(model))]
    text = CharacterText()
    for given, wanted, found in zip(source.tolist(), target.tolist(), answers[0].tolist(), strict=True):
        print(f"{text.decode(given)!r}: {text.decode(wanted)!r} restored as {text.decode(found)!r}")
    same = tg.equal(*answers)
    print(f"compiled decoding gives {'the same' if same else 'something else'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
