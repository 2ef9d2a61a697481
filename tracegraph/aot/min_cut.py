"""The partitioner that weighs saving against computing again, by a minimum cut.

Every value that the inputs determine is an edge, from "known in forward" to "known in backward". Cutting the edge
means to save the value and costs the traffic of writing and reading it. What backward computes again lies wholly on
its side of the cut; for that, an edge from the source is cut, which costs the work. Values that must not be computed
again are tied to the source, values that backward reads to the sink. (Jain et al., Checkmate, 2020, and the
recomputation in PyTorch's partitioner pose the problem alike.)

Forward computes some values only because backward reads them; computing those in backward instead costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from tracegraph.aot.dataflow import memory_of, needed
from tracegraph.aot.joint import Joint
from tracegraph.aot.partition import Partition, cut
from tracegraph.ir import Kind, Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ops.core.definition import Definition

#: work that takes as long as moving one byte between memory and core
FLOPS_PER_BYTE = 2.0
#: example size of a symbol of which none is known
TYPICAL_SIZE = 64
#: kinds whose work per result element grows with the operand: they read all of it
_READS_ALL = (Kind.REDUCTION, Kind.SCAN, Kind.SCATTER, Kind.WINDOWED)


def partition_min_cut(
    joint: Joint,
    written: frozenset[int] = frozenset(),
    lasting: frozenset[int] = frozenset(),
    sizes: Mapping[str, int] | None = None,
) -> Partition:
    """Cut `joint` so that saving and computing again together cost least.

    Args:
        written: positions of the inputs that are written to after the forward graph has run.
        lasting: positions of the inputs that outlive backward in any case.
        sizes: example values of size symbols.
    """
    problem = _CutProblem(joint, sizes or {})
    return cut(joint, problem.solve(), written, lasting)


class _CutProblem:
    """The flow network of a joint graph, and what a cut of it means."""

    def __init__(self, joint: Joint, sizes: Mapping[str, int]) -> None:
        self.joint = joint
        self.sizes = sizes
        self.forward = needed(joint.results, joint.graph)
        self.wanted = self.values_wanted()
        self.region = {
            v for node in needed(tuple(self.wanted), joint.graph) if node.op != "constant" for v in node.values
        }
        self.network = nx.DiGraph()

    def values_wanted(self) -> set[Value]:
        """What the part of backward that depends on cotangents reads of the part that does not."""
        dependent: set[Value] = set(self.joint.cotangents)
        wanted = {g for g in self.joint.gradients if isinstance(g, Value)}
        used = needed(self.joint.gradients, self.joint.graph)
        for node in self.joint.graph.nodes:
            if not dependent.isdisjoint(node.operands):
                dependent.update(node.values)
                if node in used:
                    wanted.update(node.operands)
        return wanted - dependent

    def solve(self) -> list[Value]:
        """The values to save, in the order of the graph."""
        for value in self.region:
            self.add(value)
        if "source" not in self.network or "sink" not in self.network:
            return []
        _, (known, _) = nx.minimum_cut(self.network, "source", "sink")
        in_order = (v for node in self.joint.graph.nodes for v in node.values if v in self.region)
        return [v for v in in_order if (v, "out") not in known and (self.is_fixed(v.node) or (v, "in") in known)]

    def add(self, value: Value) -> None:
        """The edges of one value: saving it, computing it again, the operands needed for that, reading it."""
        node = value.node
        out = (value, "out")
        if self.is_fixed(node):
            self.network.add_edge("source", out, capacity=self.saving_cost(value))
        else:
            self.network.add_edge((value, "in"), out, capacity=self.saving_cost(value))
            self.network.add_edge("source", (value, "in"), capacity=self.computing_cost(value))
            for operand in node.operands:
                if operand in self.region:
                    self.network.add_edge((operand, "out"), (value, "in"))
        if value in self.wanted:
            self.network.add_edge(out, "sink")

    def is_fixed(self, node: Node) -> bool:
        """Whether a node cannot or must not be computed in backward: inputs, and products of matrices."""
        if node.op == "placeholder":
            return True
        op = node.call_op
        cost = op.recompute_cost if isinstance(op, Definition) else float("inf")
        return node in self.forward and (op.kind is Kind.CONTRACTION or cost == float("inf"))

    def saving_cost(self, value: Value) -> int:
        """Traffic in flops. An input is only read again; a computed value is also written, a view copied for that."""
        transfers = 1 if value.node.op == "placeholder" else 2
        cost = transfers * self.elements(value) * value.type.dtype.itemsize * FLOPS_PER_BYTE
        is_view = memory_of(value) is not value
        return round(cost) + is_view

    def computing_cost(self, value: Value) -> int:
        """Work in flops to compute a value again; none if forward does not compute it anyway."""
        node = value.node
        if node not in self.forward or node.call_op.kind is Kind.VIEW:
            return 0
        op = node.call_op
        assert isinstance(op, Definition)
        elements = self.elements(value)
        if op.kind in _READS_ALL:
            elements = max(elements, *map(self.elements, node.operands))
        return round(op.recompute_cost * elements / len(node.values))

    def elements(self, value: Value) -> int:
        count = value.type.numel
        return int(dims.evaluate(count, dict.fromkeys(dims.symbols(count), TYPICAL_SIZE) | dict(self.sizes)))
