"""Index expressions: canonical form, text, evaluation, strides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegraph.codegen.loops.loop_index import Index, Name, ValueRef, index, maximum, minimum
from tracegraph.codegen.loops.loop_text import parse_kernel, print_kernel
from tracegraph.errors import IRError

ROW, COL, VALUE = index("i"), index("j"), index(ValueRef("p"))


def test_equal_after_expansion() -> None:
    assert (ROW + COL) * 2 - COL == ROW * 2 + COL
    assert (ROW + 1) * (COL + 1) == ROW * COL + ROW + COL + 1
    assert str(ROW - ROW) == "0"
    assert hash(ROW + COL) == hash(COL + ROW)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (ROW - 1, "i - 1"),
        (COL - ROW, "j - i"),
        (-ROW, "-i"),
        (index(0), "0"),
        (index(-3), "-3"),
        (ROW * 1024 + COL + 4, "i*1024 + j + 4"),
        ((ROW + 1) // 2 * 3, "((i + 1) // 2)*3"),
        ((ROW * 4 + COL) % index("n"), "(i*4 + j) % n"),
        (ROW // (COL + 1), "i // (j + 1)"),
        (VALUE + COL, "%p + j"),
        (minimum(ROW + 8, index("n")), "min(i + 8, n)"),
    ],
)
def test_text(expression: Index, text: str) -> None:
    assert str(expression) == text
    kernel = f"kernel k(\n) {{\n  let %v: i64 = index({text})\n}}\n"
    assert print_kernel(parse_kernel(kernel)) == kernel


def test_folding() -> None:
    assert (ROW * 6 + 4) // 2 == ROW * 3 + 2
    assert str((ROW * 6) % 3) == "0"
    assert index(-7) // 2 == index(-4)
    assert index(-7) % 3 == index(2)
    assert minimum(3, 5) == index(3)
    assert maximum(ROW, ROW) == ROW


@pytest.mark.parametrize("divisor", [0, -2])
def test_divisors_are_positive(divisor: int) -> None:
    with pytest.raises(IRError, match=r"\(i\) // .*: the divisor must be positive"):
        ROW // divisor
    with pytest.raises(IRError, match="the divisor must be positive"):
        ROW % divisor


def test_stride() -> None:
    assert (ROW * COL * 3 + ROW * 2 + 5).stride_of("i") == COL * 3 + 2
    assert COL.stride_of("i") == index(0)
    assert (ROW * ROW).stride_of("i") is None
    assert (ROW // 2).stride_of("i") is None
    assert (COL // 2 + ROW).stride_of("i") == index(1)


def test_names_values_and_substitution() -> None:
    expression = (ROW + VALUE) // 2 + COL
    assert expression.names() == {"i", "j"}
    assert expression.values() == {"p"}
    assert expression.substitute({Name("i"): COL * 2, ValueRef("p"): index(0)}) == COL * 2


leaves = st.one_of(st.integers(-5, 5).map(index), st.sampled_from([ROW, COL]))
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*"), inner, inner).map(
            lambda t: {"+": Index.__add__, "-": Index.__sub__, "*": Index.__mul__}[t[0]](t[1], t[2])
        ),
        st.tuples(st.sampled_from(["//", "%"]), inner, st.integers(1, 4)).map(
            lambda t: t[1] // t[2] if t[0] == "//" else t[1] % t[2]
        ),
        st.tuples(inner, inner).map(lambda t: minimum(*t)),
    ),
    max_leaves=8,
)


@given(expressions, st.integers(-9, 9), st.integers(-9, 9))
def test_text_keeps_the_value(expression: Index, i: int, j: int) -> None:
    text = f"kernel k(\n) {{\n  let %v: i64 = index({expression})\n}}\n"
    kernel = parse_kernel(text)
    assert print_kernel(kernel) == text
    parsed = kernel.body[0].rhs.expression
    values = {"i": i, "j": j}
    assert parsed.evaluate(lambda a: values[a.name]) == expression.evaluate(lambda a: values[a.name])
