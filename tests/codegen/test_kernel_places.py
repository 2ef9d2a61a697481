"""Places as a kernel sees them: relative to the first element used, in storages without names."""

import numpy as np
from compiling import check, kernel_texts

from tracegraph.codegen.native.kernel_places import localise
from tracegraph.codegen.native.steps import KernelStep
from tracegraph.dtypes import float32
from tracegraph.ir.dim import sym
from tracegraph.ir.memory_plan import Placement, Space, Storage, whole


def storage(number: int, size: object) -> Storage:
    return Storage(Space.INPUT, number, float32, size)


def test_slices_look_the_same() -> None:
    series = storage(0, 768)
    found = [localise([(Placement(series, t, (24, 1)), (32, 1))]) for t in (0, 5, 23)]
    assert len({places.key for places in found}) == 1
    assert [str(a) for places in found for a in places.arguments.values()] == ["in0", "in0 + 5", "in0 + 23"]
    (local,) = found[1].arguments
    assert local.size == 31 * 24 + 1
    assert found[1].placements == (Placement(local, 0, (24, 1)),)


def test_values_of_one_storage_share_it() -> None:
    held = storage(3, 100)
    places = localise([(Placement(held, 60, (1,)), (10,)), (Placement(held, 30, (2,)), (5,))])
    assert len(places.arguments) == 1
    assert [p.offset for p in places.placements] == [30, 0]
    assert str(next(iter(places.arguments.values()))) == "in3 + 30"


def test_what_differs_has_another_key() -> None:
    a, b = storage(0, 12), storage(1, 12)
    keys = [
        localise([(whole(a, (3, 4)), (3, 4)), (whole(b, (3, 4)), (3, 4))]).key,
        localise([(whole(a, (3, 4)), (3, 4)), (whole(a, (3, 4)), (3, 4))]).key,
        localise([(whole(a, (3, 4)), (3, 4)), (Placement(b, 0, (1, 3)), (3, 4))]).key,
        localise([(whole(a, (3, 4)), (3, 4))]).key,
    ]
    assert len(set(keys)) == 4


def test_symbolic_sizes_keep_the_whole_storage() -> None:
    n = sym("n")
    held = storage(0, n * 4)
    places = localise([(Placement(held, n, (4,)), (3,)), (Placement(held, 2, (1,)), (n,))])
    ((local, argument),) = places.arguments.items()
    assert str(argument) == "in0"
    assert local.size.terms == (n * 4).terms
    assert [str(p.offset) for p in places.placements] == ["n", "2"]


def test_the_steps_of_an_unrolled_loop_share_a_kernel() -> None:
    steps = "\n".join(
        f"  %{2 * t}: f32[8] = basic_index(%x, index=[[0, 8, 1], {t}])\n  %{2 * t + 1}: f32[8] = exp(%{2 * t})"
        for t in range(4)
    )
    executable = check(f"graph f(%x: f32[8, 4]) {{\n{steps}\n  return %1, %3, %5, %7\n}}")
    assert len(set(kernel_texts(executable))) == 1
    listed = [str(step) for step in executable.program.steps]
    assert listed == ["kernel exp_0(in0, out0)", *(f"kernel exp_0(in0 + {t}, out{t})" for t in (1, 2, 3))]


def test_a_symbolic_slice_starts_where_it_should(rng: np.random.Generator) -> None:
    text = """graph f(%x: f32[s0, 6]) {
  %0: f32[6] = basic_index(%x, index=[s0 - 1])
  %1: f32[6] = exp(%0)
  return %1
}"""
    executable = check(text, rng.standard_normal((5, 6)).astype(np.float32))
    check(text, rng.standard_normal((3, 6)).astype(np.float32))
    assert all(isinstance(step, KernelStep) for step in executable.program.steps)
