"""Folding of views: chains of views, views that change nothing, views that broadcasting makes anyway."""

from __future__ import annotations

from tracegraph.ir import Graph, Node, Operand, Rebuilder, Value
from tracegraph.ir import dim as dims
from tracegraph.ir.index_math import simplify
from tracegraph.ops.kinds import Pointwise, View
from tracegraph.passes.operand_types import computes_alike
from tracegraph.passes.pass_manager import graph_pass


@graph_pass
def fold_views(graph: Graph) -> Graph:
    """Make one view of a chain of like views, drop views that show their operand as it is, and leave to pointwise
    ops the broadcasting they do by themselves.

        %0: f32[4, 2] = permute(%x, dims=[1, 0])
        %1: f32[2, 4] = permute(%0, dims=[1, 0])
        %2: f32[8] = view(%1, size=[8])                 %0: f32[4, 2] = view(%x, size=[4, 2])
        %3: f32[4, 2] = view(%2, size=[4, 2])     -->   %1: f32[4, 2] = mul(%0, %y)
        %4: f32[4, 2] = expand(%y, size=[4, 2])         return %1
        %5: f32[4, 2] = mul(%3, %4)
        return %5

    What becomes unused is left for `dce`.
    """
    if not any(isinstance(node.target, View) for node in graph.nodes):
        return graph
    folder = _Folder(graph)
    for node in graph.nodes:
        if isinstance(node.target, View):
            folder.view(node, node.target)
        elif isinstance(node.target, Pointwise):
            folder.pointwise(node, node.target)
        else:
            folder.rebuilder.copy(node)
    return folder.rebuilder.graph if folder.changed else graph


class _Folder:
    def __init__(self, graph: Graph) -> None:
        self.rebuilder = Rebuilder(graph)
        self.changed = False

    def view(self, node: Node, op: View) -> None:
        """Copy a view, as a view of the operand's operand if one call can say so."""
        self.rebuilder.builder.location = node.location
        operand, *others = self.rebuilder.operands(node)
        assert isinstance(operand, Value)
        attrs = dict(node.attrs)
        while operand.node.target is op:
            origin = operand.node.operands[0]
            composed = op.compose(origin.type.shape, operand.node.attrs, attrs)
            if composed is None:
                break
            operand, attrs = origin, composed
            self.changed = True
        result = self.rebuilder.builder.call(op, operand, *others, **attrs)
        same = _shown_whole(result)
        self.changed |= same is not None
        self.rebuilder.replace(node, result if same is None else same)

    def pointwise(self, node: Node, op: Pointwise) -> None:
        """Copy a pointwise call, its operands unexpanded where its own broadcasting does the same."""
        operands = self.rebuilder.operands(node)
        bare = operands
        for position, operand in enumerate(operands):
            tried = (*bare[:position], _unexpanded(operand), *bare[position + 1 :])
            if tried[position] is not operand and computes_alike(op, operands, tried, node.attrs):
                bare = tried
        if bare is operands:
            self.rebuilder.copy(node)
            return
        self.changed = True
        self.rebuilder.builder.location = node.location
        self.rebuilder.replace(node, self.rebuilder.builder.call(op, *bare, **node.attrs))


def _unexpanded(operand: Operand) -> Operand:
    while isinstance(operand, Value) and isinstance(operand.node.target, View) and operand.node.target.broadcasts:
        (operand,) = operand.node.operands
    return operand


def _shown_whole(view: Value) -> Value | None:
    """The value below a chain of views that the chain shows element by element as it is; None if there is none."""
    chain = _chain(view)
    candidates = [n for n, below in enumerate(chain) if below.type == view.type]
    if not candidates:
        return None
    index: tuple[dims.Dim, ...] = tuple(dims.sym(f"i{n}") for n in range(view.type.ndim))
    ranges = {f"i{n}": size for n, size in enumerate(view.type.shape)}
    position, above, found = index, view, None
    for n, below in enumerate(chain[: candidates[-1] + 1]):
        op = above.node.target
        assert isinstance(op, View)
        mapped = op.index_map(position, (below.type,), dict(above.node.attrs))
        position, above = tuple(simplify(i, ranges) for i in mapped), below
        if n in candidates and all(map(_same, position, index, view.type.shape)):
            found = below
    return found


def _chain(view: Value) -> list[Value]:
    """What a view is a view of, what that is a view of, and so on."""
    chain = []
    while isinstance(view.node.target, View):
        view = view.node.operands[0]
        chain.append(view)
    return chain


def _same(position: dims.Dim, index: dims.Dim, size: dims.Dim) -> bool:
    """Whether two positions along an axis are one; an axis of size 1 has only one."""
    return dims.same(position, index) or dims.same(size, 1)
