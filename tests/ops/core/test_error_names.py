"""Errors speak of the op that was called and its arguments, as eager and as traced call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from folded import folded
from op_cases import Call, all_ops, cases_of

import tracegraph as tg
from tracegraph.errors import TracegraphError
from tracegraph.ir import Builder, TensorType
from tracegraph.nn import functional as F
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Recorder

CALLS: dict[str, Callable[[Any], Any]] = {
    "reshape(input: f32[2, 3], shape=7): shape [7] is invalid": lambda x: x.reshape(7),
    "reshape(input: f32[2, 3], shape=(-1, 4)): shape [-1, 4] is invalid": lambda x: x.reshape(-1, 4),
    "mse_loss(input: f32[2, 3], target: f32[4]): shapes [2, 3] and [4] do": lambda x: F.mse_loss(x, x.new_zeros(4)),
    "zeros(size=(2, -1)): a tensor cannot have the negative size -1": lambda x: tg.zeros(2, -1),
    "max(input: f32[2, 3], 5): dim=5 is out of range for 2 dimensions": lambda x: x.max(5),
    "select(input: f32[2, 3], dim=0, index=7): index 7 is out of bounds": lambda x: x.select(0, 7),
    "x[...]: index -9 is out of bounds for dimension 0": lambda x: x[-9],
    "x[...]: index 3 is out of bounds for dimension 1": lambda x: x[:, 3],
    "add_: shapes [2, 3] and [4] do not broadcast": lambda x: x.add_(x.new_zeros(4)),
    "mm: mat2 f32[2] must": lambda x: x.mm(x.new_zeros(2)),
    "normalize(input: f32[2, 3], dim=5): dim=5 is out of range": lambda x: F.normalize(x, dim=5),
    "triplet_margin_loss(anchor: f32[2, 3], positive: f32[4], negative: f32[2, 3]): ": lambda x: F.triplet_margin_loss(
        x, x.new_zeros(4), x
    ),
    "expand_as(input: f32[2, 3], other: f32[4]): ": lambda x: x.expand_as(x.new_zeros(4)),
}


@folded("message", CALLS)
def test_the_op_that_was_called_is_named(message: str) -> None:
    call = CALLS[message]
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}"):
        call(tg.ones(2, 3))
    recorder = Recorder(Builder())
    x = recorder.traced(recorder.builder.placeholder(TensorType(tg.float32, (2, 3))))
    with recorder.active(), pytest.raises(RuntimeError, match=f"^{re.escape(message)}"):
        call(x)


ELEMENTS: dict[str, Callable[[Any], Any]] = {
    "index_select(input: f32[2, 3], dim=0, index: i64[1]): index 5 is": lambda x: x.index_select(0, tg.tensor([5])),
    "x[...]: index 5 is out of bounds for dimension 0": lambda x: x[tg.tensor([5])],
    "multi_margin_loss(input: f32[2, 3], target: i64[2]): index 9 is": lambda x: F.multi_margin_loss(
        x, tg.tensor([0, 9])
    ),
    "take(input: f32[2, 3], index: i64[1]): index 6 is": lambda x: x.take(tg.tensor([6])),
    "cross_entropy(input: f32[2, 3], target: i64[2]): a target": lambda x: F.cross_entropy(x, tg.tensor([0, 3])),
    "index_fill_(input: f32[2, 3], dim=0, index: i64[1], value=0): index 2": lambda x: x.index_fill_(
        0, tg.tensor([2]), 0
    ),
}


@folded("message", ELEMENTS)
def test_elements_that_go_wrong_name_the_op_that_was_called(message: str) -> None:
    for function in (ELEMENTS[message], tg.compile(ELEMENTS[message], fullgraph=True)):
        with pytest.raises(IndexError, match=f"^{re.escape(message)}"):
            function(tg.ones(2, 3))


def test_a_function_of_the_program_speaks_for_itself() -> None:
    """What a body of control flow or a custom op calls is a call of its own."""
    x = tg.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"^mul: shapes \[2, 3\] and \[4\]"):
        tg.cond(x.sum() > 0, lambda x: x * tg.ones(4), lambda x: x, (x,))

    @tg.library.custom_op("error_names::scaled", mutates_args=())
    def scaled(x: tg.Tensor) -> tg.Tensor:
        return x * tg.ones(4)

    with pytest.raises(RuntimeError, match=r"^mul: shapes \[2, 3\] and \[4\]"):
        scaled(x)


def test_a_function_that_is_given_a_function_does_not_speak_for_it() -> None:
    x = tg.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"^mul: shapes \[2, 3\] and \[4\]"):
        F.triplet_margin_with_distance_loss(x, x, x, distance_function=lambda a, b: a * b.new_zeros(4))


def test_inner_calls_that_name_their_operands_are_stripped_of_them() -> None:
    with pytest.raises(TypeError, match=r"ord=1\): not defined for dtype bool"):
        tg.linalg.matrix_norm(tg.ones(2, 3, dtype=tg.bool), 1)


# ------------------------------------------------------------------------------------------ every op, called wrongly


def wrong_calls(call: Call) -> Iterator[tuple[str, Call]]:
    """The call with one argument at a time of another dtype, shape, value or Python type."""
    for position, array in enumerate(call.arrays):
        for what, change in CHANGES.items():
            if what != "last size" or array.ndim:
                yield f"array {position}, {what}", _with_array(call, position, change)
    for position, value in enumerate(call.args):
        before, after = call.args[:position], call.args[position + 1 :]
        for other in _others(value):
            yield f"argument {position}: {other}", Call(call.op, (*before, other, *after), call.kwargs)
    for name, value in call.kwargs.items():
        for other in _others(value):
            yield f"{name}={other}", Call(call.op, call.args, call.kwargs | {name: other})


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dtype": lambda a: a.astype(np.float32 if a.dtype.kind in "iu" else np.int64),
    "bool": lambda a: a.astype(np.bool_),
    "rank": lambda a: np.repeat(a[..., None], 7, -1),
    "0-d": lambda a: np.zeros((), a.dtype),
    "last size": lambda a: np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype),
    "large": lambda a: a * 0 + 99,
    "negative": lambda a: a * 0 - 99,
}


def _others(value: Any) -> list[Any]:
    return [-77, 77, {}] if type(value) is int else [{}]


def _with_array(call: Call, position: int, change: Callable[[np.ndarray], np.ndarray]) -> Call:
    seen = iter(range(len(call.arrays)))

    def one(array: np.ndarray) -> np.ndarray:
        return change(array) if next(seen) == position else array

    return Call(call.op, *call._with(one))


@folded("op", [op for op in all_ops() if not op.runs_program], by=lambda op: op.name[0], name=lambda op: op.name)
def test_every_op_called_wrongly_names_itself(op: Definition) -> None:
    """Whatever it is made of; whether its arguments are arrays, or types alone."""
    case, dtype = cases_of(op)[0]
    begins = re.compile(rf"{re.escape(op.title)}(: |\()")
    for what, call in wrong_calls(case.drawn(dtype)):
        for execute in (call.eager, call.record):
            message = refusal(execute)
            assert message is None or begins.match(message), f"{what}: {message}"


def refusal(call: Callable[[], object]) -> str | None:
    """The message of the error that a call raises on purpose."""
    try:
        call()
    except TracegraphError as error:
        return str(error)
    return None
