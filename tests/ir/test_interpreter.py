"""The reference execution of graphs refuses inputs that the graph was not built for."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ir import interpret, parse

GRAPH = """graph double(%x: f32[s0, 2] primal) {
  %0: f32[s0, 2] = mul(%x, 2)
  return %0
}
"""


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([], tg.errors.ShapeError, r"graph double takes 1 inputs, got 0"),
        ([np.ones((3, 4), np.float32)], tg.errors.ShapeError, r"input 0 has shape \[3, 4\], .* built for f32\[s0, 2\]"),
        ([np.ones((3, 2))], tg.errors.DTypeError, r"input 0 has dtype float64, .* built for f32\[s0, 2\]"),
    ],
    ids=["number", "shape", "dtype"],
)
def test_inputs_that_do_not_fit_are_named(inputs, error, message) -> None:
    with pytest.raises(error, match=message):
        interpret(parse(GRAPH), *inputs)


def test_sizes_are_bound_by_the_inputs() -> None:
    (doubled,) = interpret(parse(GRAPH), np.ones((3, 2), np.float32))
    assert doubled.tolist() == [[2.0, 2.0]] * 3
