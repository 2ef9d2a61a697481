"""x[key] and x[key] = value: every form against numpy, and where PyTorch differs, PyTorch's rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import DataDependentError, IndexRangeError
from tracegraph.ops.graphs.recording import Recorder

CUBE = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
ROWS = np.array([True, False, True])
PLANE = np.random.default_rng(1).random((3, 4)) > 0.5
ALL = np.random.default_rng(2).random((3, 4, 5)) > 0.5
P, Q = np.array([0, 2]), np.array([1, -1])
WHOLE = slice(None)

# keys on which numpy and PyTorch agree; arrays stand for tensors too
KEYS: list[Any] = [
    0,
    -1,
    np.int32(1),
    (0, 1, 2),
    slice(1, 3),
    slice(None, None, 2),
    slice(-2, 10),
    slice(2, 1),
    None,
    ...,
    (..., 0),
    (0, ...),
    (None, ..., None, 1),
    (slice(1, None), -1, None),
    P,
    P.astype(np.int32),
    np.array([[0, 1], [2, -1]]),
    np.array([], np.int64),
    (P, Q),
    (WHOLE, P),
    (WHOLE, P, Q),
    (P, WHOLE, Q),
    (P, None, Q),
    (..., P),
    (P, 0),
    (np.array([[0], [2]]), Q),
    [0, 2],
    ([0, 1], [1, 2]),
    (WHOLE, [0, 1]),
    [True, False, True],
    ROWS,
    PLANE,
    ALL,
    (ROWS, 0),
    (ROWS, slice(1, 3)),
    (WHOLE, np.array([True, False, True, True])),
    (ROWS, P),
    True,
    False,
    (None, True),
]


def as_tensors(key: Any) -> Any:
    if isinstance(key, np.ndarray):
        return tg.tensor(key)
    return tuple(map(as_tensors, key)) if isinstance(key, tuple) else key


@pytest.mark.parametrize("key", KEYS, ids=repr)
@pytest.mark.parametrize("convert", [lambda k: k, as_tensors], ids=["arrays", "tensors"])
def test_reading_agrees_with_numpy(key: Any, convert: Any) -> None:
    found = tg.tensor(CUBE)[convert(key)]
    np.testing.assert_array_equal(found.numpy(), CUBE[key])


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_writing_agrees_with_numpy(key: Any) -> None:
    region = CUBE[key]
    values: list[Any] = [7.0, np.arange(region.size, dtype=np.float32).reshape(region.shape)]
    if region.ndim:
        values.append(np.arange(region.shape[-1], dtype=np.float64))
    for value in values:
        wanted, found = CUBE.copy(), tg.tensor(CUBE)
        wanted[key] = value
        found[as_tensors(key)] = tg.tensor(value) if isinstance(value, np.ndarray) else value
        np.testing.assert_array_equal(found.numpy(), wanted)


@st.composite
def advanced_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Slices, new axes, and integer arrays that broadcast; no plain ints, on which the libraries differ."""
    common = draw(st.sampled_from([(2,), (3, 2), (1,), (2, 1)]))
    key: list[Any] = []
    for n in shape:
        if draw(st.integers(0, 4)) == 0:
            key.append(None)
        if draw(st.booleans()):
            key.append(np.array(draw(st.lists(st.integers(-n, n - 1), min_size=6, max_size=6)))[: np.prod(common)])
            key[-1] = np.resize(key[-1], common)
        else:
            key.append(slice(draw(st.integers(-n, n)), None, draw(st.integers(1, 2))))
    return tuple(key)


@settings(max_examples=150)
@given(st.data())
def test_mixed_keys_agree_with_numpy(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    key = data.draw(advanced_keys(shape))
    array = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    x = tg.tensor(array)
    np.testing.assert_array_equal(x[as_tensors(key)].numpy(), array[key])
    written = array.copy()
    written[key] = -1
    x[as_tensors(key)] = -1
    np.testing.assert_array_equal(x.numpy(), written)


def test_integers_select_before_index_tensors_are_placed() -> None:
    """Unlike in numpy, where the integer counts as an index array and moves the result's dimension to the front."""
    x = tg.tensor(CUBE)
    assert x[0, :, tg.tensor(P)].shape == (4, 2)
    assert x[tg.tensor(0), :, tg.tensor(P)].shape == (4, 2)
    np.testing.assert_array_equal(x[0, :, tg.tensor(P)].numpy(), CUBE[0][:, P])
    np.testing.assert_array_equal(x[tg.tensor(0), tg.tensor(1)].numpy(), CUBE[0, 1])
    y = tg.tensor(CUBE)
    y[tg.tensor(0), :, tg.tensor(P)] = 0.0
    assert (y[0][:, P] == 0).all().item()


def test_basic_keys_alias_and_others_copy() -> None:
    x = tg.tensor(CUBE)
    assert np.shares_memory(x[1:, None, 0].numpy(), x.numpy())
    assert not np.shares_memory(x[tg.tensor([0, 1])].numpy(), x.numpy())
    assert not np.shares_memory(x[tg.tensor(ROWS)].numpy(), x.numpy())


def test_values_with_surplus_dimensions_of_size_1() -> None:
    x = tg.zeros(3, 4)
    x[0] = tg.ones(1, 1, 4)
    x[tg.tensor([1, 2])] = tg.ones(1, 2, 4)
    assert x.sum().item() == 12


def test_repeated_positions_keep_the_last_value() -> None:
    x = tg.zeros(3)
    x[tg.tensor([0, 1, 0])] = tg.tensor([1.0, 2.0, 3.0])
    assert x.tolist() == [3.0, 2.0, 0.0]


def test_augmented_assignment() -> None:
    x = tg.ones(3, 2)
    x[1] += 2
    x[tg.tensor([0, 2]), 1] *= 5
    assert x.tolist() == [[1, 5], [3, 3], [1, 5]]


def test_gradients_through_reading_and_writing() -> None:
    x = tg.tensor(CUBE, requires_grad=True)
    v = tg.ones(2, 5, requires_grad=True)
    y = x.clone()
    y[tg.tensor([0, 2]), 1] = v
    y[y > 1] = 0.0
    (y[..., tg.tensor([0, 0])] * 3).sum().backward()
    wanted = np.where(CUBE > 1, 0, 1) * np.array([6, 0, 0, 0, 0.0])
    wanted[[0, 2], 1] = 0
    np.testing.assert_array_equal(x.grad.numpy(), wanted)
    np.testing.assert_array_equal(v.grad.numpy(), np.array([[6, 0, 0, 0, 0]] * 2))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (3, "index 3 is out of bounds for dimension 0 with size 3"),
        (-4, "index -4 is out of bounds for dimension 0 with size 3"),
        ((0, 0, 9), "index 9 is out of bounds for dimension 2 with size 5"),
        ((0, 0, 0, 0), "too many indices: 4 for a tensor of 3 dimensions"),
        ((..., 0, ...), "single ellipsis"),
        (1.5, r"got 1.5 \(float\)"),
        ("a", r"got 'a' \(str\)"),
        ([0.5], "must hold integers or bools"),
        (tg.tensor([3]), "index 3 is out of bounds for dimension 0 with size 3"),
        ((slice(None), tg.tensor([-5, 0])), "index -5 is out of bounds for dimension 1 with size 4"),
        (tg.tensor([1.0]), "must be integers or bools, got float32"),
        (tg.tensor([1], dtype=tg.uint8), "to bool for a mask, to int64 for positions"),
        (tg.tensor([True, False]), r"shape \[2\] of the mask at index 0 does not match the shape \[3, 4, 5\]"),
        ((0, tg.tensor([True])), r"the mask at index 0 does not match .* at index 1"),
        ((tg.tensor([0, 1]), tg.tensor([0, 1, 2])), r"shapes \[2\] and \[3\] do not broadcast"),
    ],
    ids=repr,
)
def test_refusals_when_reading_and_writing(key: Any, message: str) -> None:
    x = tg.tensor(CUBE)
    with pytest.raises(IndexRangeError, match=message):
        x[key]
    with pytest.raises(IndexError, match=message):
        x[key] = 1.0
    np.testing.assert_array_equal(x.numpy(), CUBE)


def test_values_that_do_not_fit_are_refused() -> None:
    x = tg.zeros(3, 4)
    with pytest.raises(TypeError, match="a tensor or a number, got list"):
        x[0] = [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(RuntimeError, match="broadcast"):
        x[0] = tg.ones(3)
    with pytest.raises(RuntimeError, match="broadcast"):
        x[tg.tensor([0, 1])] = tg.ones(3, 4)


class TestTraced:
    """The same forms on traced tensors: what they record, and that data they cannot know stops them."""

    def record(self, program: Any, *types: ir.TensorType) -> ir.Graph:
        builder = ir.Builder("f")
        recorder = Recorder(builder)
        inputs = [recorder.traced(builder.placeholder(t, n)) for t, n in zip(types, "xyz", strict=False)]
        with recorder.active():
            result = program(*inputs)
        return ir.verify(builder.output(result.value))

    def test_one_view_for_a_basic_key(self) -> None:
        graph = self.record(lambda x: x[1:, None, ..., -1], ir.parse_type("f32[3, 4, 5]"))
        assert [n.call_op.name for n in graph.calls] == ["basic_index"]

    def test_lists_become_constants(self) -> None:
        graph = self.record(lambda x: x[[0, 2]], ir.parse_type("f32[3, 4]"))
        assert len(graph.constants) == 1
        (found,) = ir.interpret(graph, CUBE[..., 0])
        np.testing.assert_array_equal(found, CUBE[[0, 2], :, 0])

    def test_index_tensors_are_operands(self) -> None:
        graph = self.record(lambda x, i: x[:, i], ir.parse_type("f32[3, 4]"), ir.parse_type("i64[]"))
        (found,) = ir.interpret(graph, CUBE[..., 0], np.array(2))
        np.testing.assert_array_equal(found, CUBE[:, 2, 0])

    def test_writes_under_a_mask_need_no_positions(self) -> None:
        def program(x, mask):
            y = x + 0
            y[mask] = 5.0
            y[mask] = y[0, 0]
            return y

        graph = self.record(program, ir.parse_type("f32[3, 4, 5]"), ir.parse_type("bool[3, 4]"))
        assert "nonzero" not in str(graph)
        (found,) = ir.interpret(graph, CUBE, PLANE)
        first = 5.0 if PLANE[0, 0] else CUBE[0, 0]
        np.testing.assert_array_equal(found, np.where(PLANE[..., None], first, CUBE))

    @pytest.mark.parametrize("program", [lambda x, m: x[m], lambda x, m: x[m[0, :3]], lambda x, m: x.masked_select(m)])
    def test_sizes_that_depend_on_data_stop_the_trace(self, program: Any) -> None:
        with pytest.raises(DataDependentError, match="size of its result"):
            self.record(program, ir.parse_type("f32[3, 4]"), ir.parse_type("bool[3, 4]"))

    def test_tensors_as_slice_bounds_stop_the_trace(self) -> None:
        with pytest.raises(DataDependentError):
            self.record(lambda x, i: x[i:], ir.parse_type("f32[3, 4]"), ir.parse_type("i64[]"))
