"""Combinations, powers, equal parts; and exponentials of matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import linalg

import tracegraph as tg
from tracegraph.errors import DTypeError, ShapeError, ValueRangeError


@pytest.mark.parametrize("r", range(5))
@pytest.mark.parametrize("with_replacement", [False, True])
def test_combinations(r: int, with_replacement: bool) -> None:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    wanted = [list(row) for row in choose([7, 8, 9], r)] if r else []
    assert tg.combinations(tg.tensor([7, 8, 9]), r, with_replacement).tolist() == wanted


def test_vander() -> None:
    x = tg.tensor([2.0, 0.0, 3.0])
    assert tg.vander(x).tolist() == [[4, 2, 1], [0, 0, 1], [9, 3, 1]]
    assert tg.linalg.vander(x, N=2, increasing=True).tolist() == [[1, 2], [1, 0], [1, 3]]


def test_parts() -> None:
    x = tg.arange(8).reshape(4, 2)
    assert [p.tolist() for p in tg.vsplit(x, [1, 3])] == [[[0, 1]], [[2, 3], [4, 5]], [[6, 7]]]
    assert [p.shape for p in x.hsplit(2)] == [(4, 1)] * 2 and [p.shape for p in tg.hsplit(x[:, 0], 2)] == [(2,)] * 2
    assert [p.shape for p in x.reshape(2, 2, 2).dsplit(2)] == [(2, 2, 1)] * 2
    with pytest.raises(ShapeError, match="3 equal parts"):
        tg.vsplit(x, 3)
    with pytest.raises(ShapeError, match="at least 3 dimensions"):
        tg.dsplit(x, 2)


def test_errors() -> None:
    with pytest.raises(ShapeError, match="vector"):
        tg.combinations(tg.ones(2, 2))
    with pytest.raises(ValueRangeError, match="negative"):
        tg.combinations(tg.ones(2), -1)
    with pytest.raises(ValueRangeError, match="negative"):
        tg.vander(tg.ones(2), -1)
    with pytest.raises(DTypeError, match="float32 and float64"):
        tg.matrix_exp(tg.ones(2, 2, dtype=tg.int64))


@pytest.mark.parametrize("scale", [1e-6, 0.4, 3.0, 40.0])
def test_matrix_exponentials(scale: float) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 4)) * scale
    np.testing.assert_allclose(tg.linalg.matrix_exp(tg.tensor(x)).numpy(), linalg.expm(x), rtol=1e-9)
    turn = tg.tensor([[0.0, -scale], [scale, 0.0]], dtype=tg.float64)
    wanted = [[np.cos(scale), -np.sin(scale)], [np.sin(scale), np.cos(scale)]]
    np.testing.assert_allclose(turn.matrix_exp().numpy(), wanted, atol=1e-12)
