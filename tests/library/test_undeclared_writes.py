"""A custom op that writes to an argument that `mutates_args` does not name is told so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError
from tracegraph.library import custom_op


def op_of(name: str, write: Callable[[tg.Tensor], object], mutates_args: tuple[str, ...] = ()) -> Any:
    @custom_op(f"undeclared_writes::{name}", mutates_args=mutates_args)
    def op(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        write(y)
        return x + y

    return op


@pytest.mark.parametrize("declared", [(), ("x",)])
def test_the_argument_is_named(declared: tuple[str, ...]) -> None:
    op = op_of(f"written{len(declared)}", lambda y: y[1:].add_(1), declared)
    message = f"{op.name}: its function writes to its argument 'y', which mutates_args={declared} does not name"
    x, y = tg.zeros(3), tg.ones(3)
    for function in (op, tg.compile(op)):
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
            function(x, y)
    assert y.tolist() == [1.0, 1.0, 1.0]


def test_a_write_by_numpy_names_what_it_may_be() -> None:
    op = op_of("numpy", lambda y: y.numpy().fill(7))
    with pytest.raises(ArgumentError, match="writes to its argument 'x' or 'y', which mutates_args"):
        op(tg.zeros(3), tg.ones(3))


def test_an_error_of_another_memory_is_left_alone() -> None:
    frozen = tg.from_numpy(tg.ones(2).numpy().copy())
    frozen.numpy().flags.writeable = False
    constant = tg.from_numpy(frozen.numpy())
    op = op_of("other", lambda y: constant.add_(1))
    with pytest.raises(ValueError, match="memory of a read-only numpy array"):
        op(tg.zeros(3), tg.ones(3))
