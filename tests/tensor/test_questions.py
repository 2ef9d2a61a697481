"""Questions about values and dtypes: the answers, and that capture sees through them."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError


def test_questions_about_tensors() -> None:
    x = tg.ones(2, 3)
    assert tg.is_tensor(x)
    assert not tg.is_tensor([1.0])
    assert tg.is_floating_point(x)
    assert not tg.is_complex(x)
    assert tg.numel(x) == 6
    assert tg.is_nonzero(tg.tensor(2))
    assert tg.get_default_dtype() is tg.float32
    assert tg.broadcast_shapes((2, 1), 3) == (2, 3)


def test_limits_of_dtypes() -> None:
    assert tg.finfo(tg.float32).max == float.fromhex("0x1.fffffep127")
    assert tg.finfo(tg.bfloat16).eps == 2**-7
    assert tg.finfo().bits == 32
    assert (tg.iinfo(tg.int8).min, tg.iinfo(tg.uint8).max) == (-128, 255)
    assert "max=255" in repr(tg.iinfo(tg.uint8))
    assert "eps=0.0009765625" in repr(tg.finfo(tg.float16))
    with pytest.raises(RuntimeError, match="use iinfo"):
        tg.finfo(tg.int32)
    with pytest.raises(RuntimeError, match="use finfo"):
        tg.iinfo(tg.float32)


def test_promotion() -> None:
    assert tg.result_type(tg.ones(2, dtype=tg.int32), 1.5) is tg.float32
    assert tg.result_type(tg.ones(2, dtype=tg.int8), tg.ones((), dtype=tg.int64)) is tg.int8
    assert tg.can_cast(tg.int64, tg.float16)
    assert not tg.can_cast(tg.float32, tg.int64)


def test_questions_are_captured() -> None:
    @tg.compile(fullgraph=True)
    def f(x: tg.Tensor, mask: tg.Tensor) -> tg.Tensor:
        if tg.is_tensor(x) and tg.is_floating_point(x):
            x = x.masked_fill(mask, tg.finfo(x.dtype).min)
        return x + tg.numel(x)

    assert f(tg.ones(2), tg.tensor([False, True])).tolist() == [3.0, tg.finfo(tg.float32).min]


def test_default_dtype_decides_where_nothing_else_does():
    compiled = tg.compile(lambda x: (x / 2, tg.ones(2), x * 1.5))
    x = tg.arange(3)
    assert [t.dtype for t in (*compiled(x), tg.tensor([1.5]))] == [tg.float32] * 4
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.get_default_dtype() is tg.float64
        made = (
            x / 2,
            x * 1.5,
            x.sin(),
            x.float(),
            tg.tensor(1.5),
            tg.ones(2),
            tg.rand(2),
            tg.linspace(0, 1, 3),
            tg.eye(2),
        )
        assert [t.dtype for t in made] == [tg.float64] * 3 + [tg.float32] + [tg.float64] * 5
        assert [t.dtype for t in compiled(x)] == [tg.float64] * 3
        assert tg.nn.Linear(2, 2).weight.dtype is tg.float64
        assert repr(tg.tensor(1.5)) == "tensor(1.5)"
    finally:
        tg.set_default_dtype(tg.float32)
    assert (x / 2).dtype is tg.float32
    with pytest.raises(DTypeError, match="expected a floating dtype"):
        tg.set_default_dtype(tg.int64)
