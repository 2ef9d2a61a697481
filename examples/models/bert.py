"""BERT (Devlin et al. 2018, arXiv:1810.04805): an encoder that sees both ways, trained to restore hidden tokens.

    python examples/models/bert.py

trains a small one on lines of the standard library's text, compares a compiled step with an eager one, and restores the
hidden characters of some lines with the feed-forward layers run piece by piece.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.data import CharacterText
from support.training import TOLERANCE, largest_difference, train

import tracegraph as tg
from tracegraph import nn

#: what a target says of tokens that were not hidden
IGNORED = -100


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are those of the paper's base model.

    Attributes:
        chunk: how many tokens of a sequence the feed-forward layers take at a time, all of them if 0.
        with_summary: whether the first token's state is made into one vector for the whole sequence.
    """

    vocabulary: int = 30522
    places: int = 512
    segments: int = 2
    channels: int = 768
    heads: int = 12
    hidden: int = 3072
    depth: int = 12
    activation: Callable[[tg.Tensor], tg.Tensor] = nn.functional.gelu
    dropout: float = 0.1
    epsilon: float = 1e-12
    spread: float = 0.02
    padding: int = 0
    chunk: int = 0
    with_summary: bool = False

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.channels} channels evenly")


class Embedding(nn.Module):
    """What a token is, where it stands, and which of the two texts it belongs to, as one normalised vector."""

    order: tg.Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.token = nn.Embedding(sizes.vocabulary, sizes.channels, padding_idx=sizes.padding)
        self.place = nn.Embedding(sizes.places, sizes.channels)
        self.segment = nn.Embedding(sizes.segments, sizes.channels)
        self.norm = nn.LayerNorm(sizes.channels, eps=sizes.epsilon)
        self.drop = nn.Dropout(sizes.dropout)
        self.register_buffer("order", tg.arange(sizes.places), persistent=False)

    def forward(
        self, tokens: tg.Tensor, segments: tg.Tensor | None = None, places: tg.Tensor | None = None
    ) -> tg.Tensor:
        vectors = tokens if tokens.is_floating_point() else self.token(tokens)
        place = self.place(self.order[: vectors.size(1)] if places is None else places)
        segment = self.segment.weight[0] if segments is None else self.segment(segments)
        return self.drop(self.norm(vectors + place + segment))


class Attention(nn.Module):
    """Attention of many heads; queries, keys and values come from one linear map."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.project = nn.Linear(sizes.channels, 3 * sizes.channels)
        self.out = nn.Linear(sizes.channels, sizes.channels)
        self.rate = sizes.dropout

    def forward(
        self, x: tg.Tensor, allowed: tg.Tensor | None, gates: tg.Tensor | None, kept: list[tg.Tensor] | None
    ) -> tg.Tensor:
        """`gates` [heads] scale what each head finds; the weights [B, heads, T, T] are appended to `kept`."""
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        rate = self.rate if self.training else 0.0
        if kept is None:
            found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=rate)
        else:
            scores = tg.einsum("bhqc,bhkc->bhqk", query, key) * query.size(-1) ** -0.5
            weights = (scores if allowed is None else scores.masked_fill(~allowed, -tg.inf)).softmax(dim=-1)
            kept.append(weights)
            found = tg.einsum("bhqk,bhkc->bhqc", nn.functional.dropout(weights, rate), value)
        if gates is not None:
            found = found * gates[:, None, None]
        return self.out(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear maps around an activation; no token needs another, so a sequence may pass in pieces to save memory."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.into = nn.Linear(sizes.channels, sizes.hidden)
        self.out = nn.Linear(sizes.hidden, sizes.channels)
        self.activation = sizes.activation
        self.chunk = sizes.chunk

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        if not self.chunk:
            return self.each(x)
        return tg.cat([self.each(piece) for piece in x.split(self.chunk, dim=1)], dim=1)

    def each(self, x: tg.Tensor) -> tg.Tensor:
        return self.out(self.activation(self.into(x)))


class Residual(nn.Module):
    """A layer's result added to what it was given, normalised afterwards."""

    def __init__(self, layer: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.layer = layer
        self.drop = nn.Dropout(sizes.dropout)
        self.norm = nn.LayerNorm(sizes.channels, eps=sizes.epsilon)

    def forward(self, x: tg.Tensor, *rest: Any) -> tg.Tensor:
        return self.norm(x + self.drop(self.layer(x, *rest)))


class Block(nn.Module):
    """Attention, then the feed-forward layer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.among = Residual(Attention(sizes), sizes)
        self.within = Residual(FeedForward(sizes), sizes)

    def forward(self, x: tg.Tensor, *how: Any) -> tg.Tensor:
        return self.within(self.among(x, *how))


def over_heads(visible: tg.Tensor) -> tg.Tensor:
    """Which keys may be seen, [B, keys] or for each query [B, queries, keys], in a shape that broadcasts over heads."""
    match visible.dim():
        case 2:
            return visible[:, None, None, :]
        case 3:
            return visible[:, None]
        case _:
            raise ValueError(f"what is visible should be [B, keys] or [B, queries, keys], not {list(visible.shape)}")


class BERT(nn.Module):
    """Embedding, blocks, and if wanted the summary of a sequence."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = Embedding(sizes)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.depth))
        self.summary = (
            nn.Sequential(nn.Linear(sizes.channels, sizes.channels), nn.Tanh()) if sizes.with_summary else None
        )

    def forward(
        self,
        tokens: tg.Tensor,
        visible: tg.Tensor | None = None,
        segments: tg.Tensor | None = None,
        places: tg.Tensor | None = None,
        gates: tg.Tensor | None = None,
        keep: Collection[str] = (),
    ) -> dict[str, Any]:
        """The last block's "states" [B, T, C], the "summary" [B, C] of a model that has one, and what is to be kept.

        Args:
            tokens: numbers [B, T], or vectors [B, T, C] in the place of their embeddings.
            visible: which tokens may be attended to, bool [B, T] or [B, T, T].
            segments: which of the texts each token is from, [B, T]; all from the first if absent.
            places: where each token stands, [B, T] or [T]; one after another if absent.
            gates: a factor for each head, [heads] or [depth, heads].
            keep: "inner" for what every block was given, "attention" for its weights.
        """
        kept: dict[str, list[tg.Tensor]] = {name: [] for name in keep}
        allowed = None if visible is None else over_heads(visible)
        x = self.embedding(tokens, segments, places)
        for depth, block in enumerate(self.blocks):
            if "inner" in kept:
                kept["inner"].append(x)
            own = gates[depth] if gates is not None and gates.dim() > 1 else gates
            x = block(x, allowed, own, kept.get("attention"))
        summary = {} if self.summary is None else {"summary": self.summary(x[:, 0])}
        return {"states": x} | summary | kept


class MaskedLanguageModel(nn.Module):
    """BERT with logits for every token; their weights are those of the token embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = BERT(sizes)
        self.transform = nn.Sequential(
            nn.Linear(sizes.channels, sizes.channels), nn.GELU(), nn.LayerNorm(sizes.channels, eps=sizes.epsilon)
        )
        self.logits = nn.Linear(sizes.channels, sizes.vocabulary)
        self.logits.weight = self.encoder.embedding.token.weight
        self.initialise(sizes)

    @tg.no_grad()
    def initialise(self, sizes: Sizes) -> None:
        """Matrices from a normal distribution cut off at twice its deviation, no bias, nothing for padding."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.trunc_normal_(parameter, std=sizes.spread, a=-2 * sizes.spread, b=2 * sizes.spread)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.encoder.embedding.token.weight[sizes.padding].zero_()

    def forward(
        self, tokens: tg.Tensor, visible: tg.Tensor | None = None, target: tg.Tensor | None = None, **rest: Any
    ) -> dict[str, Any]:
        """What the encoder gives, with "logits" [B, T, vocabulary] for its states; the "loss" if there is a target.

        Args:
            tokens: numbers [B, T].
            visible: which are not padding, bool [B, T].
            target: the tokens that were hidden, `IGNORED` at all others, [B, T].
            **rest: further arguments of the encoder.
        """
        result = self.encoder(tokens, visible, **rest)
        result["logits"] = self.logits(self.transform(result.pop("states")))
        if target is not None:
            by_class = result["logits"].movedim(-1, 1)
            result["loss"] = nn.functional.cross_entropy(by_class, target, ignore_index=IGNORED)
        return result


START, MASK, VOCABULARY, LENGTH = 96, 97, 98, 16


def small(chunk: int = 0) -> MaskedLanguageModel:
    """Two blocks of 32 channels, over characters."""
    return MaskedLanguageModel(
        Sizes(vocabulary=VOCABULARY, places=32, channels=32, heads=4, hidden=64, depth=2, chunk=chunk)
    )


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    ends = LENGTH - 1 - tg.arange(batch) % 5
    visible = tg.arange(LENGTH) < ends[:, None]
    tokens = tg.randint(1, START, (batch, LENGTH)).masked_fill(~visible, 0)
    tokens[:, 0] = START
    return tokens, visible


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    tokens, visible = example_inputs(batch)
    is_hidden = visible & (tokens != START) & (tg.rand(batch, LENGTH) < 0.3)
    return tokens.masked_fill(is_hidden, MASK), visible, tokens.masked_fill(~is_hidden, IGNORED)


def loss_of(model: MaskedLanguageModel, tokens: tg.Tensor, visible: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    return model(tokens, visible, target)["loss"]


def masked_lines(batch: int, steps: int) -> list[tuple[tg.Tensor, tg.Tensor, tg.Tensor]]:
    """Beginnings of lines, of which a fifth of the characters is to be restored.

    As in the paper, of ten such characters eight are masked, one becomes any other, and one is left as it is.
    """
    text, rng = CharacterText(), np.random.default_rng(0)
    width = LENGTH - 1
    lines = [line for line in text.decode(text.data.tolist()).splitlines() if len(line) > 5]
    rows = np.stack([text.encode(line[:width].ljust(width, "\n")) for line in lines])  # a newline is 0, as is padding
    rows = np.pad(rows, ((0, 0), (1, 0)), constant_values=START)
    batches = []
    for _ in range(steps):
        tokens = rng.choice(rows, batch)
        is_chosen = (rng.random(tokens.shape) < 0.2) & (tokens > 0) & (tokens < START)
        fate, other = rng.random(tokens.shape), rng.integers(1, START, tokens.shape)
        stand_in = np.select([fate < 0.8, fate < 0.9], [MASK, other], tokens)
        shown, target = np.where(is_chosen, stand_in, tokens), np.where(is_chosen, tokens, IGNORED)
        batches.append((tg.from_numpy(shown), tg.from_numpy(tokens > 0), tg.from_numpy(target)))
    return batches


def main() -> int:
    tg.manual_seed(0)
    model, batches = small(), masked_lines(batch=32, steps=60)
    train(model, loss_of, batches, lr=5e-3)
    in_pieces = small(chunk=6)
    in_pieces.load_state_dict(model.state_dict())
    tokens, visible, _ = batches[-1]
    with tg.no_grad():
        whole = model.eval()(tokens, visible)
        pieces = tg.compile(in_pieces.eval(), fullgraph=True)(tokens, visible, keep=("attention",))
    restored = tokens.where(tokens != MASK, pieces["logits"].argmax(dim=-1))
    text = CharacterText()
    for given, found in zip(tokens[:4, 1:], restored[:4, 1:], strict=True):
        gaps = given.masked_fill(given == MASK, int(text.encode("_")[0]))
        print(f"{text.decode(gaps.tolist())!r} restored as {text.decode(found.tolist())!r}")
    difference = largest_difference(pieces["logits"], whole["logits"])
    print(f"feed-forward layers in compiled pieces and in one: logits agree to {difference:.1e}")
    return 0 if difference < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
