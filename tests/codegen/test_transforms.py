"""Loop transformations: the text they give, what they refuse, and that results stay the same."""

from pathlib import Path

import numpy as np
import pytest

from tracegraph.codegen.loops.loop_interpret import interpret_kernel
from tracegraph.codegen.loops.loop_ir import Kernel, Mark
from tracegraph.codegen.loops.loop_text import parse_kernel, print_kernel
from tracegraph.codegen.loops.scalar_ops import identity
from tracegraph.codegen.native.native_kernel import NativeKernel
from tracegraph.codegen.schedule import schedule, unroll_short_loops
from tracegraph.codegen.transforms.columns import block_columns
from tracegraph.codegen.transforms.hoisting import drop_single_loops, hoist_invariants
from tracegraph.codegen.transforms.interchange import interchange
from tracegraph.codegen.transforms.marking import mark
from tracegraph.codegen.transforms.split_reduction import split_reduction
from tracegraph.codegen.transforms.tiling import tile
from tracegraph.dtypes import bool_, float32, int8, uint8
from tracegraph.errors import IRError, VerifyError

KERNELS = Path(__file__).parent / "kernels"


def load(name: str) -> Kernel:
    return parse_kernel((KERNELS / f"{name}.kernel").read_text())


def body_text(kernel: Kernel) -> str:
    return print_kernel(kernel).split(") {\n", 1)[1]


def run(kernel: Kernel, n: int, m: int, *, native: bool) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, m)).astype(np.float32)
    y = np.zeros(m if kernel.name == "column_sum" else (n, m), np.float32)
    execute = NativeKernel(kernel) if native else lambda *args: interpret_kernel(kernel, *args)
    execute({"x": x, "y": y}, {"n": n, "m": m})
    return y


def test_tile() -> None:
    tiled = tile(load("cumsum"), "i", 4)
    assert body_text(tiled).startswith(
        "  for i_tile in 0..n step 4 parallel {\n    for i in i_tile..min(i_tile + 4, n) {\n"
    )
    assert np.array_equal(run(tiled, 9, 5, native=True), run(load("cumsum"), 9, 5, native=False))


def test_tile_refuses_a_size_that_does_not_fit_the_step() -> None:
    kernel = tile(load("cumsum"), "i", 4)
    with pytest.raises(IRError, match="not a positive multiple of its step 4"):
        tile(kernel, "i_tile", 6)


def test_an_unknown_loop_is_named() -> None:
    with pytest.raises(IRError, match="has no loop q; its loops are i, j"):
        tile(load("cumsum"), "q", 4)


INTERCHANGEABLE = """kernel scale(
  in x: f32[n, m],
  out y: f32[n, m],
  size n,
  size m
) {
  for i in 0..n {
    for j in 0..m vector {
      let %v: f32 = load x[i, j]
      let %w: f32 = mul(%v, 2.0)
      store y[i, j] = %w
    }
  }
}
"""


def test_interchange() -> None:
    swapped = interchange(parse_kernel(INTERCHANGEABLE), "i")
    assert body_text(swapped).startswith("  for j in 0..m vector {\n    for i in 0..n {\n      let %v")
    assert np.array_equal(run(swapped, 5, 7, native=True), run(parse_kernel(INTERCHANGEABLE), 5, 7, native=False))


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("y[i, 0] += %w\n      store y[0, 0]", "all iterations add to one place"),
        ("y[i, i + j]", "not linear in one of the loops"),
        ("y[i, j // 2]", "not linear in one of the loops"),
    ],
)
def test_interchange_refuses(place: str, why: str) -> None:
    operator = "+=" if "all" in why else "="
    text = INTERCHANGEABLE.replace("store y[i, j] =", f"store {place} {operator}")
    with pytest.raises(IRError, match=why):
        interchange(parse_kernel(text), "i")


def test_interchange_refuses_an_imperfect_nest() -> None:
    with pytest.raises(IRError, match="its body is not exactly one loop"):
        interchange(load("cumsum"), "i")


def test_block_columns() -> None:
    blocked = block_columns(load("column_sum"), "j", 32)
    assert body_text(blocked) == (
        "  for j_block in 0..m step 32 {\n"
        "    local total_block: f32[32]\n"
        "    for j_start in j_block..min(j_block + 32, m) vector {\n"
        "      store total_block[j_start - j_block] = 0.0\n"
        "    }\n"
        "    for i in 0..n {\n"
        "      for j_row in j_block..min(j_block + 32, m) vector {\n"
        "        let %v: f32 = load x[i, j_row]\n"
        "        let %total_old: f32 = load total_block[j_row - j_block]\n"
        "        let %total_new: f32 = add(%total_old, %v)\n"
        "        store total_block[j_row - j_block] = %total_new\n"
        "      }\n"
        "    }\n"
        "    for j in j_block..min(j_block + 32, m) {\n"
        "      let %total_sum: f32 = load total_block[j - j_block]\n"
        "      acc %total: f32 = %total_sum\n"
        "      store y[j] = %total\n"
        "    }\n"
        "  }\n"
        "}\n"
    )
    # rows are added in the same order: equal to the last bit
    assert np.array_equal(run(blocked, 40, 70, native=True), run(load("column_sum"), 40, 70, native=False))


def test_block_columns_refuses_other_bodies() -> None:
    with pytest.raises(IRError, match="cannot block the columns of i"):
        block_columns(load("cumsum"), "i", 32)


def test_split_reduction() -> None:
    split = split_reduction(load("softmax"), "j", 8)
    assert "for j_tile in 0..m step 8 reduce {\n      acc %top_part: f32 = -inf\n" in body_text(split)
    assert "update %top = maximum(%top, %top_part)" in body_text(split)
    np.testing.assert_allclose(run(split, 3, 29, native=True), run(load("softmax"), 3, 29, native=False), 1e-6)


def test_split_reduction_refuses_a_scan() -> None:
    with pytest.raises(IRError, match="not a reduce loop"):
        split_reduction(load("cumsum"), "j", 8)


def test_identities() -> None:
    assert identity("maximum", uint8) == 0
    assert identity("minimum", int8) == 127
    assert identity("and", bool_) is True
    assert identity("add", float32) == 0.0
    with pytest.raises(IRError, match="xor has no identity in f32"):
        identity("xor", float32)


def test_mark_refuses_races() -> None:
    with pytest.raises(VerifyError, match="writes the same y"):
        mark(parse_kernel(INTERCHANGEABLE.replace("y[i, j]", "y[0, j]")), "i", Mark.PARALLEL)
    with pytest.raises(VerifyError, match="read or set inside the reduce loop"):
        mark(load("cumsum"), "j", Mark.REDUCE)


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.kernel")), ids=lambda p: p.stem)
def test_schedule_is_stable_and_round_trips(path: Path) -> None:
    once = schedule(parse_kernel(path.read_text()))
    assert schedule(once) == once
    assert parse_kernel(print_kernel(once)) == once


def test_schedule_blocks_columns_and_splits_sums() -> None:
    assert "local total_block: f32[1024]" in print_kernel(schedule(load("column_sum")))
    text = print_kernel(schedule(load("softmax")))
    assert "for k_tile_tile in 0..m step 262144 reduce {" in text
    assert "for k_tile in k_tile_tile..min(k_tile_tile + 262144, m) step 4096 reduce {" in text


def test_a_scheduled_sum_of_many_ones_is_exact_enough() -> None:
    text = """kernel total(
  in x: f32[n],
  out y: f32[1],
  size n
) {
  acc %s: f32 = 0.0
  for i in 0..n reduce {
    let %v: f32 = load x[i]
    update %s = add(%s, %v)
  }
  store y[0] = %s
}
"""
    count = 1 << 22
    x, y = np.full(count, 0.1, np.float32), np.zeros(1, np.float32)
    NativeKernel(schedule(parse_kernel(text)))({"x": x, "y": y}, {"n": count})
    assert abs(y[0] / (np.float64(np.float32(0.1)) * count) - 1) < 1e-6


def test_scheduled_kernels_compute_the_same() -> None:
    for name in ("softmax", "column_sum", "cumsum"):
        kernel = load(name)
        np.testing.assert_allclose(
            run(schedule(kernel), 9, 300, native=True), run(kernel, 9, 300, native=False), 1e-5, 1e-5
        )


ROWS = """kernel rows(
  in numbers: i64[6],
  in table: f32[20],
  out y: f32[24]
) {
  for i in 0..6 {
    for j in 0..4 {
      let %n: i64 = load numbers[i]
      let %fits: bool = lt(%n, 5)
      check index %fits, "too large"
      let %x: f32 = load table[%n*4 + j]
      store y[4*i + j] = %x
    }
  }
}
"""


def test_invariants_leave_the_loop_in_order() -> None:
    hoisted = hoist_invariants(parse_kernel(ROWS))
    lines = [line.strip() for line in body_text(hoisted).splitlines()]
    assert [line.split()[0] for line in lines[:7]] == ["for", "let", "let", "check", "for", "let", "store"]
    table, numbers = np.arange(20, dtype=np.float32), np.array([4, 0, 3, 3, 1, 2])
    y = np.zeros(24, np.float32)
    native = NativeKernel(hoisted)
    assert native({"numbers": numbers, "table": table, "y": y}) == 0
    assert np.array_equal(y.reshape(6, 4), table.reshape(5, 4)[numbers])
    assert native({"numbers": np.full(6, 5), "table": table, "y": y}) == 1


def test_nothing_leaves_a_loop_that_may_not_run() -> None:
    kernel = parse_kernel(ROWS.replace("for j in 0..4", "for j in 0..m").replace("y: f32[24]", "y: f32[24], size m"))
    assert hoist_invariants(kernel) == kernel


def test_what_changes_or_is_guarded_stays() -> None:
    text = """kernel stays(
  in x: f32[8],
  in n: i64[4],
  inout y: f32[8]
) {
  acc %s: f32 = 0.0
  let %p: i64 = load n[0]
  for i in 0..4 {
    let %written: f32 = load y[0]
    let %total: f32 = add(%s, 1.0)
    let %here: i64 = load n[i]
    let %fits: bool = lt(%here, 8)
    check index %fits, "too large"
    let %guarded: f32 = load x[%p]
    let %free: i64 = mul(%p, 2)
    update %s = add(%s, %written)
    store y[i] = %total
  }
}
"""
    moved = set(body_text(parse_kernel(text)).split("for i")[1].splitlines())
    moved -= set(body_text(hoist_invariants(parse_kernel(text))).split("for i")[1].splitlines())
    assert [line.strip() for line in moved] == ["let %free: i64 = mul(%p, 2)"]


def test_loops_of_one_round_are_their_body() -> None:
    text = """kernel one(
  out y: f32[8]
) {
  for block in 0..8 step 16 {
    for i in block..min(block + 16, 8) {
      for k in 3..4 {
        store y[i] = 1.0
      }
    }
  }
}
"""
    assert body_text(drop_single_loops(parse_kernel(text))) == "  for i in 0..8 {\n    store y[i] = 1.0\n  }\n}\n"


def test_short_loops_unroll_only_inside_others() -> None:
    text = """kernel short(
  out x: f32[2],
  out y: f32[8]
) {
  for k in 0..2 {
    store x[k] = 1.0
  }
  for i in 0..4 {
    for j in 0..2 {
      store y[2*i + j] = 1.0
    }
  }
}
"""
    found = print_kernel(unroll_short_loops(parse_kernel(text)))
    assert "for j in 0..2 unroll {" in found and found.count("unroll") == 1
