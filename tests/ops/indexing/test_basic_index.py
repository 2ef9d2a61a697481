"""Basic indexing as an op: canonical form, index map, scatter, for any index, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import IndexRangeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.indexing.basic_index import canonical_entries, indexed_shape

shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@st.composite
def entries(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index for `shape`: ints of both signs, slices with any bounds, new axes."""
    found: list[Any] = []
    bound = st.none() | st.integers(-7, 7)
    for n in shape[: draw(st.integers(0, len(shape)))]:
        while draw(st.integers(0, 3)) == 0:
            found.append(None)
        slices = st.builds(slice, bound, bound, st.none() | st.integers(1, 4))
        found.append(draw(slices | st.integers(-n, n - 1) if n else slices))
    return tuple(found)


@given(st.data())
def test_any_index_agrees_with_numpy(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    index = data.draw(entries(shape))
    array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    wanted = np.asarray(array[index])
    canonical = canonical_entries(index, shape)
    assert indexed_shape(shape, canonical) == wanted.shape
    assert canonical_entries(canonical, shape) == canonical
    np.testing.assert_array_equal(tg.tensor(array)[index].numpy(), wanted)
    seen = F.basic_index.eager(array, index=canonical)
    assert seen.base is not None or seen is array


@given(st.data())
def test_index_map_finds_every_element(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    index = canonical_entries(data.draw(entries(shape)), shape)
    array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    wanted = F.basic_index.eager(array, index=index)
    types = (TensorType(tg.int64, shape),)
    for place in np.ndindex(*wanted.shape):
        assert array[F.basic_index.index_map(place, types, {"index": index})] == wanted[place]


@given(st.data())
def test_scatter_writes_what_the_view_shows(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    index = data.draw(entries(shape))
    array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    wanted = array.copy()
    source = -1 - np.arange(wanted[index].size).reshape(wanted[index].shape)
    wanted[index] = source
    found = F.basic_index_scatter(tg.tensor(array), tg.tensor(source), index)
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_canonical_form_prints_and_parses() -> None:
    builder = ir.Builder("f")
    x = builder.placeholder(TensorType(tg.float32, (ir.sym("s0"), 8, 3)), "x")
    entries = canonical_entries((slice(None), None, slice(1, None, 3), -1), x.shape)
    graph = builder.output(builder.call(F.basic_index, x, index=entries))
    assert "basic_index(%x, index=[[0, s0, 1], none, [1, 8, 3], 2])" in str(graph)
    assert str(ir.parse(str(graph))) == str(graph)


def test_whole_trailing_dimensions_are_left_out() -> None:
    assert canonical_entries((2, slice(None), slice(0, 9)), (3, 4, 5)) == (2,)


def test_symbolic_bounds_ask_only_where_they_must() -> None:
    env = ir.ShapeEnv()
    s0 = env.fresh(10)
    with env.active():
        assert str(indexed_shape((s0,), canonical_entries((slice(None, None, 2),), (s0,)))) == "(floordiv(s0 + 1, 2),)"
        assert str(canonical_entries((-1,), (s0,))) == "(s0 - 1,)"
        assert env.guards == []
        assert indexed_shape((s0,), canonical_entries((slice(None, 3),), (s0,))) == (3,)
        assert [g.holds({"s0": n}) for n in (2, 3) for g in env.guards] == [False, True]


def test_source_of_another_shape_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"source has shape \[3\], the region written to has \[2\]"):
        F.basic_index_scatter(tg.zeros(4, 2), tg.zeros(3), (0,))


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ((3,), IndexRangeError, "index 3 is out of bounds for dimension 0 with size 3"),
        ((0, -5), IndexRangeError, "index -5 is out of bounds for dimension 1 with size 4"),
        ((0, 0, 0), IndexRangeError, "too many indices: 3 for a tensor of 2 dimensions"),
        ((slice(None, None, -1),), ValueError, "greater than zero, got -1; use flip"),
        ((slice(None, None, 0),), ValueError, "greater than zero"),
        ((slice("a"),), TypeError, "slice bounds must be ints"),
        ((1.5,), TypeError, "must be an int, a slice or None, got float"),
    ],
)
def test_refusals(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        canonical_entries(index, (3, 4))
