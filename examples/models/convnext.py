"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545): a convolutional network built like a Transformer.

    python examples/models/convnext.py

trains a small one on handwritten digits, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from support.data import digit_batches
from support.training import train
from vit import DropPath

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


class LayerNorm(nn.Module):
    """Layer normalisation over channels that stand last or first."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6, data_format: str = "channels_last") -> None:
        super().__init__()
        self.weight = nn.Parameter(tg.ones(normalized_shape))
        self.bias = nn.Parameter(tg.zeros(normalized_shape))
        self.eps = eps
        self.data_format = data_format
        if self.data_format not in ["channels_last", "channels_first"]:
            raise ValueError(f"data_format must be channels_last or channels_first, got {data_format!r}")
        self.normalized_shape = (normalized_shape,)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        if self.data_format == "channels_last":
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / tg.sqrt(s + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class Block(nn.Module):
    """Depthwise 7x7 convolution, then an inverted bottleneck of linear layers with the channels last."""

    def __init__(self, dim: int, drop_path: float = 0.0, layer_scale_init_value: float = 1e-6) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = (
            nn.Parameter(layer_scale_init_value * tg.ones(dim), requires_grad=True)
            if layer_scale_init_value > 0
            else None
        )
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        input = x
        x = self.dwconv(x)
        x = x.permute(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
        x = self.norm(x)
        x = self.pwconv1(x)
        x = self.act(x)
        x = self.pwconv2(x)
        if self.gamma is not None:
            x = self.gamma * x
        x = x.permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
        return input + self.drop_path(x)


class ConvNeXt(nn.Module):
    """Four stages of blocks with downsampling layers between, and a linear head."""

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        patch_size: int = 4,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        head_init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList()
        stem = nn.Sequential(
            nn.Conv2d(in_chans, dims[0], kernel_size=patch_size, stride=patch_size),
            LayerNorm(dims[0], eps=1e-6, data_format="channels_first"),
        )
        self.downsample_layers.append(stem)
        for i in range(len(dims) - 1):
            downsample_layer = nn.Sequential(
                LayerNorm(dims[i], eps=1e-6, data_format="channels_first"),
                nn.Conv2d(dims[i], dims[i + 1], kernel_size=2, stride=2),
            )
            self.downsample_layers.append(downsample_layer)

        self.stages = nn.ModuleList()
        dp_rates = [x.item() for x in tg.linspace(0, drop_path_rate, sum(depths))]
        cur = 0
        for i in range(len(dims)):
            stage = nn.Sequential(
                *[
                    Block(dim=dims[i], drop_path=dp_rates[cur + j], layer_scale_init_value=layer_scale_init_value)
                    for j in range(depths[i])
                ]
            )
            self.stages.append(stage)
            cur += depths[i]

        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], num_classes)

        self.apply(self._init_weights)
        self.head.weight.data.mul_(head_init_scale)
        self.head.bias.data.mul_(head_init_scale)

    def _init_weights(self, m: nn.Module) -> None:
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(m.weight, std=0.02)
            nn.init.constant_(m.bias, 0)

    def forward_features(self, x: tg.Tensor) -> tg.Tensor:
        for i in range(len(self.stages)):
            x = self.downsample_layers[i](x)
            x = self.stages[i](x)
        return self.norm(x.mean([-2, -1]))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = self.forward_features(x)
        return self.head(x)


def small() -> ConvNeXt:
    """Three stages for digits of 16x16 pixels."""
    return ConvNeXt(
        in_chans=1,
        num_classes=10,
        patch_size=2,
        depths=(1, 2, 1),
        dims=(8, 16, 32),
        drop_path_rate=0.1,
        layer_scale_init_value=0.1,
    )


def example_inputs(batch: int = 4) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 1, 16, 16),)


def example_batch(batch: int = 4) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randn(batch, 1, 16, 16), tg.randint(0, 10, (batch,))


def loss_of(model: nn.Module, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return F.cross_entropy(model(images), labels)


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, digit_batches(batch=32, steps=40, scale=2), lr=5e-3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
