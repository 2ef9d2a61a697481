"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): residual blocks that are wide inside and narrow outside.

    python examples/models/mobilenet_v2.py

trains a narrow one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from support.data import digit_batches
from support.training import train

import tracegraph as tg
from tracegraph import nn


class Stage(NamedTuple):
    """Blocks of one width; the first of them may lower the resolution.

    Attributes:
        expansion: how many times wider a block is inside.
        repeats: how many blocks there are.
    """

    expansion: int
    channels: int
    repeats: int = 1
    stride: int = 1


@dataclass(frozen=True)
class Plan:
    """Sizes and rates; the defaults are those of the paper.

    Attributes:
        stem: the channels before the blocks.
        top: the channels after them; a narrower network keeps this many.
        multiplier: by how much all other widths are multiplied.
        norm: makes the normalisation of so many channels.
    """

    classes: int = 1000
    colours: int = 3
    stem: int = 32
    stages: tuple[Stage, ...] = (
        Stage(1, 16),
        Stage(6, 24, repeats=2, stride=2),
        Stage(6, 32, repeats=3, stride=2),
        Stage(6, 64, repeats=4, stride=2),
        Stage(6, 96, repeats=3),
        Stage(6, 160, repeats=3, stride=2),
        Stage(6, 320),
    )
    top: int = 1280
    multiplier: float = 1.0
    dropout: float = 0.2
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a network needs at least one stage of blocks")

    def scaled(self, channels: int, multiple: int = 8) -> int:
        """The multiple of eight next to the scaled width, of those that do not lose more than a tenth of it."""
        eighths = self.multiplier * channels / multiple
        return multiple * max(1, round(eighths), math.ceil(0.9 * eighths))


def filtered(
    given: int,
    wanted: int,
    plan: Plan,
    size: int = 1,
    stride: int = 1,
    is_depthwise: bool = False,
    is_linear: bool = False,
) -> list[nn.Module]:
    """A convolution with its normalisation, and the activation unless the result `is_linear`."""
    groups = given if is_depthwise else 1
    convolution = nn.Conv2d(given, wanted, size, stride, padding=size // 2, groups=groups, bias=False)
    activation = [] if is_linear else [nn.ReLU6(inplace=True)]
    return [convolution, plan.norm(wanted), *activation]


class InvertedResidual(nn.Sequential):
    """Widen, filter each channel by itself, narrow without activation; add the input where it has the same shape."""

    def __init__(self, given: int, wanted: int, expansion: int, stride: int, plan: Plan) -> None:
        inside = expansion * given
        widened = filtered(given, inside, plan) if expansion > 1 else []
        super().__init__(
            *widened,
            *filtered(inside, inside, plan, size=3, stride=stride, is_depthwise=True),
            *filtered(inside, wanted, plan, is_linear=True),
        )
        self.keeps_shape = (given, stride) == (wanted, 1)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        change = super().forward(x)
        return x + change if self.keeps_shape else change


@tg.no_grad()
def initialise(module: nn.Module) -> None:
    """Convolutions keep the variance of gradients that pass a ReLU; the classifier starts near zero."""
    match module:
        case nn.Conv2d(weight=weight, groups=groups):
            outputs = weight[:, 0].numel() // groups
            weight.normal_(std=math.sqrt(2 / outputs))
        case nn.Linear(weight=weight, bias=bias):
            weight.normal_(std=0.01)
            bias.zero_()


class MobileNetV2(nn.Module):
    """Logits [B, classes] of images [B, colours, H, W]."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        width = plan.scaled(plan.stem)
        self.stem = nn.Sequential(*filtered(plan.colours, width, plan, size=3, stride=2))
        self.blocks = nn.ModuleList()
        for stage in plan.stages:
            given, width = width, plan.scaled(stage.channels)
            first = InvertedResidual(given, width, stage.expansion, stage.stride, plan)
            others = (InvertedResidual(width, width, stage.expansion, 1, plan) for _ in range(stage.repeats - 1))
            self.blocks.extend([first, *others])
        top = max(plan.top, plan.scaled(plan.top))
        self.top = nn.Sequential(*filtered(width, top, plan), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classify = nn.Sequential(nn.Dropout(plan.dropout), nn.Linear(top, plan.classes))
        self.apply(initialise)

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        features = self.stem(images)
        for block in self.blocks:
            features = block(features)
        return self.classify(self.top(features))


def small() -> MobileNetV2:
    """Seven blocks in the paper's order, for digits of one channel."""
    stages = (
        Stage(1, 8),
        Stage(6, 8, repeats=2, stride=2),
        Stage(6, 16, repeats=2, stride=2),
        Stage(6, 16),
        Stage(6, 24),
    )
    return MobileNetV2(Plan(classes=10, colours=1, stem=8, stages=stages, top=64))


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 32, 32),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return *example_inputs(batch), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return nn.functional.cross_entropy(model(images), labels, label_smoothing=0.1)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=16, steps=36, scale=4), lr=1e-2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
