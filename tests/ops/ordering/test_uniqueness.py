"""unique and unique_consecutive, whose results no graph can hold."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg


def test_unique() -> None:
    x = tg.tensor([[3, 1, 3], [2, 1, 1]])
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert values[inverse].tolist() == x.tolist()
    assert counts.tolist() == [3, 1, 2]
    assert tg.unique(x).tolist() == [1, 2, 3]
    assert tg.unique(x, True, True)[1].shape == (2, 3)


def test_unique_along_a_dimension() -> None:
    x = tg.tensor([[1, 2], [0, 1], [1, 2]])
    values, inverse, counts = tg.unique(x, dim=0, return_inverse=True, return_counts=True)
    assert values.tolist() == [[0, 1], [1, 2]]
    assert inverse.tolist() == [1, 0, 1]
    assert counts.tolist() == [1, 2]


def test_nan_differs_from_itself() -> None:
    values = tg.tensor([math.nan, 1.0, math.nan]).unique()
    assert values.tolist()[0] == 1.0
    assert values.isnan().tolist() == [False, True, True]


def test_runs() -> None:
    x = tg.tensor([1, 1, 2, 2, 2, 1])
    values, inverse, counts = tg.unique_consecutive(x, return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 1]
    assert inverse.tolist() == [0, 0, 1, 1, 1, 2]
    assert counts.tolist() == [2, 3, 1]
    assert tg.tensor([[1], [1]]).unique_consecutive(dim=0).tolist() == [[1]]


def test_no_elements() -> None:
    assert tg.zeros(0).unique().shape == (0,)
    assert tg.zeros(0).unique_consecutive().shape == (0,)


def test_compiled_functions_break_and_continue() -> None:
    @tg.compile
    def f(x: tg.Tensor) -> tg.Tensor:
        return (x + 1).unique() * 2

    assert f(tg.tensor([1, 0, 1])).tolist() == [2, 4]
    with pytest.raises(RuntimeError, match=r"unique\(i64\[3\]\): the size of its result"):
        tg.compile(f, fullgraph=True)(tg.tensor([1, 0, 1]))
