"""Sizes read off shapes, and every dimension checked."""

from __future__ import annotations

import pytest

from tracegraph import ir
from tracegraph.codegen.native.size_binding import SizeBinding
from tracegraph.errors import CompileError, ShapeError


def binding(*types: str, symbols: tuple[str, ...] = ("s0", "s1")) -> SizeBinding:
    inputs = ", ".join(f"%x{n}: {t}" for n, t in enumerate(types))
    return SizeBinding(ir.parse(f"graph g({inputs}) {{\n  return %x0\n}}"), symbols)


def test_plain_symbols() -> None:
    assert binding("f32[s0, 4]", "f32[s1]").solve([(3, 4), (5,)]) == {"s0": 3, "s1": 5}


def test_a_plain_axis_is_preferred_to_a_multiple() -> None:
    found = binding("f32[2*s0]", "f32[s0]", symbols=("s0",))
    assert found.sources["s0"] == (1, 0, 1, 0)
    assert found.solve([(6,), (3,)]) == {"s0": 3}


def test_dependent_dimensions_are_checked() -> None:
    found = binding("f32[s0]", "f32[s0*s1]", "f32[s1]")
    assert found.solve([(3,), (15,), (5,)]) == {"s0": 3, "s1": 5}
    with pytest.raises(ShapeError, match=r"input x1 has shape \[14\].*with s0=3, s1=5"):
        found.solve([(3,), (14,), (5,)])


def test_a_symbol_that_no_axis_shows() -> None:
    with pytest.raises(CompileError, match="size s1 cannot be read off any input"):
        binding("f32[s0]", "f32[s0*s1]")


def test_wrong_rank() -> None:
    with pytest.raises(ShapeError, match=r"input x0 has shape \[3\], the graph was compiled for f32\[s0, 4\]"):
        binding("f32[s0, 4]", symbols=("s0",)).solve([(3,)])
