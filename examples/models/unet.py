"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597): a mask from maps of all resolutions, coarse ones inside fine ones.

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
from tracegraph import nn


def refine(*widths: int) -> nn.Sequential:
    """A 3x3 convolution from each width to the next one, normalised and rectified; the resolution stays."""
    layers: list[nn.Module] = []
    for given, wanted in zip(widths, widths[1:]):
        layers += [nn.Conv2d(given, wanted, 3, padding="same", bias=False), nn.BatchNorm2d(wanted), nn.ReLU(True)]
    return nn.Sequential(*layers)


class Level(nn.Module):
    """One resolution of the U, [B, given, H, W] to [B, wanted, H, W], with all coarser ones inside.

    The map of this resolution is kept aside, goes through the coarser levels at half the size, and what comes back is
    enlarged, by a transposed convolution if that `is_learned`, and refined together with what was kept. The coarsest
    level only refines.
    """

    def __init__(self, given: int, width: int, wanted: int, coarser: Level | None, is_learned: bool) -> None:
        super().__init__()
        self.before = refine(given, width, width)
        self.coarser, self.wanted = coarser, wanted
        if coarser is None:
            return
        self.shrink = nn.MaxPool2d(2)
        if is_learned:
            self.enlarge = nn.ConvTranspose2d(coarser.wanted, width, 2, stride=2)
        else:
            self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.after = refine(2 * width, width, wanted)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        kept = self.before(x)
        if self.coarser is None:
            return kept
        back = self.enlarge(self.coarser(self.shrink(kept)))
        # halving an odd size has dropped the last row or column
        rows, columns = (full - size for full, size in zip(kept.shape[2:], back.shape[2:]))
        back = nn.functional.pad(back, (0, columns, 0, rows))
        return self.after(tg.cat((kept, back), dim=1))


class UNet(nn.Module):
    """Logits [B, classes, H, W] for images [B, colours, H, W] of any size.

    Each level has twice the channels of the next finer one. With bilinear enlargement, which cannot change their
    number, a level gives as many as the finer one has.
    """

    def __init__(self, colours: int, classes: int, width: int = 64, depth: int = 4, is_learned: bool = True) -> None:
        super().__init__()
        widths = [width << level for level in range(depth)]
        given, finer = [colours, *widths[:-1]], [width, *widths[:-1]]
        if not is_learned:
            widths[-1] = finer[-1]
        level = None
        for sizes in reversed(list(zip(given, widths, widths if is_learned else finer))):
            level = Level(*sizes, level, is_learned)
        self.finest = level
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, images: tg.Tensor) -> tg.Tensor:
        return self.classify(self.finest(images))


def dice(found: tg.Tensor, wanted: tg.Tensor, softening: float = 1e-6) -> tg.Tensor:
    """How much two masks [B, H, W] overlap, twice the common area over the sum of areas, [B]; 1 for equal ones."""
    common, areas = (x.flatten(1).sum(dim=1) for x in (found * wanted, found + wanted))
    return (2 * common + softening) / (areas + softening)


def small() -> UNet:
    """Four levels from 8 channels, with transposed convolutions."""
    return UNet(colours=1, classes=1, width=8)


def small_bilinear() -> UNet:
    """Four levels from 8 channels, with bilinear enlargement."""
    return UNet(colours=1, classes=1, width=8, is_learned=False)


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 18, 20),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return *example_inputs(batch), tg.randint(0, 2, (batch, 18, 20)).float()


def loss_of(model: nn.Module, images: tg.Tensor, masks: tg.Tensor) -> tg.Tensor:
    """Binary cross entropy, and by how much the overlap misses 1."""
    logits = model(images)[:, 0]
    by_pixel = nn.functional.binary_cross_entropy_with_logits(logits, masks)
    return by_pixel + (1 - dice(logits.sigmoid(), masks)).mean()


def noisy_strokes(batch: int, steps: int) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """Digits under noise [B, 1, 16, 16], and where the pen was [B, 16, 16]."""
    images, _ = digits(scale=2)
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(steps):
        clean = rng.choice(images, batch)
        noisy = clean + rng.normal(scale=0.7, size=clean.shape).astype(np.float32)
        batches.append((tg.from_numpy(noisy), tg.from_numpy(clean[:, 0] > 0).float()))
    return batches


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, noisy_strokes(batch=8, steps=24), lr=3e-3, falls_to=0.75)
    return 0


if __name__ == "__main__":
    sys.exit(main())
