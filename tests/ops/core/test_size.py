"""Shapes as programs see them."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
from captured import assert_same, capture_of, ramp, specialisation_count

import tracegraph as tg
from tracegraph.errors import ArgumentError
from tracegraph.ops.core.size import SIZES
from tracegraph.tensor import Tensor

ONE = (1,)


def test_a_shape_is_a_tuple_that_counts_its_elements() -> None:
    shape = tg.ones(2, 3).shape
    assert isinstance(shape, tg.Size)
    assert shape == (2, 3)
    assert hash(shape) == hash((2, 3))
    assert (shape.numel(), tg.Size().numel()) == (6, 1)
    assert f"{shape}" == repr(tg.ones(2, 3).size()) == "tracegraph.Size([2, 3])"
    assert type(tg.ones(2, 3).stride()) is tuple


def test_parts_and_sums_of_sizes_are_sizes() -> None:
    shape = tg.Size([2, 3])
    made = (shape[1:], shape[::-1], shape + ONE, ONE + shape, shape * 2, 2 * shape, tg.broadcast_shapes((2, 1), (3,)))
    assert made == ((3,), (3, 2), (2, 3, 1), (1, 2, 3), (2, 3, 2, 3), (2, 3, 2, 3), (2, 3))
    assert {type(m) for m in made} == {tg.Size}
    assert type(shape[0]) is int
    with pytest.raises(TypeError):
        shape + list(ONE)


@pytest.mark.parametrize("sizes", [[2.0], ["a"], [None]])
def test_sizes_are_ints(sizes: Any) -> None:
    with pytest.raises(ArgumentError, match="takes ints, item 0"):
        tg.Size(sizes)


def test_sizes_are_copied_pickled_and_loaded() -> None:
    shape = tg.Size([2, 3])
    file = io.BytesIO()
    tg.save({"shape": shape}, file)
    file.seek(0)
    for other in (copy.copy(shape), copy.deepcopy(shape), pickle.loads(pickle.dumps(shape)), tg.load(file)["shape"]):
        assert type(other) is tg.Size
        assert other == shape


def test_shapes_kept_for_reuse_are_limited() -> None:
    for n in range(SIZES.LIMIT + 10):
        assert tg.zeros(0, n).shape == (0, n)
    assert len(SIZES) <= SIZES.LIMIT


def whole(x: Tensor) -> Any:
    return x * 2, x.shape, x.size(), {"shape": x.shape, "parts": [x.shape[1:], x.shape[:1] + ONE, ONE + x.shape]}


def questions(x: Tensor) -> Any:
    n, m = x.shape
    return x + n * m, x.shape.numel(), len(x.shape), sum(x.shape), isinstance(x.shape, tg.Size), type(x.shape)


def made(x: Tensor) -> Any:
    return tg.Size([x.shape[0], 4]), tg.Size(x.shape) * 2, tuple(x.shape), list(x.shape), copy.deepcopy(x.shape), x * 1


def given(x: Tensor) -> Any:
    return tg.zeros(x.shape), x.view(x.shape), x.view(*x.shape, 1), tg.nn.functional.layer_norm(x, x.shape[1:])


@pytest.mark.parametrize("program", [whole, questions, made, given])
def test_captured_shapes_are_sizes(program: Any) -> None:
    function = capture_of(program, fullgraph=True)
    for n in (2, 3, 4, 5):
        assert_same(function(ramp(n, n + 2)), program(ramp(n, n + 2)))
    assert specialisation_count(function) == 2


def test_compared_and_printed_shapes_are_those_of_eager() -> None:
    def program(x: Tensor) -> Any:
        return x.shape == (2, 4), x.shape in [(2, 4)], {x.shape: 1}, f"{x.shape}", x.shape < (4, 4)

    function = capture_of(program, recompile_limit=20)
    for n in (2, 3, 4, 2, 5):
        assert_same(function(ramp(n, n + 2)), program(ramp(n, n + 2)))


def test_sizes_and_tuples_as_arguments_are_told_apart() -> None:
    function = capture_of(lambda x, shape: (x.reshape(shape), shape, type(shape)), recompile_limit=20)
    x = ramp(2, 3)
    for shape in (tg.Size([2, 3]), (2, 3), tg.Size([3, 2]), (3, 2), tg.Size([6, 1]), [3, 2], tg.Size([3, 2])):
        assert_same(function(x, shape), (x.reshape(shape), shape, type(shape)))
