"""Errors speak of the op that was called, as eager and as traced call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph.ir import Builder, TensorType
from tracegraph.nn import functional as F
from tracegraph.ops.graphs.recording import Recorder

CALLS: dict[str, Callable[[Any], Any]] = {
    r"reshape: shape \[7\] is invalid .* make the sizes multiply to 6": lambda x: x.reshape(7),
    r"reshape: shape \[-1, 4\] is invalid .* multiply to 4, which must divide 6": lambda x: x.reshape(-1, 4),
    r"mse_loss: shapes \[2, 3\] and \[4\] do not broadcast": lambda x: F.mse_loss(x, x.new_zeros(4)),
    r"zeros: a tensor cannot have the negative size -1": lambda x: tg.zeros(2, -1),
}


@pytest.mark.parametrize("message", CALLS)
def test_the_op_that_was_called_is_named(message: str) -> None:
    call = CALLS[message]
    with pytest.raises(RuntimeError, match=f"^{message}"):
        call(tg.ones(2, 3))
    recorder = Recorder(Builder())
    x = recorder.traced(recorder.builder.placeholder(TensorType(tg.float32, (2, 3))))
    with recorder.active(), pytest.raises(RuntimeError, match=f"^{message}"):
        call(x)


def test_elements_that_go_wrong_name_the_op_that_reads_them() -> None:
    with pytest.raises(IndexError, match=r"^index: index 5 is out of bounds"):
        tg.ones(2, 3).index_select(0, tg.tensor([5]))
