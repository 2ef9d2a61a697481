"""ResNet-18 (He et al. 2015, arXiv:1512.03385): residual networks of 3x3 convolutions.

    python examples/models/resnet.py

trains a narrow one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys

from support.data import digit_batches
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


def conv3x3(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a projection where the shape changes."""

    expansion: int = 1

    def __init__(self, in_planes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        identity = x

        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)

        if self.downsample is not None:
            identity = self.downsample(x)

        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Stem, four stages of blocks, global average pooling, linear classifier."""

    def __init__(
        self,
        block: type[BasicBlock],
        layers: list[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        width: int = 64,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, width, layers[0])
        self.layer2 = self._make_layer(block, 2 * width, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 4 * width, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 8 * width, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width * block.expansion, num_classes)

        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, BasicBlock) and m.bn2.weight is not None:
                    nn.init.constant_(m.bn2.weight, 0)

    def _make_layer(self, block: type[BasicBlock], planes: int, blocks: int, stride: int = 1) -> nn.Sequential:
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes * block.expansion, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(planes * block.expansion),
            )
        layers = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        for _ in range(1, blocks):
            layers.append(block(self.inplanes, planes))
        return nn.Sequential(*layers)

    def _forward_impl(self, x: tg.Tensor) -> tg.Tensor:
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)

        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)

        x = self.avgpool(x)
        x = tg.flatten(x, 1)
        return self.fc(x)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self._forward_impl(x)


def resnet18(num_classes: int = 1000) -> ResNet:
    """The network of the paper, for images [B, 3, 224, 224]."""
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes)


def small() -> ResNet:
    """All of ResNet-18's layers at an eighth of their width, for digits of one channel."""
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes=10, in_channels=1, width=8)


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 32, 32),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randn(batch, 1, 32, 32), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return F.cross_entropy(model(images), labels)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=16, steps=12, scale=4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
