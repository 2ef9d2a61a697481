"""Limits: crossing, nan, ties, gradients at the limit."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError


def gradients(function: object, *values: list[float]) -> list[list[float]]:
    tensors = [tg.tensor(v, requires_grad=True) for v in values]
    function(*tensors).sum().backward()
    return [t.grad.tolist() for t in tensors if t.grad is not None]


def test_clamp() -> None:
    x = tg.tensor([-3.0, 0.5, 3.0, math.nan])
    assert x.clamp(-1, 1).tolist()[:3] == [-1.0, 0.5, 1.0]
    assert math.isnan(x.clamp(-1, 1).tolist()[3])
    assert x.clip(max=0).tolist()[:3] == [-3.0, 0.0, 0.0]
    assert x.clamp(5, 1).tolist()[:3] == [1.0, 1.0, 1.0]
    assert tg.tensor([1, 2]).clamp(1.5).tolist() == [1.5, 2.0]
    assert x.clone().clamp_min_(0).tolist()[:3] == [0.0, 0.5, 3.0]
    with pytest.raises(ArgumentError, match="at least one of min and max"):
        x.clamp()


def test_at_a_limit_the_gradient_goes_to_the_input() -> None:
    assert gradients(lambda x: x.clamp(-1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [[0, 1, 1, 1, 0]]
    assert gradients(lambda x, low: x.clamp(low), [1.0, 3.0], [2.0, 3.0]) == [[0, 1], [1, 0]]


def test_a_tie_divides_the_gradient() -> None:
    assert gradients(tg.maximum, [1.0, 2.0], [1.0, 5.0]) == [[0.5, 0], [0.5, 1]]
    assert gradients(tg.minimum, [1.0, 2.0], [1.0, 5.0]) == [[0.5, 1], [0.5, 0]]


def test_fmax_ignores_nan() -> None:
    x, y = tg.tensor([math.nan, 1.0, 2.0]), tg.tensor([3.0, math.nan, 1.0])
    assert tg.fmax(x, y).tolist() == [3.0, 1.0, 2.0]
    assert tg.fmin(x, y).tolist() == [3.0, 1.0, 1.0]
    assert all(map(math.isnan, tg.maximum(x, y).tolist()[:2]))
