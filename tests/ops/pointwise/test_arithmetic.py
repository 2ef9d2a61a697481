"""Promotion, integer division and errors of arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, DTypeError, ElementError, ShapeError, ValueRangeError


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (tg.tensor([1]), 2, tg.int64),
        (tg.tensor([1], dtype=tg.int8), 2, tg.int8),
        (tg.tensor([1], dtype=tg.int8), 2.5, tg.float32),
        (tg.tensor([1.0], dtype=tg.float16), 2.5, tg.float16),
        (tg.tensor([True]), 2, tg.int64),
        (tg.tensor([True]), tg.tensor([1], dtype=tg.uint8), tg.uint8),
        (tg.tensor([1], dtype=tg.uint8), tg.tensor([1], dtype=tg.int8), tg.int16),
        (tg.tensor([1.0], dtype=tg.float16), tg.tensor([1.0], dtype=tg.bfloat16), tg.float32),
        (tg.tensor([1.0]), tg.tensor(1.0, dtype=tg.float64), tg.float32),
        (tg.tensor([1]), tg.tensor(1.0, dtype=tg.float64), tg.float64),
        (tg.tensor([1]), tg.tensor([1.0], dtype=tg.float16), tg.float16),
    ],
)
def test_result_dtype(left: tg.Tensor, right: object, result: tg.DType) -> None:
    assert (left + right).dtype is result
    assert (right + left).dtype is result


def test_division_is_true_division() -> None:
    assert (tg.tensor([7, -7]) / 2).tolist() == [3.5, -3.5]
    assert (7 / tg.tensor([2])).dtype is tg.float32


@pytest.mark.parametrize("op", [tg.floor_divide, tg.remainder, tg.fmod, tg.trunc_divide])
def test_integer_division_by_zero_is_an_error(op: object) -> None:
    with pytest.raises(ElementError, match="integer division by zero"):
        op(tg.tensor([1, 2]), tg.tensor([1, 0]))
    with pytest.raises(RuntimeError, match="integer division by zero"):
        op(tg.tensor([1, 2]), 0)


def test_float_division_by_zero_is_ieee() -> None:
    x = tg.tensor([1.0, -1.0, 0.0])
    np.testing.assert_array_equal((x // 0.0).numpy(), [np.inf, -np.inf, np.nan])
    assert (x % 0.0).isnan().all()


@pytest.mark.parametrize("dtype", [tg.int32, tg.float32])
def test_the_three_roundings_of_a_quotient(dtype: tg.DType) -> None:
    a, b = tg.tensor([7, -7, 7, -7], dtype=dtype), tg.tensor([2, 2, -2, -2], dtype=dtype)
    assert (a // b).tolist() == [3, -4, -4, 3]
    assert tg.div(a, b, rounding_mode="floor").tolist() == [3, -4, -4, 3]
    assert tg.div(a, b, rounding_mode="trunc").tolist() == [3, -3, -3, 3]
    assert (a % b).tolist() == [1, 1, -1, -1]
    assert tg.fmod(a, b).tolist() == [1, -1, 1, -1]
    assert (a // b).dtype is dtype


def test_unknown_rounding_mode() -> None:
    with pytest.raises(ValueRangeError, match=r"rounding_mode.*'up'"):
        tg.div(tg.tensor(1.0), 2.0, rounding_mode="up")


def test_alpha() -> None:
    x, y = tg.tensor([1, 2]), tg.tensor([3, 4])
    assert tg.add(x, y, alpha=2).tolist() == [7, 10]
    assert x.sub(y, alpha=2).tolist() == [-5, -6]
    assert tg.rsub(x, y, alpha=2).tolist() == [1, 0]
    with pytest.raises(DTypeError, match=r"alpha=0\.5 must be an integer"):
        tg.add(x, y, alpha=0.5)


def test_alpha_is_taken_in_the_dtype_of_the_result() -> None:
    wide, narrow = tg.tensor([1, 2]), tg.tensor([1, 2], dtype=tg.uint8)
    assert tg.add(wide, narrow, alpha=300).tolist() == [301, 602]
    assert tg.sub(tg.tensor([1.0, 2.0]), wide, alpha=0.5).tolist() == [0.5, 1]
    assert tg.add(narrow, narrow, alpha=-1).tolist() == [0, 0]
    assert tg.add(tg.tensor([True, False]), tg.tensor([True, True]), alpha=3).tolist() == [True, True]
    assert tg.add(tg.tensor([False]), True, alpha=False).tolist() == [False]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("op", [tg.add, tg.sub, tg.rsub], ids=lambda op: op.name)
@pytest.mark.parametrize(
    ("dtype", "alpha"), [(tg.uint8, 300), (tg.int8, 300), (tg.int32, 1 << 31), (tg.int64, 1 << 63)]
)
def test_an_alpha_that_does_not_fit(op: Any, dtype: DType, alpha: int, compiled: bool) -> None:
    x = tg.tensor([1, 2], dtype=dtype)

    def program(x: tg.Tensor) -> tg.Tensor:
        return op(x, x, alpha=alpha)

    with pytest.raises(DTypeError, match=f"alpha={alpha} does not fit"):
        (tg.compile(program) if compiled else program)(x)
    with pytest.raises(DTypeError, match="alpha=True is a bool, the result is"):
        op(x, x, alpha=True)
    with pytest.raises(DTypeError, match="alpha=True is a bool, the result is float32"):
        op(tg.ones(2), x, alpha=True)


@pytest.mark.parametrize("other", [1, 2.0, True, tg.tensor([True]), tg.tensor([3])], ids=str)
def test_bools_have_no_difference(other: Any) -> None:
    mask = tg.tensor([True, False])
    for subtract in (lambda: mask - other, lambda: other - mask, lambda: tg.rsub(mask, other)):
        with pytest.raises(DTypeError, match="not defined for dtype bool"):
            subtract()
    with pytest.raises(DTypeError, match="not defined for dtype bool"):
        tg.tensor([3]) - True


def test_bools() -> None:
    t, f = tg.tensor([True]), tg.tensor([False])
    assert (t + t).tolist() == [True]
    assert (t * f).tolist() == [False]
    for op in (lambda: t - f, lambda: -t, lambda: abs(t), lambda: t // f, lambda: +t):
        with pytest.raises(DTypeError, match="not defined for dtype bool"):
            op()


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ShapeError, match=r"add: shapes \[2, 3\] and \[2\].*sizes 3 and 2 differ at dimension 1"):
        tg.tensor([[1, 2, 3], [4, 5, 6]]) + tg.tensor([1, 2])


def test_operands_that_are_no_tensors() -> None:
    with pytest.raises(TypeError):
        tg.tensor(1) + "a"
    with pytest.raises(ArgumentError, match=r"argument 'other' must be a Tensor or a number, got 'a' \(str\)"):
        tg.add(tg.tensor(1), "a")


def test_aliases_are_the_same_op() -> None:
    assert tg.absolute is tg.abs
    assert tg.true_divide is tg.divide is tg.div
    x = tg.tensor([-1.5])
    assert x.negative().tolist() == x.neg().tolist()
    assert x.subtract_(1).tolist() == [-2.5]


def test_augmented_assignment_writes_in_place() -> None:
    x = tg.tensor([4.0, 9.0])
    view = x[1:]
    x -= 1
    x //= 2
    assert view.tolist() == [4.0]
    with pytest.raises(DTypeError, match=r"cannot be stored in a tensor of dtype tracegraph\.int64"):
        tg.tensor([1]).div_(2)


def test_sign_of_nan_is_zero() -> None:
    assert tg.sign(tg.tensor([float("nan"), -0.0, -3.0])).tolist() == [0.0, 0.0, -1.0]


def test_gradient_of_abs_at_zero() -> None:
    x = tg.tensor([0.0, -2.0], requires_grad=True)
    x.abs().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, -1.0]
