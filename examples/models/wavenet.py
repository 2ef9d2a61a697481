"""WaveNet (van den Oord et al. 2016, arXiv:1609.03499): causal dilated convolutions with gates and skip connections.

    python examples/models/wavenet.py

trains a small one on a synthetic tone of changing pitch, quantised by the mu law, and compares a compiled step with an
eager one.
"""

from __future__ import annotations

import math
import sys
from functools import reduce

import numpy as np
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


class CausalConv1d(nn.Conv1d):
    """A convolution that sees the present and the past only."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, **kwargs: bool
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=0, dilation=dilation, **kwargs)
        self.left_padding = (kernel_size - 1) * dilation

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return super().forward(F.pad(x, (self.left_padding, 0)))


class ResidualBlock(nn.Module):
    """tanh(filter) * sigmoid(gate), to a residual and a skip output; may be conditioned on a global vector."""

    def __init__(self, channels: int, skip_channels: int, kernel_size: int, dilation: int, cond_channels: int) -> None:
        super().__init__()
        self.conv = CausalConv1d(channels, 2 * channels, kernel_size, dilation=dilation)
        self.cond = nn.Linear(cond_channels, 2 * channels, bias=False) if cond_channels > 0 else None
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skip_channels, 1)

    def forward(self, x: tg.Tensor, g: tg.Tensor | None = None) -> tuple[tg.Tensor, tg.Tensor]:
        h = self.conv(x)
        if g is not None and self.cond is not None:
            h = h + self.cond(g).unsqueeze(-1)
        filtered, gate = h.chunk(2, dim=1)
        z = tg.tanh(filtered) * tg.sigmoid(gate)
        return (x + self.residual(z)) * 0.5**0.5, self.skip(z)


class WaveNet(nn.Module):
    """Logits [B, classes, T] of the next sample for samples [B, T], 0 to classes - 1."""

    def __init__(
        self,
        classes: int = 256,
        layers: int = 10,
        stacks: int = 2,
        channels: int = 64,
        skip_channels: int = 128,
        kernel_size: int = 2,
        cond_channels: int = 0,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.dilations = [2**i for _ in range(stacks) for i in range(layers)]
        self.receptive_field = (kernel_size - 1) * sum(self.dilations) + 1
        self.first = CausalConv1d(classes, channels, kernel_size)
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, skip_channels, kernel_size, d, cond_channels) for d in self.dilations
        )
        self.last = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(skip_channels, skip_channels, 1),
            nn.ReLU(),
            nn.Conv1d(skip_channels, classes, 1),
        )

    def forward(self, samples: tg.Tensor, g: tg.Tensor | None = None) -> tg.Tensor:
        x = F.one_hot(samples, self.classes).float().transpose(1, 2)
        x = self.first(x)
        skips = []
        for block in self.blocks:
            x, skip = block(x, g)
            skips.append(skip)
        total = reduce(lambda a, b: a + b, skips)
        return self.last(total / len(skips) ** 0.5)


def mu_law(wave: tg.Tensor, classes: int) -> tg.Tensor:
    """Numbers in [-1, 1] as classes 0 to classes - 1, narrow ones near silence and wide ones where it is loud.

    These are even steps of log(1 + mu * |wave|), with the sign of the wave, for mu = classes - 1 (ITU-T G.711).
    """
    last = classes - 1
    loudness = (last * wave.abs()).log1p() / math.log(classes)  # 0 to 1
    return (last * (0.5 + 0.5 * loudness.copysign(wave))).round().long()


def small() -> WaveNet:
    """Two stacks of dilations 1, 2, 4 on 32 classes, conditioned on 3 numbers."""
    return WaveNet(classes=32, layers=3, stacks=2, channels=16, skip_channels=24, cond_channels=3)


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randint(0, 32, (batch, 40)), tg.randn(batch, 3)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return example_inputs(batch)


def loss_of(model: WaveNet, samples: tg.Tensor, g: tg.Tensor) -> tg.Tensor:
    logits = model(samples[:, :-1], g)
    return F.cross_entropy(logits, samples[:, 1:])


def tones(batch: int, steps: int, length: int = 96) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """Sums of two sines in noise, and the amplitudes and pitch they were made from."""
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(steps):
        pitch, loud, phase = (
            rng.uniform(0.1, 0.3, (batch, 1)),
            rng.uniform(0.2, 0.5, (batch, 2)),
            rng.uniform(0, 6, (batch, 1)),
        )
        angle = pitch * np.arange(length) + phase
        wave = loud[:, :1] * np.sin(angle) + loud[:, 1:] * np.sin(2 * angle) + rng.normal(0, 0.005, angle.shape)
        samples = mu_law(tg.from_numpy(wave.clip(-1, 1).astype(np.float32)), 32)
        batches.append((samples, tg.from_numpy(np.hstack([loud, 4 * pitch]).astype(np.float32))))
    return batches


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, tones(batch=8, steps=60), lr=1e-2, falls_to=0.7)
    return 0


if __name__ == "__main__":
    sys.exit(main())
