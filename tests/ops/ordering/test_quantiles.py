"""Quantiles and modes: what the samples do not draw."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg


@pytest.mark.parametrize(
    ("interpolation", "wanted"), [("linear", 1.2), ("lower", 1), ("higher", 2), ("midpoint", 1.5), ("nearest", 1)]
)
def test_interpolations(interpolation: str, wanted: float) -> None:
    found = tg.quantile(tg.tensor([3.0, 0.0, 2.0, 1.0]), 0.4, interpolation=interpolation)
    assert found.item() == pytest.approx(wanted)


def test_the_dimension_of_the_fractions_comes_first() -> None:
    x, q = tg.arange(12.0).reshape(3, 4), tg.tensor([0.0, 0.5, 1.0])
    assert x.quantile(q, dim=1).tolist() == [[0, 4, 8], [1.5, 5.5, 9.5], [3, 7, 11]]
    assert x.quantile(q, keepdim=True).shape == (3, 1, 1)
    assert x.quantile(0.5, dim=0, keepdim=True).tolist() == [[4, 5, 6, 7]]


def test_nan() -> None:
    x = tg.tensor([[1.0, math.nan, 3.0], [math.nan] * 3])
    assert x.quantile(0.5, dim=1).isnan().all()
    assert x.nanquantile(0.5, dim=1).tolist()[0] == 2
    assert x.nanquantile(0.5, dim=1).isnan().tolist() == [False, True]
    assert x.nanmedian().item() == 1
    assert x[0].nanmedian(0).indices.item() == 0
    assert x[0].quantile(tg.tensor([0.5, 1.5])).isnan().all()


def test_errors() -> None:
    x = tg.ones(3)
    for arguments, message in (
        ((1.5,), "must lie in"),
        ((tg.ones(1, 1),), "vector"),
        ((0.5, 0, False, "x"), "takes 4"),
    ):
        with pytest.raises(RuntimeError, match=message):
            x.quantile(*arguments)
    with pytest.raises(RuntimeError, match="float32 or float64"):
        tg.arange(3).quantile(0.5)
    with pytest.raises(RuntimeError, match="must not be empty"):
        tg.zeros(0).quantile(0.5)


def test_mode() -> None:
    values, indices = tg.tensor([[2, 1, 2, 1], [5, 4, 4, 5]]).mode()
    assert values.tolist() == [1, 4]
    assert indices.tolist() == [3, 2]
