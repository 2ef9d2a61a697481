"""Neutral and absorbing elements, copies and stops that mean nothing in a pure graph."""

from __future__ import annotations

from tracegraph.passes.rewrite import Exactness, Rule

RULES = (
    # x * 1 == x, x / 1 == x
    Rule("mul(x, 1) -> x"),
    Rule("div(x, 1) -> x"),
    # x + 0 == x, but -0.0 + 0.0 == 0.0; -0.0 is the neutral element of floats
    Rule("add(x, 0) -> x", on="bi"),
    Rule("add(x, 0) -> x", Exactness.FASTMATH, on="f"),
    Rule("add(x, -0.0) -> x", on="f"),
    # x - 0 == x, also for -0.0
    Rule("sub(x, 0) -> x"),
    # x * 0 == 0, but not for infinities and nan
    Rule("mul(x, 0) -> splat(0)", on="i"),
    Rule("mul(x, 0) -> splat(0)", Exactness.FASTMATH, on="f"),
    # x - x == 0, but not for infinities and nan
    Rule("sub(x, x) -> splat(0)", on="i"),
    Rule("sub(x, x) -> splat(0)", Exactness.FASTMATH, on="f"),
    # x / x == 1
    Rule("div(x, x) -> splat(1)", Exactness.FASTMATH, on="f"),
    # gradients are made and memory is not shared: these are what they copy
    Rule("detach(x) -> x"),
    Rule("no_grad_view(x) -> x"),
    Rule("with_history(x, y) -> x"),
    Rule("tensor_data(x) -> x"),
    Rule("copy_elements(x, y) -> y"),
    Rule("replace_elements(x, y) -> y"),
    Rule("clone(x) -> x"),
    # x & x == x, x | x == x, x ^ x == 0
    Rule("bitwise_and(x, x) -> x"),
    Rule("bitwise_or(x, x) -> x"),
    Rule("bitwise_xor(x, x) -> splat(0)", on="bi"),
    Rule("logical_and(x, x) -> x"),
    Rule("logical_or(x, x) -> x"),
    # max(x, x) == x
    Rule("maximum(x, x) -> x"),
    Rule("minimum(x, x) -> x"),
)
