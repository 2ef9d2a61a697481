"""Reductions of one element each, and the sizes of 1 that reductions leave."""

from __future__ import annotations

from tracegraph.ir import dim as dims
from tracegraph.passes.rewrite import Bindings, Exactness, Rule


def of_single_elements(bindings: Bindings) -> bool:
    """Whether every dimension reduced, `p`, has size 1."""
    shape, reduced = bindings["x"].type.shape, bindings["p"]
    # a 0-d tensor reduces over "dimension 0", as in PyTorch
    return all(dims.same(d, 1) for i, d in enumerate(shape) if reduced is None or i in reduced)


RULES = (
    # sizes of 1 kept only to be dropped; the type of the replacement shows that nothing else is reshaped
    Rule("view(sum(x, dim=p, keepdim=True), size=r) -> sum(x, dim=p, keepdim=False)"),
    Rule("view(sum(x, dim=p, keepdim=True, dtype=q), size=r) -> sum(x, dim=p, keepdim=False, dtype=q)"),
    Rule("view(mean(x, dim=p, keepdim=True), size=r) -> mean(x, dim=p, keepdim=False)"),
    # the product and the extremes of one element are the element
    Rule("prod(x, dim=p, keepdim=q) -> reshaped(x)", when=of_single_elements),
    Rule("prod(x, dim=p, keepdim=q, dtype=r) -> reshaped(x)", when=of_single_elements),
    Rule("amax(x, dim=p, keepdim=q) -> reshaped(x)", when=of_single_elements),
    Rule("amin(x, dim=p, keepdim=q) -> reshaped(x)", when=of_single_elements),
    # so is the sum, but the sum of -0.0 alone is 0.0
    Rule("sum(x, dim=p, keepdim=q) -> reshaped(x)", on="i", when=of_single_elements),
    Rule("sum(x, dim=p, keepdim=q) -> reshaped(x)", Exactness.FASTMATH, on="f", when=of_single_elements),
    Rule("sum(x, dim=p, keepdim=q, dtype=r) -> reshaped(x)", on="i", when=of_single_elements),
    Rule("sum(x, dim=p, keepdim=q, dtype=r) -> reshaped(x)", Exactness.FASTMATH, on="f", when=of_single_elements),
    Rule("mean(x, dim=p, keepdim=q) -> reshaped(x)", Exactness.FASTMATH, on="f", when=of_single_elements),
)
