"""Layers that change sizes: they call their functions."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F

IMAGES = tg.arange(2.0 * 4 * 6 * 6).reshape(2, 4, 6, 6)


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (nn.Upsample(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2)),
        (nn.Upsample((3, 4), mode="bilinear"), lambda x: F.interpolate(x, (3, 4), mode="bilinear")),
        (nn.UpsamplingNearest2d(3), lambda x: F.interpolate(x, 3)),
        (
            nn.UpsamplingBilinear2d(scale_factor=2),
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        ),
        (nn.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2)),
        (nn.PixelUnshuffle(3), lambda x: F.pixel_unshuffle(x, 3)),
        (nn.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2)),
        (nn.Unfold(3, padding=1), lambda x: F.unfold(x, 3, padding=1)),
        (nn.Softmax2d(), lambda x: x.softmax(1)),
        (nn.LPPool2d(2, 3), lambda x: (F.avg_pool2d(x * x, 3) * 9).sqrt()),
        (nn.LocalResponseNorm(1, alpha=1.0, beta=0.5), lambda x: x / (x * x + 1).sqrt()),
        (nn.CircularPad1d(1), lambda x: tg.cat([x[..., -1:], x, x[..., :1]], -1)),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "formula",
)
def test_layers(layer: nn.Module, wanted: object) -> None:
    x = IMAGES if not isinstance(layer, nn.CircularPad1d) else IMAGES[0]
    assert tg.allclose(layer(x), wanted(x))


def test_folding_undoes_windows_that_tile() -> None:
    assert tg.equal(nn.Fold((6, 6), 2, stride=2)(nn.Unfold(2, stride=2)(IMAGES)), IMAGES)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(4, 2, 3, padding=1, padding_mode="replicate"),
        nn.ConvTranspose3d(4, 2, 2, stride=2),
        nn.BatchNorm3d(4),
        nn.InstanceNorm3d(4),
        nn.MaxPool3d(2),
        nn.AvgPool3d(2),
        nn.AdaptiveAvgPool3d(2),
        nn.AdaptiveMaxPool3d((2, None, 1)),
        nn.ReflectionPad3d(1),
        nn.ConstantPad3d(1, 2.0),
        nn.ZeroPad3d((1, 2, 0, 1, 1, 0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_volumes_compile(layer: nn.Module) -> None:
    x = tg.randn(2, 4, 4, 4, 4)
    layer.eval()
    assert tg.allclose(tg.compile(layer, fullgraph=True)(x), layer(x), atol=1e-5)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings(mode: str) -> None:
    bag, numbers = nn.EmbeddingBag(7, 3, mode=mode), tg.tensor([1, 2, 4, 5, 4])
    rows = bag.weight[numbers]
    reduced = {"sum": lambda r: r.sum(0), "mean": lambda r: r.mean(0), "max": lambda r: r.max(0).values}[mode]
    found = bag(numbers, tg.tensor([0, 2, 2]))
    assert tg.allclose(found, tg.stack([reduced(rows[:2]), tg.zeros(3), reduced(rows[2:])]))
    assert tg.allclose(bag(numbers[:4].reshape(2, 2))[1], reduced(rows[2:4]))


def test_bags_that_do_not_fit() -> None:
    bag = nn.EmbeddingBag(7, 3)
    with pytest.raises(RuntimeError, match="must be a matrix, or a vector and offsets"):
        bag(tg.tensor([1, 2]))
    with pytest.raises(ValueError, match="for mode='sum'"):
        bag(tg.tensor([[1, 2]]), per_sample_weights=tg.ones(1, 2))
    with pytest.raises(ValueError, match="mode='min'"):
        nn.EmbeddingBag(7, 3, mode="min")(tg.tensor([[1, 2]]))
