"""gather, scatter and the index_* functions, beyond what samples say: repeats, ranges, reductions, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph.errors import IndexRangeError
from tracegraph.ops.indexing.combining import combine_rows

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("width", [1, 3, 20])
@pytest.mark.parametrize("combine", ["add", "mul", "maximum", "minimum", "set"])
@given(data=st.data())
def test_rows_are_combined_in_order(width: int, combine: str, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, 4), max_size=12)), np.int64)
    rng = np.random.default_rng(len(positions))
    base, rows = rng.integers(-4, 5, (5, width)), rng.integers(-4, 5, (len(positions), width))
    wanted = base.copy()
    functions = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
    for position, row in zip(positions, rows, strict=True):
        wanted[position] = row if combine == "set" else functions[combine](wanted[position], row)
    combine_rows(base, positions, rows, combine)
    np.testing.assert_array_equal(base, wanted)


def test_accumulation_in_half_precision_rounds_once() -> None:
    x = tg.zeros(1, dtype="float16")
    ones = tg.ones(4096, dtype="float16")
    assert x.index_add(0, tg.zeros(4096, dtype="int64"), ones).item() == 4096


def test_bools_accumulate_as_or() -> None:
    x = tg.zeros(3, dtype="bool")
    found = x.scatter_add(0, tg.tensor([0, 0, 2]), tg.tensor([True, True, False]))
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("reduce", "wanted"), [("sum", [4, 9]), ("mean", [2, 3]), ("prod", [3, 24]), ("amax", [3, 4]), ("amin", [1, 2])]
)
def test_scatter_reduce_without_the_elements_themselves(reduce: str, wanted: list[float]) -> None:
    src = tg.tensor([1.0, 2.0, 3.0, 3.0, 4.0])
    found = tg.full((3,), 100.0).scatter_reduce(0, tg.tensor([0, 1, 0, 1, 1]), src, reduce, include_self=False)
    assert found.tolist() == [*wanted, 100.0]


def test_scatter_reduce_of_integers() -> None:
    x = tg.tensor([5, 5])
    index, src = tg.tensor([0, 0, 1]), tg.tensor([1, 3, 8])
    assert x.scatter_reduce(0, index, src, "amax", include_self=False).tolist() == [3, 8]
    assert x.scatter_reduce(0, index, src, "mean").tolist() == [3, 6]


def test_gradient_of_a_product_with_zeros() -> None:
    """No division by an element: one zero leaves a gradient to itself only, two leave none."""
    src = tg.tensor([0.0, 2.0, 3.0, 0.0, 0.0, 4.0], dtype="float64", requires_grad=True)
    x = tg.tensor([1.0, 5.0], dtype="float64", requires_grad=True)
    x.scatter_reduce(0, tg.tensor([0, 0, 0, 1, 1, 1]), src, "prod").sum().backward()
    assert src.grad.tolist() == [6, 0, 0, 0, 0, 0]
    assert x.grad.tolist() == [0, 0]


def test_gradient_of_an_extremum_is_shared_by_ties() -> None:
    src = tg.tensor([3.0, 3.0, 1.0], requires_grad=True)
    x = tg.tensor([3.0], requires_grad=True)
    x.scatter_reduce(0, tg.tensor([0, 0, 0]), src, "amax").backward()
    np.testing.assert_allclose(src.grad.numpy(), [1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(x.grad.numpy(), [1 / 3])


def test_in_place_forms() -> None:
    x = tg.tensor(X)
    x.scatter_(1, tg.tensor([[0], [1]]), 9.0)
    x.index_fill_(0, tg.tensor([2]), -1.0)
    x.index_add_(0, tg.tensor([0]), tg.ones(1, 4))
    x.masked_fill_(x == 2, 0.0)
    x.index_put_((tg.tensor([1]), tg.tensor([3])), tg.tensor([7.0]), accumulate=True)
    assert x.tolist() == [[10, 0, 3, 4], [4, 9, 6, 14], [-1, -1, -1, -1]]


def test_scatter_by_keyword_value_and_reduce() -> None:
    x = tg.ones(3)
    assert x.scatter(0, tg.tensor([1]), value=5).tolist() == [1, 5, 1]
    assert x.scatter(0, tg.tensor([1, 1]), 5.0, reduce="add").tolist() == [1, 11, 1]
    assert x.scatter(0, tg.tensor([1, 1]), 5.0, reduce="multiply").tolist() == [1, 25, 1]


ROW = tg.tensor([[0, 1, 2]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.gather(0, tg.tensor([[3]])), IndexRangeError, "gather: index 3 is out of bounds for dimension 0"),
        (lambda x: x.gather(0, tg.tensor([[-1]])), IndexRangeError, "index -1 is out of bounds"),
        (lambda x: x.gather(0, tg.tensor([0])), RuntimeError, "as many dimensions"),
        (lambda x: x.gather(0, tg.zeros(1, 4)), RuntimeError, "must hold integers, got float32"),
        (lambda x: x.gather(0, tg.zeros(1, 5, dtype=tg.int64)), RuntimeError, "larger than input .* at dimension 1"),
        (lambda x: x.scatter_add(0, ROW, tg.ones(1, 2)), RuntimeError, r"larger than src of shape \[1, 2\]"),
        (lambda x: x.scatter_add(0, ROW, tg.ones(1, 3, dtype=tg.float64)), RuntimeError, "src has dtype"),
        (lambda x: x.scatter(0, ROW + 1, 1.0), IndexRangeError, "scatter: index 3 is out of bounds"),
        (lambda x: x.scatter(0, ROW, 1.0, reduce="max"), TypeError, "reduce must be 'add', 'multiply' or None"),
        (lambda x: x.scatter_reduce(0, ROW, x, "max"), TypeError, "reduce must be one of sum, mean"),
        (lambda x: x.index_select(0, ROW), RuntimeError, "index must have one dimension"),
        (lambda x: x.index_select(1, tg.tensor([4])), IndexRangeError, "index 4 is out of bounds for dimension 1"),
        (lambda x: x.take(tg.tensor([12])), IndexRangeError, "out of bounds for dimension 0 with size 12"),
        (lambda x: x.index_add(0, tg.tensor([0]), tg.ones(1, 4, dtype=tg.int64)), RuntimeError, "cannot be written"),
        (lambda x: x.index_copy(0, tg.tensor([0, 1]), tg.ones(3, 4)), RuntimeError, "broadcast"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(tg.tensor(X))
