"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597): segmentation by an encoder and a decoder with skip connections.

    python examples/models/unet.py

trains a small one to find the strokes of handwritten digits under noise, and compares a compiled step with an eager
one.
"""

from __future__ import annotations

import sys

import numpy as np
from support.data import digits
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


class DoubleConv(nn.Module):
    """(convolution => batch normalisation => ReLU), twice."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int | None = None) -> None:
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halve the resolution, then convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Double the resolution, join with the encoder's map of that resolution, convolve."""

    def __init__(self, in_channels: int, out_channels: int, bilinear: bool = True) -> None:
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1: tg.Tensor, x2: tg.Tensor) -> tg.Tensor:
        x1 = self.up(x1)
        # odd sizes lose a row or column on the way down
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        x = tg.cat([x2, x1], dim=1)
        return self.conv(x)


class UNet(nn.Module):
    """Logits [B, n_classes, H, W] for images [B, n_channels, H, W] of any size."""

    def __init__(self, n_channels: int, n_classes: int, width: int = 64, bilinear: bool = False) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.bilinear = bilinear
        factor = 2 if bilinear else 1

        self.inc = DoubleConv(n_channels, width)
        self.down1 = Down(width, width * 2)
        self.down2 = Down(width * 2, width * 4)
        self.down3 = Down(width * 4, width * 8 // factor)
        self.up1 = Up(width * 8, width * 4 // factor, bilinear)
        self.up2 = Up(width * 4, width * 2 // factor, bilinear)
        self.up3 = Up(width * 2, width, bilinear)
        self.outc = nn.Conv2d(width, n_classes, kernel_size=1)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x = self.up1(x4, x3)
        x = self.up2(x, x2)
        x = self.up3(x, x1)
        return self.outc(x)


def dice_coeff(
    input: tg.Tensor, target: tg.Tensor, reduce_batch_first: bool = False, epsilon: float = 1e-6
) -> tg.Tensor:
    """Overlap of two masks, 2 |A and B| / (|A| + |B|), averaged over the batch."""
    assert input.size() == target.size()
    assert input.dim() == 3 or not reduce_batch_first
    sum_dim = (-1, -2) if input.dim() == 2 or not reduce_batch_first else (-1, -2, -3)
    inter = 2 * (input * target).sum(dim=sum_dim)
    sets_sum = input.sum(dim=sum_dim) + target.sum(dim=sum_dim)
    sets_sum = tg.where(sets_sum == 0, inter, sets_sum)
    dice = (inter + epsilon) / (sets_sum + epsilon)
    return dice.mean()


def small() -> UNet:
    """Three levels from 8 channels, with transposed convolutions."""
    return UNet(n_channels=1, n_classes=1, width=8, bilinear=False)


def small_bilinear() -> UNet:
    """Three levels from 8 channels, with bilinear upsampling."""
    return UNet(n_channels=1, n_classes=1, width=8, bilinear=True)


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 18, 20),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randn(batch, 1, 18, 20), (tg.rand(batch, 18, 20) > 0.5).float()


def loss_of(model: nn.Module, images: tg.Tensor, masks: tg.Tensor) -> tg.Tensor:
    """Binary cross entropy and one minus the dice coefficient."""
    logits = model(images).squeeze(1)
    loss = F.binary_cross_entropy_with_logits(logits, masks)
    return loss + 1 - dice_coeff(F.sigmoid(logits), masks)


def noisy_strokes(batch: int, steps: int) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """Digits under noise [B, 1, 16, 16], and where the pen was [B, 16, 16]."""
    images, _ = digits(scale=2)
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(images), (steps, batch))
    noise = rng.normal(0, 0.7, (steps, batch, 1, 16, 16)).astype(np.float32)
    return [
        (tg.from_numpy(images[p] + n), tg.from_numpy((images[p][:, 0] > 0).astype(np.float32)))
        for p, n in zip(picks, noise, strict=True)
    ]


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, noisy_strokes(batch=8, steps=24), lr=3e-3, falls_to=0.75)
    return 0


if __name__ == "__main__":
    sys.exit(main())
