"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals with linear bottlenecks.

    python examples/models/mobilenet_v2.py

trains a narrow one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from support.data import digit_batches
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn

# expansion, output channels, repetitions, stride
PAPER_SETTING = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


def make_divisible(value: float, divisor: int = 8, minimum: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, but never more than a tenth below it."""
    if minimum is None:
        minimum = divisor
    rounded = max(minimum, int(value + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * value:
        rounded += divisor
    return rounded


class ConvNormActivation(nn.Sequential):
    """Convolution, batch normalisation, ReLU6; the padding keeps the size at stride 1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        padding = (kernel_size - 1) // 2
        norm_layer = norm_layer or nn.BatchNorm2d
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
            norm_layer(out_channels),
            nn.ReLU6(inplace=True),
        )
        self.out_channels = out_channels


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter depthwise, project back linearly; add the input where shapes permit."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2, not {stride}")
        self.stride = stride
        hidden = round(inp * expand_ratio)
        self.use_res_connect = self.stride == 1 and inp == oup

        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(ConvNormActivation(inp, hidden, kernel_size=1))
        layers.extend(
            [
                ConvNormActivation(hidden, hidden, stride=stride, groups=hidden),
                nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
                nn.BatchNorm2d(oup),
            ]
        )
        self.conv = nn.Sequential(*layers)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNetV2(nn.Module):
    """Stem, inverted residuals after `setting`, a 1x1 convolution, average pooling, dropout and a classifier."""

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        setting: list[list[int]] | None = None,
        in_channels: int = 3,
        input_channel: int = 32,
        last_channel: int = 1280,
        round_nearest: int = 8,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        setting = setting or PAPER_SETTING
        if len(setting) == 0 or len(setting[0]) != 4:
            raise ValueError(f"setting should be a non-empty list of lists of four numbers, got {setting}")

        input_channel = make_divisible(input_channel * width_mult, round_nearest)
        self.last_channel = make_divisible(last_channel * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [ConvNormActivation(in_channels, input_channel, stride=2)]
        for t, c, n, s in setting:
            output_channel = make_divisible(c * width_mult, round_nearest)
            for i in range(n):
                stride = s if i == 0 else 1
                features.append(InvertedResidual(input_channel, output_channel, stride, expand_ratio=t))
                input_channel = output_channel
        features.append(ConvNormActivation(input_channel, self.last_channel, kernel_size=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))

        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.zeros_(m.bias)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], -1)
        return self.classifier(x)


def small() -> MobileNetV2:
    """Seven blocks in the paper's order, for digits of one channel."""
    setting = [[1, 8, 1, 1], [6, 8, 2, 2], [6, 16, 2, 2], [6, 16, 1, 1], [6, 24, 1, 1]]
    return MobileNetV2(10, setting=setting, in_channels=1, input_channel=8, last_channel=64)


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 32, 32),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randn(batch, 1, 32, 32), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return F.cross_entropy(model(images), labels, label_smoothing=0.1)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=16, steps=36, scale=4), lr=1e-2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
