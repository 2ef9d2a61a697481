"""Halves, decimals, integers and gradients of rounding."""

from __future__ import annotations

import tracegraph as tg


def test_halves_go_to_even() -> None:
    assert tg.tensor([0.5, 1.5, -0.5, -2.5]).round().tolist() == [0.0, 2.0, -0.0, -2.0]


def test_decimals() -> None:
    x = tg.tensor([1.25, 123.0], dtype=tg.float64)
    assert x.round(decimals=1).tolist() == [1.2, 123.0]
    assert x.round(decimals=-1).tolist() == [0.0, 120.0]


def test_integers_stay() -> None:
    x = tg.tensor([3, -4])
    for op in (tg.floor, tg.ceil, tg.trunc, tg.round):
        assert op(x).dtype is tg.int64
        assert op(x).tolist() == [3, -4]


def test_gradients_are_zero() -> None:
    x = tg.tensor([1.3, 2.7], requires_grad=True)
    (x.floor() + x.round() + x.sign()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]
