"""Powers and roots, exponentials and logarithms."""

from __future__ import annotations

from tracegraph.ir import Value
from tracegraph.passes.rewrite import Bindings, Exactness, Rule


def single_rounding(bindings: Bindings) -> bool:
    """Whether the dtype is computed in itself: 16-bit floats round after every op, so two ops are not one."""
    x = bindings["x"]
    return isinstance(x, Value) and x.type.dtype.compute is x.type.dtype


RULES = (
    # x^0 == 1, also for nan; x^1 == x, x^2 == x * x, x^3 == x * x * x
    Rule("pow(x, 0) -> splat(1)"),
    Rule("pow(x, 1) -> x"),
    Rule("pow(x, 2) -> square(x)", Exactness.ROUNDED),
    Rule("pow(x, 3) -> mul(square(x), x)", Exactness.ROUNDED, when=single_rounding),
    # x^-1 == 1 / x
    Rule("pow(x, -1) -> reciprocal(x)", Exactness.ROUNDED, on="f"),
    # x^(1/2) == sqrt(x), but for -0.0 and -inf
    Rule("pow(x, 0.5) -> sqrt(x)", Exactness.FASTMATH, on="f"),
    Rule("pow(x, -0.5) -> rsqrt(x)", Exactness.FASTMATH, on="f"),
    # 1 / sqrt(x) rounded once rather than twice
    Rule("reciprocal(sqrt(x)) -> rsqrt(x)", Exactness.ROUNDED, when=single_rounding),
    Rule("div(1, sqrt(x)) -> rsqrt(x)", Exactness.ROUNDED, when=single_rounding),
    Rule("div(1, x) -> reciprocal(x)", on="f"),
    # a / sqrt(x) == a * rsqrt(x)
    Rule("div(a, sqrt(x)) -> mul(a, rsqrt(x))", Exactness.FASTMATH, on="f"),
    Rule("mul(sqrt(x), sqrt(x)) -> x", Exactness.FASTMATH, on="f"),
    # exp and log undo each other up to rounding, where defined
    Rule("exp(log(x)) -> x", Exactness.FASTMATH, on="f"),
    Rule("log(exp(x)) -> x", Exactness.FASTMATH, on="f"),
    # e^x * e^y == e^(x + y)
    Rule("mul(exp(x), exp(y)) -> exp(add(x, y))", Exactness.FASTMATH, on="f"),
)
