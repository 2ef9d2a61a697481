"""Powers at the edges: exponents with an op of their own, negative integer exponents, zero bases."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError


def recorded_ops(exponent: float) -> list[str]:
    from tracegraph.ir import Builder, TensorType
    from tracegraph.ops.graphs.recording import record_into

    builder = Builder("power")
    x = builder.placeholder(TensorType(tg.float32, (3,)))
    record_into(builder, lambda h: h**exponent, x)
    return [n.call_op.name for n in builder.graph.calls]


@pytest.mark.parametrize(
    ("exponent", "op"), [(2, "square"), (2.0, "square"), (0.5, "sqrt"), (-0.5, "rsqrt"), (-1, "reciprocal"), (3, "pow")]
)
def test_special_exponents(exponent: float, op: str) -> None:
    assert recorded_ops(exponent) == [op]


def test_integer_powers() -> None:
    x = tg.tensor([-2, -1, 0, 1, 3])
    assert (x**3).tolist() == [-8, -1, 0, 1, 27]
    assert tg.pow(x, tg.tensor([-3])).tolist() == [0, -1, 0, 1, 0]
    assert (2 ** tg.tensor([3, 0])).tolist() == [8, 1]
    assert (tg.tensor([2]) ** 0.5).tolist() == [pytest.approx(math.sqrt(2))]
    with pytest.raises(DTypeError, match="negative integer -1"):
        x**-1


def test_float_power_is_float64() -> None:
    assert tg.float_power(tg.tensor([2], dtype=tg.int8), 0.5).dtype is tg.float64


@pytest.mark.parametrize(
    ("base", "exponent", "wanted"), [(0.0, 2.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0), (-2.0, 2.0, -4.0)]
)
def test_gradient_of_the_base(base: float, exponent: float, wanted: float) -> None:
    x = tg.tensor([base], requires_grad=True)
    tg.pow(x, tg.tensor([exponent])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [wanted]


def test_gradient_of_the_exponent_of_zero() -> None:
    exponent = tg.tensor([0.0, 2.0], requires_grad=True)
    tg.pow(tg.tensor([0.0, 0.0]), exponent).sum().backward()
    assert exponent.grad is not None
    assert exponent.grad.tolist() == [0.0, 0.0]


def test_hypot_does_not_overflow() -> None:
    big = np.float32(3e38)
    x = tg.tensor([big, 0.0, math.inf, 3.0], dtype=tg.float32)
    y = tg.tensor([1.0, 0.0, math.nan, 4.0], dtype=tg.float32)
    np.testing.assert_array_equal(tg.hypot(x, y).numpy(), np.array([big, 0, math.inf, 5], np.float32))


def test_integers_to_a_power() -> None:
    x = tg.arange(1, 4)
    assert (x**2).dtype is tg.int64
    assert (x**2.0).dtype is tg.float32
    with pytest.raises(DTypeError, match="negative integer -1"):
        x**-1


def test_powers_of_two_times_numbers() -> None:
    found = tg.ldexp(tg.tensor([1.5, -3.0]), tg.tensor([3, -1]))
    assert found.tolist() == [12.0, -1.5]
    assert tg.ldexp(tg.tensor([2]), tg.tensor([2])).dtype is tg.float32
