"""Which element of a dtype a Python number stands for; the expectations are PyTorch's answers."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg
from tracegraph import dtypes, ir
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import ShapeEnv, sym
from tracegraph.ops.core.weak_numbers import Number, fitting, wrapped


@pytest.mark.parametrize(
    ("number", "dtype", "wanted"),
    [
        *((-3, dtypes.uint8, 253), (300, dtypes.uint8, 44), (256, dtypes.uint8, 0)),
        *((200, dtypes.int8, -56), (-200, dtypes.int8, 56), (128, dtypes.int8, -128)),
        *((70000, dtypes.int16, 4464), (3 * 10**9, dtypes.int32, -1294967296)),
        *((1 << 63, dtypes.int64, -(1 << 63)), (5, dtypes.bool_, True)),
        *((1.9, dtypes.int8, 1), (-1.9, dtypes.int8, -1), (math.inf, dtypes.int64, -(1 << 63))),
        *((1 << 70, dtypes.float64, 2.0**70), (3, dtypes.float32, 3.0), (sym("s0"), dtypes.uint8, sym("s0"))),
    ],
)
def test_wrapped(number: Number, dtype: DType, wanted: Number) -> None:
    found = wrapped(number, dtype)
    assert ir.dim.same(found, wanted) if isinstance(found, ir.SymExpr) else found == wanted
    assert type(found) is type(wanted)


def test_fitting() -> None:
    assert fitting("op", "x", -255, dtypes.uint8) == 1
    assert fitting("op", "x", -128, dtypes.int8) == -128
    assert fitting("op", "x", 2.7, dtypes.int8) == 2
    assert fitting("op", "x", 5, dtypes.bool_) is True
    assert fitting("op", "x", math.inf, dtypes.float32) == math.inf
    for number in (-256, 256, math.nan, -math.inf, 1e30):
        with pytest.raises(DTypeError, match=rf"op: x={str(number).replace('+', '.')} does not fit uint8"):
            fitting("op", "x", number, dtypes.uint8)


def test_a_fill_that_is_no_integer() -> None:
    x = tg.ones(3, dtype=tg.int32)
    assert x.masked_fill(x > 0, 1.5).tolist() == [1, 1, 1]
    with pytest.raises(DTypeError, match="masked_fill: value=-inf does not fit int32"):
        x.masked_fill(x > 0, -math.inf)


def test_a_size_that_fits_is_guarded() -> None:
    env = ShapeEnv()
    size = env.fresh(100)
    with env.active():
        fitting("clamp", "max", size, dtypes.uint8)
    assert [str(g) for g in env.guards] == [f"{size} <= 255"]
    with env.active(), pytest.raises(DTypeError, match=r"clamp: max=.* does not fit uint8"):
        fitting("clamp", "max", size * 3, dtypes.uint8)
    fitting("clamp", "max", size * 3, dtypes.uint8)  # nobody to guard it
