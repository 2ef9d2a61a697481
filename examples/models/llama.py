"""A decoder in the style of Llama (Touvron et al. 2023, arXiv:2302.13971 and 2307.09288).

    python examples/models/llama.py

trains a small one on the standard library's text, then decodes greedily with the cache, eager and compiled. Its parts:
RMSNorm (arXiv:1910.07467), rotary positions (2104.09864), SwiGLU (2002.05202), and query heads in groups that share
keys and values (2305.13245); a cache remembers those of earlier tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from support.data import CharacterText
from support.training import train

import tracegraph as tg
from tracegraph import nn

Map = Callable[[tg.Tensor], tg.Tensor]


@dataclass(frozen=True)
class Sizes:
    """Sizes and constants; the defaults are those of the model with eight billion parameters."""

    vocabulary: int = 128256
    channels: int = 4096
    hidden: int = 14336
    depth: int = 32
    heads: int = 32
    groups: int = 8
    base: float = 500000.0
    epsilon: float = 1e-5
    spread: float = 0.02
    is_tied: bool = False

    def __post_init__(self) -> None:
        if self.channels % (2 * self.heads) or self.heads % self.groups:
            raise ValueError(f"{self} divides into no whole groups of heads with an even number of channels each")

    @property
    def per_head(self) -> int:
        return self.channels // self.heads


@dataclass
class Cache:
    """What every layer attends to of the tokens so far: keys and values together, [2, B, groups, length, per head]."""

    layers: dict[int, tg.Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return self.layers[0].size(-2) if self.layers else 0

    def extend(self, layer: int, latest: tg.Tensor) -> tg.Tensor:
        """Remember the `latest` tokens as well, and give all."""
        if layer in self.layers:
            latest = tg.cat((self.layers[layer], latest), dim=-2)
        self.layers[layer] = latest
        return latest


@dataclass
class Prediction:
    """Logits [B, T, vocabulary] of what follows each token, and the loss if it was known what does."""

    logits: tg.Tensor
    loss: tg.Tensor | None = None


class RMSNorm(nn.Module):
    """g x / sqrt(mean(x^2) + epsilon) over the channels; the quotient is found in float32."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(tg.ones(channels))
        self.epsilon = epsilon

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        wide = x.float()
        power = wide.square().mean(dim=-1, keepdim=True)
        return self.gain * (wide / (power + self.epsilon).sqrt()).type_as(x)

    def extra_repr(self) -> str:
        return f"channels={len(self.gain)}, epsilon={self.epsilon}"


class Rotary(nn.Module):
    """Positions as rotations: channels 2i and 2i + 1 of a head are a point, turned by position * base^(-2i / channels).

    The product of a query and a key then depends on the distance of their positions only.
    """

    speeds: tg.Tensor

    def __init__(self, per_head: int, base: float) -> None:
        super().__init__()
        self.register_buffer("speeds", base ** -tg.linspace(0, 1, per_head // 2 + 1)[:-1], persistent=False)

    def forward(self, positions: tg.Tensor) -> Map:
        """The map that turns [B, heads, T, per head], for positions [T] or [B, T]."""
        angles = (positions[..., None] * self.speeds).unsqueeze(-3)
        cosine, sine = angles.cos(), angles.sin()

        def turn(x: tg.Tensor) -> tg.Tensor:
            across, up = x.unflatten(-1, (-1, 2)).unbind(-1)
            turned = across * cosine - up * sine, across * sine + up * cosine
            return tg.stack(turned, dim=-1).flatten(-2).type_as(x)

        return turn


class Attention(nn.Module):
    """Each group has one head of keys and values, and several heads of queries that search them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.per_head, self.groups = sizes.per_head, sizes.groups
        self.query = nn.Linear(sizes.channels, sizes.channels, bias=False)
        self.memory = nn.Linear(sizes.channels, 2 * sizes.groups * sizes.per_head, bias=False)
        self.out = nn.Linear(sizes.channels, sizes.channels, bias=False)

    def forward(self, x: tg.Tensor, *, turn: Map, allowed: tg.Tensor | None, remember: Map | None) -> tg.Tensor:
        """Letters: b batch, g groups, r heads of a group, t tokens that ask, s tokens that are asked, c channels."""
        asked = turn(self.query(x).unflatten(-1, (-1, self.per_head)).transpose(1, 2)).unflatten(1, (self.groups, -1))
        keys, values = self.memory(x).unflatten(-1, (2, self.groups, -1)).permute(2, 0, 3, 1, 4)
        seen = tg.stack((turn(keys), values))
        keys, values = seen if remember is None else remember(seen)
        scores = tg.einsum("bgrtc,bgsc->bgrts", asked * self.per_head**-0.5, keys)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, tg.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1, dtype=tg.float32).type_as(values)
        return self.out(tg.einsum("bgrts,bgsc->btgrc", weights, values).flatten(2))


class SwiGLU(nn.Module):
    """Hidden channels, each multiplied by the SiLU of another one."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.into = nn.Linear(sizes.channels, 2 * sizes.hidden, bias=False)
        self.out = nn.Linear(sizes.hidden, sizes.channels, bias=False)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        content, gate = self.into(x).chunk(2, dim=-1)
        return self.out(content * nn.functional.silu(gate))


class Added(nn.Module):
    """x + layer(norm(x)); what else the layer is to know is passed through."""

    def __init__(self, layer: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.norm = RMSNorm(sizes.channels, sizes.epsilon)
        self.layer = layer

    def forward(self, x: tg.Tensor, **known: object) -> tg.Tensor:
        return x + self.layer(self.norm(x), **known)


class Llama(nn.Module):
    """Embedding, pairs of attention and SwiGLU, and the map to logits."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.channels)
        self.rotary = Rotary(sizes.per_head, sizes.base)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"attention": Added(Attention(sizes), sizes), "forth": Added(SwiGLU(sizes), sizes)})
            for _ in range(sizes.depth)
        )
        self.norm = RMSNorm(sizes.channels, sizes.epsilon)
        self.head = nn.Linear(sizes.channels, sizes.vocabulary, bias=False)
        with tg.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 2:  # the others scale, and begin as one
                    parameter.normal_(std=sizes.spread)
        if sizes.is_tied:
            self.head.weight = self.embedding.weight

    def forward(
        self,
        tokens: tg.Tensor,
        is_token: tg.Tensor | None = None,
        positions: tg.Tensor | None = None,
        cache: Cache | None = None,
        following: tg.Tensor | None = None,
        last: int | None = None,
    ) -> Prediction:
        """Predict what follows each of the `tokens` [B, T].

        Args:
            is_token: which of the tokens, those of the cache included, are not padding, bool [B, length + T].
            positions: of the tokens, [T] or [B, T]; by default they continue those of the cache.
            cache: of the tokens before; these are added to it.
            following: the tokens that do follow, [B, T].
            last: of how many tokens at the end logits are wanted, by default of all.
        """
        before = 0 if cache is None else cache.length
        places = tg.arange(before + tokens.size(1))
        turn = self.rotary(places[before:] if positions is None else positions)
        allowed = allowed_pairs(places, before, is_token)
        x = self.embedding(tokens)
        for index, block in enumerate(self.blocks):
            remember = None if cache is None else partial(cache.extend, index)
            x = block["attention"](x, turn=turn, allowed=allowed, remember=remember)
            x = block["forth"](x)
        if last is not None:
            x = x[:, -last:]
        logits = self.head(self.norm(x)).float()
        if following is None:
            return Prediction(logits)
        return Prediction(logits, loss=nn.functional.cross_entropy(logits.movedim(-1, 1), following))

    @tg.no_grad()
    def generate(self, prompt: tg.Tensor, count: int) -> tg.Tensor:
        """The prompt [B, T], and behind it the most likely next token, `count` times."""
        cache, pieces = Cache(), [prompt]
        for _ in range(count):
            logits = self(pieces[-1], cache=cache, last=1).logits
            pieces.append(logits.argmax(dim=-1))
        return tg.cat(pieces, dim=1)


def allowed_pairs(places: tg.Tensor, before: int, is_token: tg.Tensor | None) -> tg.Tensor | None:
    """Which tokens those from `before` on attend to: none of the future, no padding. None: all, for a last token."""
    if is_token is None and len(places) == before + 1:
        return None
    past = places <= places[before:, None]
    return past if is_token is None else past & is_token[:, None, None, None, :]


def small() -> Llama:
    """Two layers, four query heads in two groups."""
    return Llama(Sizes(vocabulary=96, channels=32, hidden=64, depth=2, heads=4, groups=2, base=10000.0))


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    """Tokens, and where they end: one to three places early in most rows."""
    return tg.randint(0, 96, (batch, 12)), tg.arange(12) + tg.arange(batch)[:, None] % 4 < 12


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    text = tg.randint(0, 96, (batch, 13))
    return text[:, :-1], text[:, 1:]


def loss_of(model: Llama, tokens: tg.Tensor, following: tg.Tensor) -> tg.Tensor:
    return model(tokens, following=following).loss


def main() -> int:
    tg.manual_seed(0)
    text = CharacterText()
    model = small()
    train(model, loss_of, text.batches(batch=16, length=32, steps=80), lr=5e-3, clip=1.0)
    model.eval()
    prompt = tg.from_numpy(text.encode("    def ")[None])
    eager, compiled = (m.generate(prompt, 40) for m in (model, tg.compile(model)))
    print(repr(text.decode(eager[0].tolist())))
    same = tg.equal(eager, compiled)
    print(f"compiled decoding gives {'the same' if same else 'something else'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
