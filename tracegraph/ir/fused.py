"""The `fused` op: a small graph as one node, to be executed as one kernel.

    %2: f32[s0, 64], %3: f32[s0] = fused(%x, %w, body=graph body(...) {...}, loops=[s0, 64], reduced=[1],
                                         sizes=[s0], stores=[[0, 1], [0]])

`loops`, `reduced` and `stores` say how (see `loop_nest`); a body around a scatter or a scan has none of them, its
loops are those of the rule. `sizes` are the values of the size symbols that the body mentions, in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegraph.errors import IRError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.interpreter import interpret
from tracegraph.ir.loop_nest import Nest
from tracegraph.ir.op import Kind, Op, register
from tracegraph.ir.types import TensorType


class Fused(Op):
    """A graph executed as one kernel; its meaning is that of its body."""

    name = "fused"
    kind = Kind.FUSED

    def check_call(self, operands: Sequence[object], attrs: Mapping[str, object]) -> None:
        if not isinstance(attrs.get("body"), Graph):
            raise IRError("fused: the attribute 'body' must be a graph")

    def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
        """The types of the body's outputs.

        Raises:
            IRError: the operands are not what the body takes, or the attributes do not describe its loops.
        """
        body = attrs["body"]
        assert isinstance(body, Graph)
        expected = tuple(p.type for p in body.placeholders)
        if operands != expected:
            raise IRError(f"fused: the body takes ({_listed(expected)}), got ({_listed(operands)})")
        results = tuple(v.type for v in body.outputs if isinstance(v, Value))
        if len(results) != len(body.outputs):
            raise IRError("fused: every output of the body must be a value")
        if nest := nest_attributes(attrs):
            _check_stores(nest, results)
        return results

    def run(self, *operands: object, **attrs: object) -> tuple[np.ndarray, ...]:
        body, sizes = attrs["body"], attrs["sizes"]
        assert isinstance(body, Graph) and isinstance(sizes, tuple)
        inputs = [np.asarray(o) for o in operands]
        binding = dict(zip(free_symbols(body), sizes, strict=True))
        return tuple(np.asarray(r) for r in interpret(body, *inputs, sizes=binding))


FUSED = register(Fused())


def nest_attributes(attrs: Mapping[str, Any]) -> Nest | None:
    """The nest a fused node describes; None for a scatter or a scan."""
    if "stores" not in attrs:
        return None
    return Nest(attrs["loops"], attrs["reduced"], attrs["stores"])


def fused_attributes(body: Graph, nest: Nest | None) -> dict[str, object]:
    """The attributes of a fused node."""
    attrs: dict[str, object] = {"body": body, "sizes": tuple(dims.sym(s) for s in free_symbols(body))}
    if nest is not None:
        attrs |= {"loops": nest.loops, "reduced": nest.reduced, "stores": nest.stores}
    return attrs


def free_symbols(body: Graph) -> tuple[str, ...]:
    """The size symbols a graph mentions, in alphabetical order."""
    found: set[str] = set()
    for node in body.nodes:
        found |= node_symbols(node)
    return tuple(sorted(found))


def node_symbols(node: Node) -> set[str]:
    """The size symbols in the types, operands and attributes of a node."""
    found = {s for v in node.values for d in v.type.shape for s in dims.symbols(d)}
    found |= {s for a in node.args if not isinstance(a, Value) for s in dims.symbols(a)}
    for attr in node.attrs.values():
        found |= _attribute_symbols(attr)
    return found


def _attribute_symbols(attr: object) -> set[str]:
    if isinstance(attr, tuple):
        return {s for item in attr for s in _attribute_symbols(item)}
    return dims.symbols(attr)


def _check_stores(nest: Nest, results: Sequence[TensorType]) -> None:
    if len(nest.stores) != len(results):
        raise IRError(f"fused: {len(nest.stores)} stores for {len(results)} results")
    for store, type in zip(nest.stores, results, strict=True):
        sizes: tuple[Dim, ...] = tuple(nest.loops[n] if n >= 0 else 1 for n in store)
        if not dims.same_shape(sizes, type.shape):
            raise IRError(f"fused: a result {type} cannot be stored at loops {store} of {nest.loops}")


def _listed(types: Sequence[object]) -> str:
    return ", ".join(map(str, types))
