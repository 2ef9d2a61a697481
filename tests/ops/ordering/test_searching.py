"""Positions in sorted sequences, membership, counts."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_positions_in_a_sorted_sequence() -> None:
    edges = tg.tensor([1, 3, 5, 7])
    values = tg.tensor([[3, 6], [0, 8]])
    assert tg.searchsorted(edges, values).tolist() == [[1, 3], [0, 4]]
    assert tg.searchsorted(edges, values, right=True).tolist() == [[2, 3], [0, 4]]
    assert tg.searchsorted(edges, values, side="right").tolist() == [[2, 3], [0, 4]]
    assert tg.bucketize(values, edges, out_int32=True).dtype is tg.int32
    assert tg.searchsorted(edges, 3.5).item() == 2
    shuffled = edges[tg.tensor([2, 0, 3, 1])]
    assert tg.searchsorted(shuffled, values, sorter=shuffled.argsort()).tolist() == [[1, 3], [0, 4]]


def test_each_row_has_its_sequence() -> None:
    edges = tg.tensor([[1, 3], [10, 30]])
    assert tg.searchsorted(edges, tg.tensor([[2, 9], [2, 99]])).tolist() == [[1, 2], [0, 2]]
    with pytest.raises(RuntimeError, match="sequences i64"):
        tg.searchsorted(edges, tg.tensor([[1], [2], [3]]))


def test_a_side_that_contradicts_itself() -> None:
    with pytest.raises(RuntimeError, match="side='left'"):
        tg.searchsorted(tg.arange(3), tg.arange(3), side="left", right=True)


def test_bincount() -> None:
    x = tg.tensor([0, 2, 2])
    assert x.bincount().tolist() == [1, 0, 2]
    assert x.bincount(minlength=4).tolist() == [1, 0, 2, 0]
    weighted = tg.bincount(x, tg.tensor([0.5, 1.0, 2.0]))
    assert weighted.tolist() == [0.5, 0, 3]
    assert weighted.dtype is tg.float32
    for wrong, message in ((tg.tensor([-1]), "negative"), (tg.ones(2), "integers"), (tg.zeros(2, 2).long(), "vectors")):
        with pytest.raises(RuntimeError, match=message):
            wrong.bincount()


def test_histogram() -> None:
    x = tg.tensor([0.0, 0.1, 0.9, 1.0, 2.0])
    assert x.histc(2, 0, 1).tolist() == [2, 2]
    assert x.histc(2).tolist() == [3, 2]
    assert tg.ones(3).histc(3).tolist() == [0, 3, 0]
    assert tg.tensor([0.0, float("inf")]).histc(2).isnan().all()
    with pytest.raises(RuntimeError, match="only defined for floating dtypes"):
        tg.arange(3).histc()
