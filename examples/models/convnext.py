"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545): a convolutional network built like a Transformer.

    python examples/models/convnext.py

trains a small one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from support.data import digit_batches
from support.training import train
from vit import StochasticDepth, survival_rates

import tracegraph as tg
from tracegraph import nn


class Stage(NamedTuple):
    """Blocks in a row that see images of one size."""

    blocks: int
    channels: int


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are those of the paper's ConvNeXt-T.

    Attributes:
        patch: how many pixels in a row the first stage sees as one.
        skipping: how often the last block is skipped in training.
        scale: the factor of each channel of a residual branch before training.
    """

    colours: int = 3
    classes: int = 1000
    patch: int = 4
    stages: tuple[Stage, ...] = (Stage(3, 96), Stage(3, 192), Stage(9, 384), Stage(3, 768))
    skipping: float = 0.1
    scale: float = 1e-6


class ChannelsLast(nn.Sequential):
    """Layers, of which each sees the channels of images [B, C, H, W] as the last axis."""

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        return super().forward(images.movedim(1, -1)).movedim(-1, 1)


class LayerScale(nn.Module):
    """A learned factor for each channel, the last axis (Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(tg.full((channels,), initial))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return x * self.factor


def norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=1e-6)


def shrink(channels: int, wider: int, by: int) -> nn.Conv2d:
    """Each square of `by` x `by` pixels becomes one, of more channels."""
    return nn.Conv2d(channels, wider, by, stride=by)


def residual(channels: int, survival: float, scale: float) -> StochasticDepth:
    """A block: each channel is mixed over 7x7 pixels, then the channels of each pixel, through four times as many."""
    over_space = nn.Conv2d(channels, channels, 7, padding="same", groups=channels)
    over_channels = ChannelsLast(
        norm(channels),
        nn.Linear(channels, 4 * channels),
        nn.GELU(),
        nn.Linear(4 * channels, channels),
        LayerScale(channels, scale),
    )
    return StochasticDepth(nn.Sequential(over_space, over_channels), survival)


class ConvNeXt(nn.Module):
    """Patches, stages of blocks on ever smaller images, and a linear classifier of the mean pixel."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first, last = sizes.stages[0].channels, sizes.stages[-1].channels
        self.patches = nn.Sequential(shrink(sizes.colours, first, by=sizes.patch), ChannelsLast(norm(first)))
        self.between = nn.ModuleList(
            nn.Sequential(ChannelsLast(norm(one.channels)), shrink(one.channels, other.channels, by=2))
            for one, other in pairwise(sizes.stages)
        )
        rates = iter(survival_rates(sum(stage.blocks for stage in sizes.stages), sizes.skipping))
        self.stages = nn.ModuleList(
            nn.Sequential(*(residual(channels, next(rates), sizes.scale) for _ in range(blocks)))
            for blocks, channels in sizes.stages
        )
        self.norm = norm(last)
        self.classifier = nn.Linear(last, sizes.classes)
        self.apply(self.initialise)

    @staticmethod
    def initialise(module: nn.Module) -> None:
        match module:
            case nn.Conv2d() | nn.Linear():
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def pyramid(self, images: tg.Tensor) -> list[tg.Tensor]:
        """What each stage makes of the images: [B, channels, height, width], half as high and wide each time."""
        levels = []
        for shrinking, stage in zip([self.patches, *self.between], self.stages, strict=True):
            levels.append(stage(shrinking(levels[-1] if levels else images)))
        return levels

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        """Logits [B, classes] for images [B, colours, height, width]."""
        *_, last = self.pyramid(images)
        return self.classifier(self.norm(last.flatten(2).mean(dim=2)))


def small() -> ConvNeXt:
    """Three stages for digits of 16x16 pixels."""
    stages = (Stage(1, 8), Stage(2, 16), Stage(1, 32))
    return ConvNeXt(Sizes(colours=1, classes=10, patch=2, stages=stages, scale=0.1))


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 16, 16),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return *example_inputs(batch), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return nn.functional.cross_entropy(model(images), labels)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=32, steps=40, scale=2), lr=5e-3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
