"""Choices between elements, and truth values."""

from __future__ import annotations

from tracegraph.passes.rewrite import Bindings, Rule


def of_integers(bindings: Bindings) -> bool:
    """Whether two tensors are compared that hold no nan."""
    return all(not bindings[name].type.dtype.is_floating for name in "xy")


RULES = (
    # both cases alike
    Rule("where(w, x, x) -> x"),
    # a negated condition exchanges the cases
    Rule("where(logical_not(w), a, b) -> where(w, b, a)", when=lambda b: b["w"].type.dtype.is_bool),
    # masked_fill is a choice, too
    Rule("masked_fill(x, w, a) -> where(w, a, x)"),
    # not (x == y) is x != y, also for nan; orders are only total without nan
    Rule("logical_not(eq(a, b)) -> ne(a, b)"),
    Rule("logical_not(ne(a, b)) -> eq(a, b)"),
    Rule("logical_not(lt(x, y)) -> ge(x, y)", when=of_integers),
    Rule("logical_not(le(x, y)) -> gt(x, y)", when=of_integers),
    Rule("logical_not(gt(x, y)) -> le(x, y)", when=of_integers),
    Rule("logical_not(ge(x, y)) -> lt(x, y)", when=of_integers),
)
