"""The only maker of nodes: appends to a graph, infers every type, keeps use lists right."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import IRError, UndecidableError
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.graph import Graph, Location, Node, Operand, Role, Value
from tracegraph.ir.op import Op
from tracegraph.ir.types import TensorType
from tracegraph.ir.undecided import name_operands
from tracegraph.ir.user_line import note_location


class Builder:
    """Appends nodes to a new graph.

    Example:
        b = Builder("double")
        x = b.placeholder(TensorType(float32, (4,)), name="x")
        graph = b.output(b.call(lookup("add"), x, x))
    """

    def __init__(self, name: str = "graph") -> None:
        self.graph = Graph(name)
        #: location given to nodes made from now on
        self.location: Location | None = None
        self._finished = False

    def placeholder(self, type: TensorType, name: str = "", role: Role | None = None) -> Value:
        """A new input, after the inputs made so far (placeholders stay first in the node list)."""
        node = Node(self.graph, "placeholder", name, (), {}, (type,), name=name, role=role, location=self.location)
        position = next((i for i, n in enumerate(self.graph.nodes) if n.op != "placeholder"), len(self.graph.nodes))
        self._check_open()
        self.graph.nodes.insert(position, node)
        return node.value

    def constant(self, array: np.ndarray, name: str = "") -> Value:
        """A tensor known at compile time. The array is not copied and must not change afterwards."""
        type = TensorType(dtypes.from_numpy(array.dtype), array.shape)
        return self._append(Node(self.graph, "constant", array, (), {}, (type,), name=name)).value

    def call(self, op: Op, *operands: Operand, **attrs: object) -> Value:
        """Append a call with one result."""
        values = self.call_all(op, *operands, **attrs)
        if len(values) != 1:
            raise IRError(f"{op.name} has {len(values)} results; use call_all")
        return values[0]

    def call_all(self, op: Op, *operands: Operand, **attrs: object) -> tuple[Value, ...]:
        """Append a call; all its results.

        Raises:
            IRError: an operand belongs to another graph or is no operand at all.
            ShapeError, DTypeError, ArgumentError: from the op's inference.
        """
        for operand in operands:
            self._check_operand(op, operand)
        try:
            types = op.infer(*(o.type if isinstance(o, Value) else o for o in operands), **attrs)
        except UndecidableError as error:
            name_operands(error, op.name, operands)
            note_location(error, self.location)
            raise
        node = Node(self.graph, "call", op, operands, attrs, types, location=self.location)
        return self._append(node).values

    def call_again(self, node: Node, operands: tuple[Operand, ...]) -> tuple[Value, ...]:
        """Append the call that `node` makes, of any graph, with other operands; all its results.

        Types follow from the operands' types and the attributes, so where those types are the old ones nothing is
        inferred again.
        """
        graph, same_types = self.graph, True
        for new, old in zip(operands, node.args, strict=True):
            if isinstance(new, Value) and new.node.graph is graph:
                same_types = same_types and isinstance(old, Value) and (new.type is old.type or new.type == old.type)
            else:
                self._check_operand(node.call_op, new)
                # another object may be an equal number of another type
                same_types = same_types and new is old
        if not same_types:
            return self.call_all(node.call_op, *operands, **node.attrs)
        types = tuple([v.type for v in node.values])
        again = Node(self.graph, "call", node.target, operands, node.attrs, types, location=self.location)
        return self._append(again).values

    def retract(self, nodes: Iterable[Node]) -> None:
        """Take calls back, the last ones that were made, which nothing uses but one another."""
        taken = set(nodes)
        self._check_open()
        self.graph.nodes[:] = [n for n in self.graph.nodes if n not in taken]
        elsewhere = Graph(f"what {self.graph.name} has taken back")
        for node in taken:
            node.graph = elsewhere  # whoever uses a result by mistake is told
            for operand in node.operands:
                operand.users.pop(node, None)

    def output(self, *values: Operand) -> Graph:
        """Close the graph with its results; the builder takes no more nodes."""
        for value in values:
            self._check_operand(None, value)
        self._append(Node(self.graph, "output", None, values, {}, ()))
        self._finished = True
        return self.graph

    def _append(self, node: Node) -> Node:
        self._check_open()
        self.graph.nodes.append(node)
        for operand in node.operands:
            operand.users[node] = None
        return node

    def _check_open(self) -> None:
        if self._finished:
            raise IRError(f"graph {self.graph.name} is finished: its output has been set")

    def _check_operand(self, op: Op | None, operand: object) -> None:
        if isinstance(operand, Value) and operand.node.graph is self.graph:
            return
        where = f"operand of {op.name}" if op else "output"
        if isinstance(operand, Value):
            if operand.node.graph is not self.graph:
                raise IRError(f"{where}: {operand!r} belongs to graph {operand.node.graph.name}, not {self.graph.name}")
        elif operand is not None and not isinstance(operand, int | float | bool | SymExpr):
            raise IRError(f"{where}: {operand!r} is neither a Value nor a number")


class Rebuilder:
    """Copies a graph node by node into a new one, letting a pass replace, drop or insert on the way.

    `mapping` takes old Values to operands of the new graph. `skip` nodes by simply not copying them: a later use of
    an unmapped Value is an error that names it.
    """

    def __init__(self, source: Graph, name: str | None = None) -> None:
        self.source = source
        self.builder = Builder(source.name if name is None else name)
        self.mapping: dict[Value, Operand] = {}

    def operand(self, old: Operand) -> Operand:
        """The new counterpart of an old operand."""
        if not isinstance(old, Value):
            return old
        try:
            return self.mapping[old]
        except KeyError:
            raise IRError(f"{old!r} is used but was dropped from {self.source.name}") from None

    def operands(self, node: Node) -> tuple[Operand, ...]:
        return tuple([self.operand(a) for a in node.args])

    def copy(self, node: Node) -> None:
        """Copy `node` as it stands, with its operands mapped."""
        self.builder.location = node.location
        if node.op == "placeholder":
            new: Iterable[Operand] = (self.builder.placeholder(node.value.type, node.name, node.role),)
        elif node.op == "constant":
            assert isinstance(node.target, np.ndarray)
            new = (self.builder.constant(node.target, node.name),)
        elif node.op == "call":
            new = self.builder.call_again(node, self.operands(node))
        else:
            self.builder.output(*self.operands(node))
            return
        self.replace(node, *new)

    def replace(self, node: Node, *new: Operand) -> None:
        """Let the results of `node` be `new` from here on."""
        if len(new) != len(node.values):
            raise IRError(f"{len(new)} replacements for the {len(node.values)} results of {node!r}")
        self.mapping.update(zip(node.values, new, strict=True))

    @property
    def graph(self) -> Graph:
        return self.builder.graph


def rebuild(graph: Graph, visit: Callable[[Rebuilder, Node], bool]) -> Graph:
    """Copy `graph`, asking `visit(rebuilder, node)` at each node; it returns True if it dealt with the node itself."""
    rebuilder = Rebuilder(graph)
    for node in graph.nodes:
        if not visit(rebuilder, node):
            rebuilder.copy(node)
    return rebuilder.graph
