"""Interpolation: values known by hand, and what is refused."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_nearest_repeats() -> None:
    x = tg.tensor([[[1.0, 2.0]]])
    assert tg.interpolate(x, scale_factor=2).tolist() == [[[1, 1, 2, 2]]]
    assert tg.interpolate(x, 3).tolist() == [[[1, 1, 2]]]
    assert tg.interpolate(x, 3, mode="nearest-exact").tolist() == [[[1, 2, 2]]]


@pytest.mark.parametrize(("align_corners", "wanted"), [(True, [0, 1, 2, 3]), (False, [0, 0.75, 2.25, 3])])
def test_linear(align_corners: bool, wanted: list[float]) -> None:
    x = tg.tensor([[[0.0, 3.0]]])
    assert tg.interpolate(x, 4, mode="linear", align_corners=align_corners).tolist() == [[wanted]]


def test_bilinear_is_linear_along_each_axis() -> None:
    x = tg.arange(4.0).reshape(1, 1, 2, 2)
    found = tg.interpolate(x, (3, 2), mode="bilinear", align_corners=True)
    assert found.tolist() == [[[[0, 1], [1, 2], [2, 3]]]]


def test_area_is_the_mean() -> None:
    assert tg.interpolate(tg.arange(4.0).reshape(1, 1, 4), 2, mode="area").tolist() == [[[0.5, 2.5]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either size or scale_factor"),
        ({"size": 2, "scale_factor": 2}, "either size or scale_factor"),
        ({"size": 2, "mode": "quintic"}, "mode='quintic'"),
        ({"size": 2, "align_corners": True}, "means nothing"),
        ({"size": (2, 2, 2)}, "one number or 2"),
        ({"size": 2, "mode": "linear"}, "3 dimensions"),
        ({"size": 2, "mode": "bicubic", "antialias": True}, "not supported"),
    ],
)
def test_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        tg.interpolate(tg.ones(1, 1, 4, 4), **arguments)


def test_fractions_of_symbolic_sizes() -> None:
    f = tg.compile(lambda x: tg.interpolate(x, scale_factor=1.5), dynamic=True)
    for size in (4, 5, 7):
        x = tg.arange(float(size)).reshape(1, 1, size)
        assert f(x).tolist() == tg.interpolate(x, scale_factor=1.5).tolist()


def test_pixels_and_channels() -> None:
    x = tg.arange(4.0).reshape(1, 4, 1, 1)
    assert tg.pixel_shuffle(x, 2).tolist() == [[[[0, 1], [2, 3]]]]
    assert tg.pixel_unshuffle(tg.pixel_shuffle(x, 2), 2).tolist() == x.tolist()
    assert tg.channel_shuffle(x, 2).flatten().tolist() == [0, 2, 1, 3]


def test_identity_grid() -> None:
    x = tg.arange(6.0).reshape(1, 1, 2, 3)
    grid = tg.affine_grid(tg.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 2, 3))
    assert tg.allclose(tg.grid_sample(x, grid, align_corners=False), x, atol=1e-5)
    assert tg.grid_sample(x, grid + 9).abs().sum().item() == 0
    assert tg.grid_sample(x, grid + 9, padding_mode="border").flatten().tolist() == [5] * 6
