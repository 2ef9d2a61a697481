"""The text form of the loop IR: what parses, and how errors read."""

import pytest

from tracegraph.codegen.loops.loop_ir import Let, Literal, Load
from tracegraph.codegen.loops.loop_text import parse_kernel, print_kernel, print_statements
from tracegraph.errors import ParseError

EVERYTHING = """kernel everything(
  in x: f32[n, 4] strides [1, n],
  inout y: f32[n, 4],
  out z: bool[n],
  size n,
  scalar %alpha: f64
) {
  local block: i64[2, 3]
  for i in 0..n step 2 reduce vector parallel unroll {
    acc %a: f32 = -inf
    let %p: i64 = index(i % 2)
    let %c: bool = lt(%p, 1)
    let %v: f32 = load x[%p, 3] where %c else nan
    let %w: f32 = where(%c, %v, -0.0)
    let %k: f32 = const(1e-05)
    update %a = maximum(%a, %w)
    set %a = %k
    check value %c, "say \\"why\\""
    if %c {
      store y[i, 0] += %v
    }
    store z[i] = true
  }
}
"""


def test_round_trip_of_everything() -> None:
    assert print_kernel(parse_kernel(EVERYTHING)) == EVERYTHING


def test_comments_and_layout_do_not_matter() -> None:
    text = EVERYTHING.replace("    acc", "\n    // a remark\n    acc").replace("const(1e-05)", "const(1e-05)  // small")
    assert parse_kernel(text) == parse_kernel(EVERYTHING)


def test_literals_keep_their_kind_and_sign() -> None:
    loop = parse_kernel(EVERYTHING).body[1]
    rhs = loop.body[3].rhs
    assert isinstance(rhs, Load)
    assert rhs.fill == Literal(float("nan"))
    assert Literal(0.0) != Literal(-0.0)
    assert Literal(1) != Literal(1.0)
    assert Literal(True) != Literal(1)


def test_statements_print_alone() -> None:
    loop = parse_kernel(EVERYTHING).body[1]
    first = loop.body[1]
    assert isinstance(first, Let)
    assert print_statements((first,)) == "let %p: i64 = index(i % 2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel f() { foo }", r"line 1, column 14: unknown statement 'foo'; one of for, let"),
        ("kernel f(in x: f99[2]) {}", "unknown dtype 'f99'"),
        ("kernel f(at x: f32[2]) {}", "expected in, out, inout, size or scalar, found 'at'"),
        ("kernel f() {\n  let %x: f32 = bar(1)\n}", "line 2, column .*unknown scalar operation 'bar'"),
        ("kernel f() { let %x: f32 = exp(1.0, 2.0) }", "exp takes 1 operands, got 2"),
        ("kernel f() { update %a = exp(%a, 1.0) }", "exp is not one of"),
        ("kernel f() { update %a = add(%b, 1.0) }", "must be the accumulator %a"),
        ("kernel f() { for i in 0..4 // 0 {} }", "the divisor must be positive"),
        ("kernel f() { local t: f32[n] }", "needs a constant, non-empty, dense shape"),
        ("kernel f() { store x[0] = 1.0", "expected a statement, found 'end of text'"),
        ('kernel f() { check %c, "no" }', "expected index or value, found '%c'"),
        ('kernel f() { check index %c, "" }', "must be printable text"),
        ("kernel f() {} kernel g() {}", "expected the end of the text, found 'kernel'"),
        ("kernel f() { $ }", r"unexpected character '\$'"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_kernel(text)
