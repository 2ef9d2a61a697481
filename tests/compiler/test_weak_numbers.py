"""Python numbers that integer tensors meet: compiled = eager where they fit, wrap around, or do not fit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph.dtypes import INTEGER_DTYPES, DType
from tracegraph.errors import DTypeError
from tracegraph.nn import functional as nnf

BINARY = [
    *(operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.truediv),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    *(operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift),
    *(tg.fmod, tg.copysign),
]

#: arithmetic and comparisons, in which numbers wrap around
WRAPPING: list[Callable[[Any, int], Any]] = [
    *BINARY,
    lambda x, v: v + x,
    lambda x, v: v - x,
    lambda x, v: v * x,
    lambda x, v: v // x,
    lambda x, v: v % x,
    lambda x, v: v**x,
    lambda x, v: tg.div(x, v, rounding_mode="trunc"),
    lambda x, v: x.clone().add_(v),
    lambda x, v: (x + v) * 2 < v,
]

#: numbers that become elements or limits of elements
FITTING: list[Callable[[Any, int], Any]] = [
    lambda x, v: x.clamp(min=v),
    lambda x, v: x.clamp(max=v),
    lambda x, v: x.masked_fill(x > 1, v),
    lambda x, v: tg.where(x > 1, x, v),
    lambda x, v: tg.where(x > 1, v, x),
    tg.full_like,
    lambda x, v: x.new_full((2,), v) + x[0],
    lambda x, v: x.clone().fill_(v),
    lambda x, v: x.scatter(0, tg.zeros(1, dtype=tg.int64), v),
    lambda x, v: x.index_fill(0, tg.zeros(1, dtype=tg.int64), v),
    lambda x, v: nnf.pad(x, (1, 2), value=v),
    lambda x, v: nnf.threshold(x, 1, v),
]


def limits(dtype: DType) -> tuple[int, int]:
    bits = 8 * dtype.itemsize
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.is_signed else (0, (1 << bits) - 1)


def elements(dtype: DType) -> tg.Tensor:
    return tg.tensor([1, 2, 3, 100, limits(dtype)[1]], dtype=dtype)


def compare(functions: list[Callable[[Any, int], Any]], numbers: list[int], dtype: DType) -> None:
    """All functions on all numbers, as one compiled graph and eagerly."""

    def everything(x: Any) -> list[Any]:
        return [f(x, v) for f in functions for v in numbers]

    compiled = tg.compile(everything, fullgraph=True, dynamic=False, options={"strict": True})
    x = elements(dtype)
    cases = [(n, v) for n in range(len(functions)) for v in numbers]
    for case, found, wanted in zip(cases, compiled(x), everything(x), strict=True):
        assert found.dtype is wanted.dtype, case
        assert found.tolist() == wanted.tolist(), case


@pytest.mark.parametrize("dtype", INTEGER_DTYPES, ids=str)
def test_numbers_in_arithmetic_wrap_around(dtype: DType) -> None:
    high = limits(dtype)[1]
    compare(WRAPPING, [-3, -1, 5, 200, -200, high, high + 2, -high], dtype)


@pytest.mark.parametrize("dtype", INTEGER_DTYPES, ids=str)
def test_numbers_that_become_elements(dtype: DType) -> None:
    low, high = limits(dtype)
    compare(FITTING, [-3, -1, 5, low, high, -high], dtype)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
@pytest.mark.parametrize("dtype", INTEGER_DTYPES, ids=str)
def test_numbers_that_do_not_fit_are_an_error(dtype: DType, backend: str) -> None:
    low, high = limits(dtype)
    for function in FITTING:
        for number in (high + 1, -high - 2):
            for run in (function, tg.compile(function, backend=backend, dynamic=False)):
                with pytest.raises(DTypeError, match=rf"={number} does not fit {dtype.long_name}, .* {low} to {high}"):
                    run(elements(dtype), number)


def test_numbers_of_more_than_64_bits() -> None:
    for function in WRAPPING:
        if function not in (operator.truediv, tg.copysign):
            with pytest.raises(DTypeError, match="number 18446744073709551616 does not fit int64"):
                function(elements(tg.int64), 1 << 64)
    assert (tg.ones(1, dtype=tg.float64) * (1 << 64)).item() == 2.0**64
