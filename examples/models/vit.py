"""Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), with stochastic depth.

    python examples/models/vit.py

trains a small one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from support.data import digit_batches
from support.training import train

import tracegraph as tg
from tracegraph import nn


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are those of the paper's ViT-Base with patches of 16x16 pixels.

    Attributes:
        skipping: how often the last block's branches are skipped in training.
        summary: what the classifier sees of the tokens, the class token or the mean of the patches.
    """

    image: int = 224
    patch: int = 16
    colours: int = 3
    classes: int = 1000
    channels: int = 768
    hidden: int = 3072
    heads: int = 12
    depth: int = 12
    dropout: float = 0.1
    skipping: float = 0.0
    summary: Literal["class", "mean"] = "class"

    def __post_init__(self) -> None:
        for whole, part in (("image", "patch"), ("channels", "heads")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(f"{whole}={getattr(self, whole)} is no multiple of {part}={getattr(self, part)}")

    @property
    def patches(self) -> int:
        return (self.image // self.patch) ** 2


class StochasticDepth(nn.Module):
    """Adds to samples what `branch` makes of them; in training each skips it by chance (arXiv:1603.09382).

    Those that do not skip it get `1 / survival` of it, so that the expected result is that of evaluation.
    """

    def __init__(self, branch: nn.Module, survival: float) -> None:
        super().__init__()
        self.branch = branch
        self.survival = survival

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        change = self.branch(x)
        if self.training and self.survival < 1:
            survives = tg.rand(x.size(0), *[1] * (x.dim() - 1)) < self.survival
            change = tg.where(survives, change / self.survival, 0.0)
        return x + change

    def extra_repr(self) -> str:
        return f"survival={self.survival:.3g}"


def survival_rates(depth: int, skipping: float) -> list[float]:
    """For each of the blocks the probability that a branch of it is used; it falls linearly to `1 - skipping`."""
    return [1 - skipping * block / depth for block in range(1, depth + 1)]


class Patches(nn.Module):
    """Images [B, colours, image, image] as tokens [B, patches, channels], row by row: a linear map of the pixels."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.image = sizes.image
        self.patch = sizes.patch
        self.embed = nn.Linear(sizes.colours * sizes.patch**2, sizes.channels)

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        if images.shape[2:] != (self.image, self.image):
            raise ValueError(f"there are positions for {self.image}x{self.image} pixels, not for {images.shape}")
        cut = images.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))  # [B, colours, rows, p, columns, p]
        return self.embed(cut.movedim((2, 4), (1, 2)).flatten(3).flatten(1, 2))


class SelfAttention(nn.Module):
    """Attention of many heads among the tokens [B, T, channels]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.into = nn.Linear(sizes.channels, 3 * sizes.channels)
        self.out = nn.Linear(sizes.channels, sizes.channels)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.into(x).chunk(3, dim=-1)
        )
        found = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(found.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Sequential):
    """Attention, then two linear layers on each token alone; both on normalised tokens."""

    def __init__(self, sizes: Sizes, survival: float) -> None:
        def residual(*layers: nn.Module) -> StochasticDepth:
            norm, drop = nn.LayerNorm(sizes.channels, eps=1e-6), nn.Dropout(sizes.dropout)
            return StochasticDepth(nn.Sequential(norm, *layers, drop), survival)

        widen = nn.Linear(sizes.channels, sizes.hidden)
        narrow = nn.Linear(sizes.hidden, sizes.channels)
        super().__init__(
            residual(SelfAttention(sizes)),
            residual(widen, nn.GELU(), nn.Dropout(sizes.dropout), narrow),
        )


class VisionTransformer(nn.Module):
    """Class token and patches with learned positions, encoder blocks, and a linear classifier."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.summary = sizes.summary
        self.patches = Patches(sizes)
        self.class_token = nn.Parameter(tg.zeros(sizes.channels))
        self.positions = nn.Parameter(tg.empty(1 + sizes.patches, sizes.channels))
        self.drop = nn.Dropout(sizes.dropout)
        rates = survival_rates(sizes.depth, sizes.skipping)
        self.blocks = nn.ModuleList([EncoderBlock(sizes, survival) for survival in rates])
        self.norm = nn.LayerNorm(sizes.channels, eps=1e-6)
        self.classifier = nn.Linear(sizes.channels, sizes.classes)
        self.initialise()

    def initialise(self) -> None:
        nn.init.trunc_normal_(self.positions, std=0.02)
        for linear in self.modules():
            if isinstance(linear, nn.Linear):
                nn.init.xavier_uniform_(linear.weight)
                nn.init.zeros_(linear.bias)

    def tokens(self, images: tg.Tensor) -> tg.Tensor:
        """What the encoder makes of the class token and of each patch, [B, 1 + patches, channels]."""
        first = self.class_token.expand(images.size(0), 1, -1)
        x = self.drop(tg.cat([first, self.patches(images)], dim=1) + self.positions)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        """Logits [B, classes] for images [B, colours, image, image]."""
        tokens = self.tokens(images)
        return self.classifier(tokens.select(1, 0) if self.summary == "class" else tokens[:, 1:].mean(dim=1))


def small() -> VisionTransformer:
    """Two blocks on 2x2 patches of digits of 8x8 pixels."""
    pixels = {"image": 8, "patch": 2, "colours": 1}
    encoder = {"channels": 32, "hidden": 128, "heads": 4, "depth": 2}
    return VisionTransformer(Sizes(**pixels, **encoder, classes=10, dropout=0.05, skipping=0.1))


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 8, 8),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return *example_inputs(batch), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return nn.functional.cross_entropy(model(images), labels)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=32, steps=120), lr=3e-3, falls_to=0.85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
