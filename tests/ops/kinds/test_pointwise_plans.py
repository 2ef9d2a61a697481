"""How pointwise ops choose dtypes: plans depend on dtypes, ranks and Python types, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import dtypes
from tracegraph.ops import functional as F

X = np.array([1.5, -2.0, 0.0])


def test_one_plan_serves_all_shapes() -> None:
    plans = F.hypot._plans
    plans.clear()
    for shape in ((3,), (2, 3), (), (0,)):
        a = tg.ones(shape)
        F.hypot(a, a)
    assert len(plans) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_numbers_of_several_types_have_plans_of_their_own(order: tuple[int, ...]) -> None:
    x = tg.tensor([3, 4])
    numbers = (True, 2, 0.5)
    wanted = (tg.int64, tg.int64, tg.float32)
    F.mul._plans.clear()
    for i in order:
        assert (x * numbers[i]).dtype is (numbers[i] * x).dtype is wanted[i]


def test_ranks_matter_where_dtypes_differ() -> None:
    single, double = tg.ones(3), tg.tensor(2.0, dtype=tg.float64)
    F.add._plans.clear()
    assert (single + double).dtype is tg.float32
    assert (single + double.reshape(1)).dtype is tg.float64
    assert (single + double).dtype is tg.float32
    assert (single[0] + double).dtype is tg.float64


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_equal_dtypes(dtype: dtypes.DType) -> None:
    a = tg.tensor(X, dtype=tg.float64).to(dtype)
    for x in (a, a[:1], a[0]):
        total = x + x
        assert total.dtype is dtype and total.shape == x.shape
        assert (x == x).dtype is tg.bool


def test_huge_and_strange_numbers() -> None:
    x = tg.ones(2)
    assert (x * 1e300).tolist() == [np.inf, np.inf]
    assert (x * float("nan")).isnan().all()
    assert np.signbit((x * -0.0).numpy()).all()
    assert (tg.tensor([1], dtype=tg.uint8) + 255).tolist() == [0]


def test_shapes_that_numpy_refuses_are_explained() -> None:
    with pytest.raises(tg.TracegraphError, match=r"add: shapes \[2\] and \[3\] do not broadcast"):
        tg.ones(2) + tg.ones(3)
