"""The verifier refuses each broken rule and names it."""

import pytest

from tracegraph.codegen.loops.loop_text import parse_kernel
from tracegraph.codegen.loops.loop_verify import verify_kernel
from tracegraph.errors import VerifyError

HEAD = "kernel k(in x: f32[n], out y: f32[n], in b: bool[n], size n, scalar %s: f32) {\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("let %v: f32 = exp(%q)", "%q is not defined here"),
        ("let %s: f32 = exp(1.0)", "the name s is used twice"),
        ("let %v: f32 = load x[i]", "i in i is neither a loop variable nor a size"),
        ("let %v: f32 = load x[0, 0]", "x has 1 dims, indexed with 2"),
        ("let %v: f32 = load z[0]", "there is no buffer z"),
        ("let %v: f64 = load x[0]", "%v is declared f64, the right-hand side is f32"),
        ("let %v: f32 = load x[%s]", "%s in an index is f32, must be i64"),
        ("let %v: f32 = load x[0] where %s else 0.0", "%s is f32; a condition must be bool"),
        ("let %v: f32 = add(%s, 1)", None),
        ("let %v: f32 = add(%s, true)", "literal True stands where f32 is expected"),
        ("let %v: i32 = add(1, 2.5)", "literal 2.5 does not fit i32"),
        ("let %v: u8 = add(1, 300)", "literal 300 does not fit u8"),
        ("let %v: bool = lt(1.0, 2.0)", "lt of literals has no operand dtype"),
        ("let %v: i64 = index(0)  let %w: f32 = add(%s, %v)", "different dtypes"),
        ("let %v: i64 = index(0)  let %w: i64 = exp(%v)", "exp takes a floating dtype, got i64"),
        ("let %w: f32 = where(%s, %s, %s)", "the condition must be bool, got f32"),
        ("store x[0] = %s", "store to x, which is an `in` buffer"),
        ("store y[0] = 1", None),
        ("let %v: i64 = index(0)  store y[0] = %v", "expected f32, got i64"),
        ("update %s = add(%s, 1.0)", "%s is not an accumulator in scope"),
        ("acc %a: f32 = 0.0  update %a = and(%a, 1.0)", "and does not take f32"),
        ("for i in 0..n { let %v: f32 = load x[i] }  store y[0] = %v", "%v is not defined here"),
        ("for i in 0..n { }  for i in 0..n { }", "the name i is used twice"),
        (
            "acc %a: f32 = 0.0  for i in 0..n reduce { update %a = add(%a, 1.0)  store y[i] = %a }",
            "%a is read or set inside the reduce loop i",
        ),
        (
            "acc %a: f32 = 0.0  for i in 0..n parallel { update %a = add(%a, 1.0) }",
            "%a is shared by the iterations of the parallel loop i",
        ),
        ("for i in 0..n parallel { store y[0] = 1.0 }", "every iteration of the parallel loop i writes the same y"),
        (
            "let %p: i64 = index(0)  for i in 0..n parallel { store y[%p] += 1.0 }",
            "every iteration of the parallel loop i writes the same y",
        ),
        ("for i in 0..n step 8 parallel { for j in i..min(i + 8, n) { store y[j] = 1.0 } }", None),
    ],
)
def test_rules(body: str, message: str | None) -> None:
    kernel = parse_kernel(HEAD + body + "\n}")
    if message is None:
        verify_kernel(kernel)
        return
    with pytest.raises(VerifyError, match=message):
        verify_kernel(kernel)


def test_shapes_are_made_of_sizes() -> None:
    with pytest.raises(VerifyError, match="the shape of x mentions m"):
        verify_kernel(parse_kernel("kernel k(in x: f32[m], size n) { }"))
