"""Signs, quotients, and numbers that meet."""

from __future__ import annotations

import math

from tracegraph.ir import Value
from tracegraph.passes.rewrite import Bindings, Exactness, Rule


def reciprocal_is_exact(bindings: Bindings) -> bool:
    """Whether 1 / c is a power of two that even float16 holds: then x / c and x * (1 / c) round alike."""
    c = bindings["c"]
    return not isinstance(c, bool) and c != 0 and abs(math.frexp(c)[0]) == 0.5 and 2.0**-14 <= abs(c) <= 2.0**14


def no_bools(bindings: Bindings) -> bool:
    """Whether the numbers are numbers: True + True is 2 in Python and True in a tensor of bools."""
    return not any(isinstance(bindings.get(name), bool) for name in "cd")


def can_be_negated(bindings: Bindings) -> bool:
    """Whether -c is a number of the dtype of x, too."""
    return no_bools(bindings) and bindings["x"].type.dtype.is_signed


def has_differences(bindings: Bindings) -> bool:
    """Whether a may be subtracted from: bools have sums and no differences."""
    a = bindings["a"]
    return not (isinstance(a, bool) or (isinstance(a, Value) and a.type.dtype.is_bool))


RULES = (
    # x * -1 == -x
    Rule("mul(x, -1) -> neg(x)", on="if"),
    # x + -y == x - y, -x + y == y - x, x - -y == x + y
    Rule("add(a, neg(x)) -> sub(a, x)", when=has_differences),
    Rule("sub(a, neg(x)) -> add(a, x)"),
    # -(x - y) == y - x, but for the sign of zero
    Rule("neg(sub(a, b)) -> sub(b, a)", on="i"),
    Rule("neg(sub(a, b)) -> sub(b, a)", Exactness.FASTMATH, on="f"),
    # x - c == x + -c: rules on sums hold for differences, too
    Rule("sub(x, c) -> add(x, -c)", on="if", when=can_be_negated),
    # 0 - x == -x, but for the sign of zero
    Rule("sub(0, x) -> neg(x)", on="i"),
    Rule("sub(-0.0, x) -> neg(x)", on="f"),
    Rule("sub(0, x) -> neg(x)", Exactness.FASTMATH, on="f"),
    # -x * -y == x * y, -x / -y == x / y, -x * c == x * -c
    Rule("mul(neg(x), neg(y)) -> mul(x, y)", on="if"),
    Rule("div(neg(x), neg(y)) -> div(x, y)", on="f"),
    Rule("mul(neg(x), c) -> mul(x, -c)", on="if", when=no_bools),
    Rule("div(neg(x), c) -> div(x, -c)", on="f", when=no_bools),
    Rule("neg(mul(x, c)) -> mul(x, -c)", on="if", when=no_bools),
    # |-x| == |x|, (-x)^2 == x^2
    Rule("abs(neg(x)) -> abs(x)", on="f"),
    Rule("square(neg(x)) -> square(x)"),
    # x / c == x * (1 / c): the same bits where 1 / c is exact
    Rule("div(x, c) -> mul(x, 1 / c)", on="f", when=reciprocal_is_exact),
    Rule("div(x, c) -> mul(x, 1 / c)", Exactness.FASTMATH, on="f", when=lambda b: no_bools(b) and b["c"] != 0),
    # (x + c) + d == x + (c + d), (x * c) * d == x * (c * d)
    Rule("add(add(x, c), d) -> add(x, c + d)", on="i", when=no_bools),
    Rule("add(add(x, c), d) -> add(x, c + d)", Exactness.FASTMATH, on="f", when=no_bools),
    Rule("mul(mul(x, c), d) -> mul(x, c * d)", on="i", when=no_bools),
    Rule("mul(mul(x, c), d) -> mul(x, c * d)", Exactness.FASTMATH, on="f", when=no_bools),
)
