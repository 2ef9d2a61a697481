"""Strides: when memory can be seen in another shape, against numpy; and the strides of traced values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import ShapeError
from tracegraph.ir import Builder, TensorType
from tracegraph.ops.core.layout import (
    contiguous_strides,
    is_contiguous,
    matching_blocks,
    resolve_size,
    view_strides,
)
from tracegraph.ops.graphs.recording import Recorder

sizes = st.lists(st.integers(0, 4), max_size=4)


@st.composite
def strided_arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of many layouts: permuted, sliced, broadcast."""
    shape = draw(sizes)
    base = np.arange(int(np.prod([2 * n for n in shape]))).reshape([2 * n for n in shape])
    array = base[(*(slice(0, 2 * n, 2) if draw(st.booleans()) else slice(0, n) for n in shape), ...)]
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if array.ndim and array.shape[0] and draw(st.booleans()):
        array = np.broadcast_to(array[:1], array.shape)
    return array


def element_strides(array: np.ndarray) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


@st.composite
def reshapes(draw: st.DrawFn, count: int) -> tuple[int, ...]:
    """Shapes with `count` elements."""
    if count == 0:
        return tuple(draw(st.permutations([0, draw(st.integers(1, 3))])))
    shape: list[int] = []
    while count > 1:
        factor = draw(st.sampled_from([d for d in range(2, count + 1) if count % d == 0]))
        shape.append(factor)
        count //= factor
    for _ in range(draw(st.integers(0, 2))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return tuple(shape)


@given(st.data())
def test_view_strides_are_numpys(data: st.DataObject) -> None:
    array = data.draw(strided_arrays())
    size = data.draw(reshapes(array.size))
    strides = view_strides(array.shape, element_strides(array), size)
    reshaped = array.reshape(size)
    if array.size == 0:
        assert strides is not None
        return
    assert (strides is not None) == np.shares_memory(reshaped, array)
    if strides is not None:
        view = np.lib.stride_tricks.as_strided(array, size, tuple(s * array.itemsize for s in strides))
        np.testing.assert_array_equal(view, reshaped)


@given(strided_arrays())
def test_is_contiguous_is_numpys(array: np.ndarray) -> None:
    assert is_contiguous(array.shape, element_strides(array)) == array.flags.c_contiguous


@given(sizes)
def test_contiguous_strides(shape: list[int]) -> None:
    assert is_contiguous(tuple(shape), contiguous_strides(tuple(shape)))


@given(st.data())
def test_matching_blocks_hold_equally_many_elements(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    size = data.draw(reshapes(int(np.prod(shape))))
    blocks = matching_blocks(shape, size)
    for a, b in blocks:
        assert np.prod([shape[i] for i in a]) == np.prod([size[i] for i in b])
    assert sorted(i for a, _ in blocks for i in a) == [i for i, n in enumerate(shape) if n != 1]


@pytest.mark.parametrize(
    ("size", "shape", "message"),
    [
        ((-1, -1), (4,), "only one dimension can be inferred"),
        ((3,), (4,), r"shape \[3\] is invalid for input of size 4"),
        ((3, -1), (4,), r"shape \[3, -1\] is invalid for input of size 4"),
        ((-2,), (4,), "invalid size -2"),
        ((0, -1), (0, 3), "any value would do for -1"),
    ],
)
def test_resolve_size_refuses(size: tuple[int, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        resolve_size("view", size, shape)


def test_resolve_size_of_symbolic_shapes() -> None:
    s0 = ir.sym("s0")
    assert str(resolve_size("view", (-1,), (s0, 64))) == "(64*s0,)"
    assert str(resolve_size("view", (-1, 8, 8), (s0, 64))) == "(s0, 8, 8)"


def traced(shape: tuple, strides: tuple | None = None):
    builder = Builder()
    recorder = Recorder(builder)
    value = builder.placeholder(TensorType(tg.float32, shape))
    if strides is not None:
        recorder.strides[value] = strides
    return recorder.traced(value)


PROGRAMS = [
    lambda x: x.t().reshape(-1),
    lambda x: x.transpose(0, 1)[1:, None].reshape(-1, 2),
    lambda x: x[::2].flatten(),
    lambda x: x[:, 0].reshape(2, 2),
    lambda x: (x + 1).t().contiguous().view(-1),
    lambda x: x.expand(3, 4, 6).reshape(12, 6),
    lambda x: x.unfold(1, 3, 2).permute(2, 0, 1),
    lambda x: x.diagonal(1).unsqueeze(0),
    lambda x: x.detach().unflatten(1, (2, 3)),
]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("transposed", [False, True])
def test_traced_strides_are_eager_strides(program, transposed: bool) -> None:
    eager = tg.arange(24.0).reshape(6, 4).t() if transposed else tg.arange(24.0).reshape(4, 6)
    handle = traced(eager.shape, eager.stride())
    found, wanted = program(handle), program(eager)
    assert found.shape == wanted.shape
    assert found.is_contiguous() == wanted.is_contiguous()
    relevant = [i for i, n in enumerate(wanted.shape) if n > 1]
    assert [found.stride(i) for i in relevant] == [wanted.stride(i) for i in relevant]
    aliases = np.shares_memory(wanted.numpy(), eager.numpy())
    copies = any(n.call_op.name in ("clone", "add") for n in handle.builder.graph.calls)
    assert aliases != copies


def test_reshape_of_symbolic_sizes_is_a_view() -> None:
    x = traced((ir.sym("s0"), 64))
    y = x.reshape(-1, 8)
    assert y.shape == (8 * ir.sym("s0"), 8)
    assert [n.call_op.name for n in x.builder.graph.calls] == ["view"]
