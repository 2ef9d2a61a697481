"""The reference interpreter checks what native code trusts."""

import numpy as np
import pytest

from tracegraph.codegen.loops.loop_interpret import interpret_kernel
from tracegraph.codegen.loops.loop_text import parse_kernel
from tracegraph.codegen.native.native_kernel import NativeKernel
from tracegraph.errors import IndexRangeError, ShapeError

SHIFT = """kernel shift(in x: f32[n], out y: f32[n], size n) {
  for i in 0..n {
    let %v: f32 = load x[i + 1]
    store y[i] = %v
  }
}"""


def test_out_of_bounds_is_an_error() -> None:
    arrays = {"x": np.zeros(3, np.float32), "y": np.zeros(3, np.float32)}
    with pytest.raises(IndexRangeError, match=r"x\[3\] is out of bounds for shape \[3\]"):
        interpret_kernel(parse_kernel(SHIFT), arrays, {"n": 3})


@pytest.mark.parametrize("execute", [interpret_kernel, lambda k, *args: NativeKernel(k)(*args)])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4, np.float32), r"x must be f32\[3\], got float32 \[4\]"),
        (np.zeros(3, np.float64), r"x must be f32\[3\], got float64 \[3\]"),
        (np.zeros(6, np.float32)[::2], r"x must have strides \[1\], got \[2\]; make it contiguous"),
    ],
)
def test_arguments_are_checked(execute, x: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        execute(parse_kernel(SHIFT), {"x": x, "y": np.zeros(3, np.float32)}, {"n": 3})


def test_cumulative_sums_run_in_order() -> None:
    kernel = parse_kernel(
        """kernel scan(in x: f32[4], out y: f32[4]) {
  acc %s: f32 = 0.0
  for i in 0..4 {
    let %v: f32 = load x[i]
    update %s = add(%s, %v)
    store y[i] = %s
  }
}"""
    )
    x = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    for execute in (interpret_kernel, lambda k, *args: NativeKernel(k)(*args)):
        y = np.zeros(4, np.float32)
        execute(kernel, {"x": x, "y": y})
        assert y.tolist() == [1e8, 1e8, 0.0, 1.0]
