"""Comparison with numbers, of mixed dtypes, and closeness."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg

INF, NAN = math.inf, math.nan


def test_operands_are_promoted_first() -> None:
    assert (tg.tensor([200], dtype=tg.uint8) > tg.tensor([-1], dtype=tg.int8)).tolist() == [True]
    assert (tg.tensor([1]) == 1.5).tolist() == [False]
    one_and_a_half = 1.5
    assert (one_and_a_half > tg.tensor([1, 2])).tolist() == [True, False]


def test_comparison_with_what_is_no_number() -> None:
    x = tg.tensor([1.0])
    assert (x == None) is False  # noqa: E711 - what is tested
    assert (x != "a") is True
    with pytest.raises(TypeError):
        _ = x < "a"


def test_nan_compares_unequal() -> None:
    x = tg.tensor([NAN])
    assert (x == x).tolist() == (x < x).tolist() == (x >= x).tolist() == [False]
    assert (x != x).tolist() == [True]


def test_classification() -> None:
    x = tg.tensor([NAN, INF, -INF, -0.0, 1.0])
    assert x.isnan().tolist() == [True, False, False, False, False]
    assert x.isinf().tolist() == [False, True, True, False, False]
    assert x.isfinite().tolist() == [False, False, False, True, True]
    assert x.isposinf().tolist() == [False, True, False, False, False]
    assert x.isneginf().tolist() == [False, False, True, False, False]
    assert x.signbit().tolist()[2:] == [True, True, False]
    assert tg.tensor([1, 2]).isfinite().tolist() == [True, True]


def test_isclose() -> None:
    x, y = tg.tensor([1.0, INF, INF, NAN, 0.0]), tg.tensor([1.0 + 1e-6, INF, -INF, NAN, 1e-7])
    assert tg.isclose(x, y).tolist() == [True, True, False, False, False]
    assert tg.isclose(x, y, equal_nan=True, atol=1e-6).tolist() == [True, True, False, True, True]
    assert tg.isclose(tg.tensor([2**40]), tg.tensor([2**40 + 1])).tolist() == [True]


def test_comparison_in_place_keeps_the_dtype() -> None:
    x = tg.tensor([1.0, 3.0])
    x.gt_(2)
    assert x.dtype is tg.float32
    assert x.tolist() == [0.0, 1.0]
