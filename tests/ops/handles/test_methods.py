"""Methods of every tensor handle: sizes, conversions, transposes."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.ops.graphs.recording import Recorder


def handles():
    builder = ir.Builder("f")
    recorder = Recorder(builder)
    return [tg.zeros(2, 3), recorder.traced(builder.placeholder(ir.parse_type("f32[2, 3]")))]


@pytest.mark.parametrize("x", handles(), ids=["eager", "traced"])
def test_sizes(x) -> None:
    assert tuple(x.size()) == (2, 3)
    assert (x.size(-1), x.size(0), x.ndim, x.dim(), x.numel(), len(x)) == (3, 2, 2, 2, 6, 2)
    assert x.stride() == (3, 1)
    assert x.is_contiguous()
    assert (x.T.shape, x.mT.shape, x.t().shape) == ((3, 2),) * 3
    with pytest.raises(IndexError, match="dim=2 is out of range"):
        x.size(2)


@pytest.mark.parametrize("x", handles(), ids=["eager", "traced"])
def test_conversions(x) -> None:
    assert x.to("float32") is x
    assert x.to("cpu") is x
    assert x.cpu() is x
    assert x.float() is x
    names = ("double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool")
    wanted = (tg.float64, tg.float16, tg.bfloat16, tg.int64, tg.int32, tg.int16, tg.int8, tg.uint8, tg.bool)
    assert tuple(getattr(x, n)().dtype for n in names) == wanted
    assert x.to("cpu", tg.int8).dtype is tg.int8
    assert x.to(dtype=tg.float64).dtype is tg.float64
    assert x.to(x.long()).dtype is tg.int64
    assert x.type_as(x.long()).dtype is tg.int64
    assert x.to(tg.float32, copy=True) is not x


@pytest.mark.parametrize("x", handles(), ids=["eager", "traced"])
def test_unknown_devices_and_dtypes_are_refused(x) -> None:
    with pytest.raises(TypeError, match="device 'cuda:0' does not exist"):
        x.to("cuda:0")
    with pytest.raises(RuntimeError, match="unknown dtype 'float9'"):
        x.to("float9")


def test_new_tensor_takes_data() -> None:
    x = tg.zeros(1, dtype=tg.float64)
    assert x.new_tensor([1, 2]).dtype is tg.float64
    assert x.new_tensor(np.arange(3), dtype=tg.int8).tolist() == [0, 1, 2]


class Asked:
    """Answers every operator whose left operand does not know it."""


NAMES = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _name in NAMES:
    setattr(Asked, f"__r{_name}__", lambda self, other, name=_name: (name, other))


@pytest.mark.parametrize("name", NAMES)
def test_an_object_that_is_no_operand_is_asked(name: str) -> None:
    x = tg.ones(2, 2)
    plain = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    for function in (plain, getattr(operator, f"i{name}")):
        asked, left = function(x, Asked())
        assert asked == name
        assert left is x
        with pytest.raises(TypeError, match="unsupported operand"):
            function(x, object())
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]
