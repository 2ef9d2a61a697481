"""Reads and writes of regions: what is left of in-place code once it is pure."""

from __future__ import annotations

from tracegraph.ops.indexing.index_algebra import are_disjoint, covers_all
from tracegraph.passes.rewrite import Bindings, Rule


def apart(bindings: Bindings) -> bool:
    """Whether the region read is not the region written."""
    return are_disjoint(bindings["p"], bindings["q"])


def writes_all(bindings: Bindings) -> bool:
    """Whether no element of the tensor written to is left."""
    return covers_all(bindings["x"].type.shape, bindings["p"])


RULES = (
    # reading what was written, or what was left as it was
    Rule("basic_index(basic_index_scatter(x, y, index=p), index=p) -> y"),
    Rule("basic_index(basic_index_scatter(x, y, index=p), index=q) -> basic_index(x, index=q)", when=apart),
    # writing what is there; writing twice; writing everything
    Rule("basic_index_scatter(x, basic_index(x, index=p), index=p) -> x"),
    Rule("basic_index_scatter(basic_index_scatter(x, y, index=p), z, index=p) -> basic_index_scatter(x, z, index=p)"),
    Rule("basic_index_scatter(x, y, index=p) -> reshaped(y)", when=writes_all),
)
