"""Basic indices composed, compared and measured, against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracegraph.ir import sym
from tracegraph.ops.indexing.basic_index import _numpy_index, canonical_entries
from tracegraph.ops.indexing.index_algebra import Entries, are_disjoint, compose_entries, covers_all


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> Entries:
    """A canonical index of a tensor of `shape`."""
    entries: list[object] = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        if draw(st.booleans()):
            entries.append(None)
        if size and draw(st.booleans()):
            entries.append(draw(st.integers(0, size - 1)))
        else:
            start = draw(st.integers(0, size))
            entries.append((start, draw(st.integers(start, size)), draw(st.integers(1, 3))))
    if draw(st.booleans()):
        entries.append(None)
    return canonical_entries(tuple(entries), shape)


SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@given(st.data(), SHAPES)
def test_composition_is_one_index_after_the_other(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    first = data.draw(indices(shape))
    seen = x[_numpy_index(first)]
    second = data.draw(indices(seen.shape))
    composed = compose_entries(shape, first, second)
    if composed is not None:
        assert composed == canonical_entries(composed, shape)
        np.testing.assert_array_equal(x[_numpy_index(composed)], seen[_numpy_index(second)])
        assert x[_numpy_index(composed)].shape == seen[_numpy_index(second)].shape
    else:  # only a new dimension cut down to nothing has no name of its own
        assert 0 in seen[_numpy_index(second)].shape


@given(st.data(), SHAPES)
def test_what_is_selected(data: st.DataObject, shape: tuple[int, ...]) -> None:
    first, second = data.draw(indices(shape)), data.draw(indices(shape))
    seen = [np.zeros(shape, bool), np.zeros(shape, bool)]
    for array, index in zip(seen, (first, second), strict=True):
        array[_numpy_index(index)] = True
    if covers_all(shape, first):
        assert seen[0].all()
    if are_disjoint(first, second):
        assert not (seen[0] & seen[1]).any()


def test_disjoint_and_covering() -> None:
    assert are_disjoint(((0, 2, 1),), ((2, 4, 1),))
    assert are_disjoint(((0, 4, 1), 1), (None, (0, 4, 1), (2, 4, 1)))
    assert not are_disjoint(((0, 3, 1),), ((2, 4, 1),))
    assert covers_all((1, 4), (0, None, (0, 4, 1)))
    assert not covers_all((2, 4), (0,))


def test_symbolic_sizes() -> None:
    n = sym("s0")
    assert compose_entries((n, 4), ((1, n, 1),), (0,)) == (1,)
    assert str(compose_entries((n, 4), ((1, n, 1),), ((2, n - 1, 1),))) == "((3, s0, 1),)"
    assert compose_entries((n, 4), ((0, n, 2),), ((0, 3, 1),)) is None
    assert are_disjoint(((0, n, 1),), ((n, n + 1, 1),))
    assert not are_disjoint(((0, n, 1),), ((1, 2, 1),))
    assert covers_all((n, 1), ((0, n, 1), 0))
