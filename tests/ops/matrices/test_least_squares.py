"""Least squares and condition numbers, against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import linalg
from tracegraph.autograd import gradcheck
from tracegraph.errors import ElementError, ShapeError, ValueRangeError


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_least_squares(rng: Any, shape: tuple[int, int]) -> None:
    a, b = rng.standard_normal(shape), rng.standard_normal((shape[0], 2))
    wanted, residuals, rank, values = np.linalg.lstsq(a, b)
    found = linalg.lstsq(tg.from_numpy(a), tg.from_numpy(b), driver="gelsd")
    np.testing.assert_allclose(found.solution.numpy(), wanted)
    np.testing.assert_allclose(found.residuals.numpy(), residuals)
    np.testing.assert_allclose(found.singular_values.numpy(), values)
    assert found.rank.item() == rank
    vector = linalg.lstsq(tg.from_numpy(a), tg.from_numpy(b[:, 0]))
    np.testing.assert_allclose(vector.solution.numpy(), wanted[:, 0])
    assert vector.residuals.shape == vector.singular_values.shape == (0,)


def test_gradients_of_least_squares(rng: Any) -> None:
    a, b = (tg.from_numpy(rng.standard_normal(s)).requires_grad_() for s in ((5, 3), (5, 2)))
    assert gradcheck(lambda a, b: linalg.lstsq(a, b).solution, (a, b))


def test_condition_numbers(rng: Any) -> None:
    a = rng.standard_normal((3, 3))
    for p in (None, 2, -2, 1, -1, np.inf, "fro"):
        assert linalg.cond(tg.from_numpy(a), p).item() == pytest.approx(np.linalg.cond(a, p))


def test_distances_of_all_pairs(rng: Any) -> None:
    x = tg.from_numpy(rng.standard_normal((4, 3)))
    rows = [(x[i] - x[j]).norm().item() for i in range(4) for j in range(i + 1, 4)]
    assert tg.pdist(x).tolist() == pytest.approx(rows)
    with pytest.raises(ShapeError, match="rows and features"):
        tg.pdist(x[0])


def test_singular_values_of_what_is_not_finite() -> None:
    for value in (np.inf, np.nan):
        with pytest.raises(ElementError, match="not finite"):
            linalg.svdvals(tg.full((3, 3), value))


def test_refusals() -> None:
    with pytest.raises(ValueRangeError, match="driver='fast'"):
        linalg.lstsq(tg.eye(2), tg.eye(2), driver="fast")
    with pytest.raises(ShapeError, match="must be matrices"):
        linalg.lstsq(tg.ones(2), tg.eye(2))
