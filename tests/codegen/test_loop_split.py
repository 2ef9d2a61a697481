"""Splitting loops: digits where positions divide by them, nothing where they would not help."""

import itertools

import numpy as np
import pytest
from compiling import check, kernel_texts

from tracegraph.codegen.lowering.loop_split import Loop, split_loops, tangled_variables
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, sym

i, j, n = sym("i"), sym("j"), sym("n")


def digits(position: Dim, **ranges: Dim) -> list[tuple[Dim, ...]]:
    """The extents of the loops that variables are split into."""
    return [tuple(loop.extent for loop in loops) for loops in split_loops(ranges, [position]).loops.values()]


def test_digits() -> None:
    assert digits((i // 64) * 7 + (i // 16) % 4 + (i % 16) * 100, i=192) == [(3, 4, 16)]
    assert digits((i * 4 + j) // 8, i=6, j=4) == [(3, 2)]
    assert digits((i % 12) // 4, i=48) == [(4, 3, 4)]


def test_digits_of_a_symbolic_loop() -> None:
    split = split_loops({"i": n * 64}, [(i // 64) * 5 + i % 64])
    assert [str(loop.extent) for loop in split.loops["i"]] == ["n", "64"]
    assert str(split.binding["i"]) == "64*i_0 + i_1"


def test_nothing_is_split_in_vain() -> None:
    assert digits(i * 4 + j, i=6, j=4) == []
    assert digits(i // 3, i=10) == []
    assert digits(i // 4 + i % 6, i=24) == []
    assert digits(i // 64, i=n) == []
    assert digits((i - j) // 2, i=8, j=2) == []
    assert split_loops({"i": 8}, []).of(Loop("i", 8)) == (Loop("i", 8),)


def test_digits_make_up_the_variable() -> None:
    split = split_loops({"i": 24}, [i // 6 + i % 2])
    extents = [range(loop.extent) for loop in split.loops["i"]]
    names = [loop.name for loop in split.loops["i"]]
    found = [
        dims.evaluate(split.binding["i"], dict(zip(names, values, strict=True)))
        for values in itertools.product(*extents)
    ]
    assert found == list(range(24))


def test_tangled_variables() -> None:
    assert tangled_variables([i + j, (i + 1) // 2 + j], ["i", "j"]) == {"i"}
    assert tangled_variables([3], ["i"]) == set()


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (2, 1, 0), (0, 2, 1)], ids=str)
def test_reshaped_permutations(order: tuple[int, ...], rng: np.random.Generator) -> None:
    shape = (4, 6, 10)
    permuted = [shape[axis] for axis in order]
    text = f"""graph f(%x: f32[4, 6, 10]) {{
  %0: f32{permuted} = permute(%x, dims={list(order)})
  %1: f32[12, 20] = view(%0, size=[12, 20])
  %2: f32[12] = sum(%1, dim=[1], keepdim=false)
  return %1, %2
}}"""
    check(text, rng.integers(-9, 9, shape).astype(np.float32))


def test_windows_side_by_side_need_no_division() -> None:
    graph = """graph upsampled(%x: f32[2, 3, 4, 5]) {
  %0: f32[2, 3, 4, 1, 5, 1] = view(%x, size=[2, 3, 4, 1, 5, 1])
  %1: f32[2, 3, 4, 2, 5, 3] = expand(%0, size=[2, 3, 4, 2, 5, 3])
  %2: f32[2, 3, 8, 15] = view(%1, size=[2, 3, 8, 15])
  %3: f32[2, 3, 8, 15] = exp(%2)
  return %3
}"""
    for kernel in kernel_texts(check(graph)):
        assert "//" not in kernel
