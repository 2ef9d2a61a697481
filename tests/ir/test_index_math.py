"""Index expressions keep their value when simplified, and lose the divisions they can lose."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.index_math import divide, flatten, is_below, linear, row_major, simplify

A, J, S = dims.sym("i"), dims.sym("j"), dims.sym("s0")
RANGES = {"i": 6, "j": 4}


@st.composite
def indices(draw: st.DrawFn, depth: int = 3) -> Dim:
    """A random non-negative expression over i and j."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from([A, J, 1, 2, 3, 5]))
    a = draw(indices(depth=depth - 1))
    kind = draw(st.sampled_from(["add", "scale", "div", "mod"]))
    if kind == "add":
        return a + draw(indices(depth=depth - 1))
    constant = draw(st.sampled_from([2, 3, 4, 6, 8, 12]))
    return {"scale": lambda: a * constant, "div": lambda: a // constant, "mod": lambda: a % constant}[kind]()


@given(indices(depth=5))
def test_simplify_keeps_every_value(index: Dim) -> None:
    simple = simplify(index, RANGES)
    for i, j in itertools.product(range(6), range(4)):
        binding = {"i": i, "j": j}
        assert dims.evaluate(simple, binding) == dims.evaluate(index, binding)


@given(indices(depth=4), st.sampled_from([2, 3, 4, 6, 24]))
def test_divide_keeps_every_value(index: Dim, divisor: int) -> None:
    quotient, rest = divide(index, divisor, RANGES)
    for i, j in itertools.product(range(6), range(4)):
        value = dims.evaluate(index, {"i": i, "j": j})
        assert dims.evaluate(quotient, {"i": i, "j": j}) == value // divisor
        assert dims.evaluate(rest, {"i": i, "j": j}) == value % divisor


@pytest.mark.parametrize(
    ("index", "simple"),
    [
        ((A * 4 + J) // 4, A),
        ((A * 4 + J) % 4, J),
        (A // 4 * 4 + A % 4, A),
        (A // 6, 0),
        ((A * 8 + J) // 12, (A * 2) // 3),
        (A // 2 // 3, 0),
        ((A // 12) * 12 + (A // 4 % 3) * 4 + A % 4, A),
    ],
)
def test_simplify(index: Dim, simple: Dim) -> None:
    assert dims.same(simplify(index, RANGES), simple)


def test_symbolic_divisor() -> None:
    ranges = {"i": S, "j": S * 2}
    assert dims.same(simplify((J * S + A) // S, ranges), J)
    assert dims.same(simplify((J * S + A) % S, ranges), A)
    assert dims.same(simplify(J // S * S + J % S, {"j": S * S}), J)


def test_reshape_of_a_merged_loop() -> None:
    """The positions of a row-major array, flattened, are the loop that runs over all of them."""
    shape = (S, 3, 4)
    m = dims.sym("m")
    position = (m // 12, m % 12 // 4, m % 12 % 4)
    assert dims.same(simplify(flatten(position, row_major(shape)), {"m": S * 12}), m)


def test_linear() -> None:
    assert linear(A * 8 + J + S, ["i", "j"]) == (S, {"i": 8, "j": 1})
    assert linear(A * S, ["i"]) == (0, {"i": S})
    assert linear(A * J, ["i", "j"]) is None
    assert linear(A // 2, ["i"]) is None
    assert linear(A // 2, ["j"]) == (A // 2, {})


def test_is_below() -> None:
    assert is_below(A * 4 + J, 24, RANGES)
    assert not is_below(A * 4 + J, 23, RANGES)
    assert not is_below(A - 1, 24, RANGES)
    assert is_below(A, S, {"i": S})
    assert not is_below(A, S, {"i": S + 1})
