"""Reference semantics: run a graph node by node with the eager rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tracegraph.errors import DTypeError, IRError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.graph import Graph, Node, Operand, Value
from tracegraph.ir.types import TensorType
from tracegraph.ir.user_line import note_user_line


class Interpreter:
    """Runs a graph on numpy arrays; override `call` (or the method of another node kind) to observe or replace.

    Symbolic sizes are bound by the shapes of the inputs; `run` takes those that are not.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.environment: dict[Value, np.ndarray] = {}
        self.sizes: dict[str, int] = {}

    def run(self, *inputs: np.ndarray, sizes: Mapping[str, int] | None = None) -> tuple[object, ...]:
        """The outputs for these inputs.

        Raises:
            ShapeError: the number of inputs or the shape of one does not fit the placeholders.
            DTypeError: the dtype of one does not.
            Exception: whatever an op raises, with a note that gives the user's line.
        """
        placeholders = self.graph.placeholders
        if len(inputs) != len(placeholders):
            raise ShapeError(f"graph {self.graph.name} takes {len(placeholders)} inputs, got {len(inputs)}")
        types = [p.type for p in placeholders]
        self.sizes = bind_sizes(types, [np.shape(i) for i in inputs], sizes)
        for position, (type, array) in enumerate(zip(types, inputs, strict=True)):
            if array.dtype != type.dtype.np:
                raise DTypeError(f"input {position} has dtype {array.dtype}, the graph was built for {type}")
        self.environment = dict(zip(placeholders, inputs, strict=True))
        for node in self.graph.nodes:
            if node.op == "constant":
                self.environment[node.value] = self.constant(node)
            elif node.op == "call":
                try:
                    self.environment.update(zip(node.values, self.call(node), strict=True))
                except Exception as error:
                    note_user_line(error, node)
                    raise
        return tuple(self.operand(o) for o in self.graph.outputs)

    def constant(self, node: Node) -> np.ndarray:
        assert isinstance(node.target, np.ndarray)
        return node.target

    def call(self, node: Node) -> tuple[np.ndarray, ...]:
        attrs = {k: self.static(v) for k, v in node.attrs.items()}
        return node.call_op.run(*map(self.operand, node.args), **attrs)

    def operand(self, operand: Operand) -> object:
        return self.environment[operand] if isinstance(operand, Value) else self.static(operand)

    def static(self, attr: object) -> object:
        """An attribute with its symbolic sizes replaced by the sizes of this run."""
        return at_sizes(attr, self.sizes)


def at_sizes(attr: object, sizes: Mapping[str, int] | Mapping[str, Dim]) -> object:
    """An attribute or operand with its symbolic sizes replaced by `sizes`."""
    if isinstance(attr, SymExpr):
        return dims.evaluate(attr, sizes)
    if isinstance(attr, tuple):
        return tuple([at_sizes(a, sizes) for a in attr])
    return attr


def interpret(graph: Graph, *inputs: np.ndarray, sizes: Mapping[str, int] | None = None) -> tuple[object, ...]:
    """Run `graph` on numpy arrays with the eager rules: the reference every other execution is tested against."""
    return Interpreter(graph).run(*inputs, sizes=sizes)


def bind_sizes(
    types: Sequence[TensorType], shapes: Sequence[tuple[int, ...]], known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Values of the size symbols that make `types` fit `shapes`, among them those `known` already.

    Raises:
        ShapeError: a shape does not fit its type; the message names the input by position.
    """
    sizes: dict[str, int] = dict(known or {})
    for type, shape in zip(types, shapes, strict=True):
        for d, n in zip(type.shape, shape, strict=False):
            if isinstance(d, SymExpr) and len(d.terms) == 1 and (name := _plain_symbol(d)):
                sizes.setdefault(name, n)
    for position, (type, shape) in enumerate(zip(types, shapes, strict=True)):
        try:
            fits = len(type.shape) == len(shape) and all(
                dims.evaluate(d, sizes) == n for d, n in zip(type.shape, shape, strict=True)
            )
        except IRError:
            fits = False
        if not fits:
            raise ShapeError(f"input {position} has shape {list(shape)}, the graph was built for {type}")
    return sizes


def _plain_symbol(d: SymExpr) -> str | None:
    (monomial, coefficient), *_ = d.terms
    if coefficient == 1 and len(monomial) == 1 and monomial[0].fn == "sym":
        return str(monomial[0].args[0])
    return None
