"""Scatters and scans as kernels: order, combinations, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from compiling import check, compiled

from tracegraph.errors import IndexRangeError


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "i32", "i64", "u8"])
def test_scatter_add(dtype: str, rng: np.random.Generator) -> None:
    text = f"""graph g(%x: {dtype}[5, 3], %i: i64[4, 3], %s: {dtype}[4, 3]) {{
  %0: {dtype}[5, 3] = scatter_add(%x, %i, %s, dim=0)
  return %0
}}"""
    check(text)


def test_source_is_computed_in_place_of_the_load() -> None:
    text = """graph g(%x: f32[5], %i: i64[40], %s: f32[40]) {
  %0: f32[40] = exp(%s)
  %1: f32[5] = scatter_add(%x, %i, %0, dim=0)
  return %1
}"""
    assert len(check(text).program.steps) == 1


def test_index_out_of_range_is_an_error() -> None:
    text = "graph g(%x: f32[5], %i: i64[4]) {\n  %0: f32[4] = gather(%x, %i, dim=0)\n  return %0\n}"
    executable = compiled(text)
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(executable([x, np.array([0, 4, 2, 2])])[0], [0, 4, 2, 2])
    for wrong in ([0, 1, 2, 5], [-6, 1, 2, 3]):
        with pytest.raises(IndexRangeError, match="gather"):
            executable([x, np.array(wrong)])
    np.testing.assert_array_equal(executable([x, np.array([1, 1, 1, 1])])[0], [1, 1, 1, 1])


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("op", ["cumsum", "cumprod"])
def test_scan_along_any_axis(op: str, dim: int) -> None:
    text = f"graph g(%x: f32[s0, 3, s1]) {{\n  %0: f32[s0, 3, s1] = {op}(%x, dim={dim})\n  return %0\n}}"
    check(text, sizes={"s0": 4, "s1": 5})


def test_scan_of_a_computed_value() -> None:
    text = "graph g(%x: f32[4, 50]) {\n  %0: f32[4, 50] = exp(%x)\n  %1: f32[4, 50] = cumsum(%0, dim=1)\n  return %1\n}"
    assert len(check(text).program.steps) == 1
