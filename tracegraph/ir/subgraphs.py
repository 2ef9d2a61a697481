"""Graphs that graphs hold: the branches and loop bodies of control flow.

A node of kind CONTROL runs the graphs among its attributes, and says in `sizes` what the size symbols are that they
mention, in alphabetical order:

    %1: f32[s0] = cond(%p, %x, false_graph=graph false_fn(...) {...}, sizes=[s0], true_graph=graph true_fn(...) {...})

What is done to a graph as a whole (passes, planning, compilation) is done to these graphs too; `with_subgraphs` is
how. The graphs inside a fused node are not among them: they are parts of one kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tracegraph.dtypes import float32
from tracegraph.ir import dim as dims
from tracegraph.ir.builder import Rebuilder, rebuild
from tracegraph.ir.fused import free_symbols
from tracegraph.ir.graph import Graph, Node
from tracegraph.ir.interpreter import interpret
from tracegraph.ir.op import Kind
from tracegraph.ir.types import TensorType


class Body(Protocol):
    """A subgraph ready to run: arrays in, and the values of the size symbols; fresh arrays out."""

    @property
    def graph(self) -> Graph:
        """What it computes."""

    def __call__(self, inputs: Sequence[np.ndarray], sizes: Mapping[str, int]) -> Sequence[np.ndarray]: ...


@dataclass(frozen=True)
class Interpreted:
    """A subgraph run with the eager rules."""

    graph: Graph

    def __call__(self, inputs: Sequence[np.ndarray], sizes: Mapping[str, int]) -> Sequence[np.ndarray]:
        return [np.array(o, order="C") for o in interpret(self.graph, *inputs, sizes=sizes)]


def subgraphs(node: Node) -> dict[str, Graph]:
    """The graphs that a node of kind CONTROL runs, by attribute; no others have any."""
    if not node.is_call or node.call_op.kind is not Kind.CONTROL:
        return {}
    return {name: attr for name, attr in node.attrs.items() if isinstance(attr, Graph)}


def with_subgraphs(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """`graph` with `change` done to each subgraph of its nodes; `graph` itself if that changes none."""
    changed: dict[Node, dict[str, Graph]] = {}
    for node in graph.nodes:
        inner = subgraphs(node)
        after = {name: change(body) for name, body in inner.items()}
        if any(after[name] is not body for name, body in inner.items()):
            changed[node] = after
    if not changed:
        return graph

    def visit(rebuilder: Rebuilder, node: Node) -> bool:
        if node not in changed:
            return False
        rebuilder.builder.location = node.location
        attrs = {**node.attrs, **changed[node], "sizes": sizes_of(changed[node].values())}
        results = rebuilder.builder.call_all(node.call_op, *rebuilder.operands(node), **attrs)
        rebuilder.replace(node, *results)
        return True

    return rebuild(graph, visit)


def sizes_of(graphs: Iterable[Graph]) -> tuple[dims.Dim, ...]:
    """The attribute `sizes` of a node that runs `graphs`."""
    return tuple(dims.sym(s) for s in symbols_of(graphs))


def symbols_of(graphs: Iterable[Graph]) -> tuple[str, ...]:
    """The size symbols that any of the graphs mentions, in alphabetical order."""
    return tuple(sorted({s for graph in graphs for s in free_symbols(graph)}))


def with_sizes_shown(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """`graph` with a further input, an empty tensor f32[s0, 0], for every size symbol that no input shows; the symbols.

    A program reads its sizes off its inputs.
    """
    shown = {str(d) for p in graph.placeholders for d in p.type.shape}
    hidden = tuple(s for s in free_symbols(graph) if s not in shown)
    if not hidden:
        return graph, ()
    rebuilder = Rebuilder(graph)
    for placeholder in graph.placeholders:
        rebuilder.copy(placeholder.node)
    for symbol in hidden:
        rebuilder.builder.placeholder(TensorType(float32, (dims.sym(symbol), 0)))
    for node in graph.nodes:
        if node.op != "placeholder":
            rebuilder.copy(node)
    return rebuilder.graph, hidden
