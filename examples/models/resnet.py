"""ResNet-18 (He et al. 2015, arXiv:1512.03385): blocks that learn what to add to their input.

    python examples/models/resnet.py

trains a narrow one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise

from support.data import digit_batches
from support.training import train

import tracegraph as tg
from tracegraph import nn


@dataclass(frozen=True)
class Plan:
    """Sizes; the defaults are those of the paper's 18 layers.

    Attributes:
        width: the channels of the first stage; each further stage has twice as many.
        depths: how many blocks each stage has.
        is_identity: whether untrained blocks add nothing to their input (Goyal et al. 2017, arXiv:1706.02677).
    """

    classes: int = 1000
    colours: int = 3
    width: int = 64
    depths: tuple[int, ...] = (2, 2, 2, 2)
    is_identity: bool = False

    @property
    def block_widths(self) -> list[int]:
        """The channels that each block gives."""
        return [self.width << stage for stage, depth in enumerate(self.depths) for _ in range(depth)]


def normalised(given: int, wanted: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution whose output is batch-normalised; only its stride changes the resolution."""
    convolution = nn.Conv2d(given, wanted, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(wanted))


class Residual(nn.Module):
    """[B, given, H, W] to [B, wanted, H / s, W / s] with s = wanted / given: twice the channels, half the resolution.

    The input itself is added where it has the output's shape, and a 1x1 convolution of it elsewhere.
    """

    def __init__(self, given: int, wanted: int) -> None:
        super().__init__()
        stride = wanted // given
        self.change = nn.Sequential(
            normalised(given, wanted, 3, stride),
            nn.ReLU(inplace=True),
            normalised(wanted, wanted, 3),
        )
        self.shortcut = nn.Identity() if given == wanted else normalised(given, wanted, 1, stride)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        total = self.change(x)
        total += self.shortcut(x)
        return nn.functional.relu_(total)

    def make_identity(self) -> None:
        """Let the block change nothing until it is trained."""
        *_, norm = self.change[-1]
        nn.init.zeros_(norm.weight)


class ResNet(nn.Module):
    """Logits [B, classes] of images [B, colours, H, W]."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        blocks = [Residual(*widths) for widths in pairwise([plan.width, *plan.block_widths])]
        if plan.is_identity:
            for block in blocks:
                block.make_identity()
        self.stem = nn.Sequential(
            normalised(plan.colours, plan.width, 7, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(plan.block_widths[-1], plan.classes)

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        features = self.stem(images)
        for block in self.blocks:
            features = block(features)
        return self.head(features.mean(dim=(-2, -1)))


def small() -> ResNet:
    """All of ResNet-18's layers at an eighth of their width, for digits of one channel."""
    return ResNet(Plan(classes=10, colours=1, width=8))


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 32, 32),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return *example_inputs(batch), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return nn.functional.cross_entropy(model(images), labels)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=16, steps=12, scale=4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
