"""Graph, Node and Value: the intermediate representation, with the surface that FX users know.

A `Graph` is an ordered list of `Node`s of four kinds: `placeholder`, `constant`, `call` and one `output`. A node
produces `Value`s, each with an inferred type. Only the builder creates nodes; passes rebuild a graph rather than
change it, so a fact stored here cannot go stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, cast

import numpy as np

from tracegraph.ir.dim import SymExpr
from tracegraph.ir.op import Op
from tracegraph.ir.types import TensorType


class Role(Enum):
    """What a placeholder stands for."""

    PRIMAL = "primal"
    COTANGENT = "cotangent"
    PARAMETER = "parameter"
    BUFFER = "buffer"
    SAVED = "saved"
    RNG_KEY = "rng_key"


@dataclass(frozen=True)
class Location:
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


class Value:
    """One result of a node. Identity is equality."""

    __slots__ = ("index", "node", "type", "users")

    def __init__(self, node: Node, index: int, type: TensorType) -> None:
        self.node = node
        self.index = index
        self.type = type
        self.users: dict[Node, None] = {}

    @property
    def role(self) -> Role | None:
        return self.node.role

    @property
    def dtype(self) -> object:
        return self.type.dtype

    @property
    def shape(self) -> tuple:
        return self.type.shape

    def __repr__(self) -> str:
        from tracegraph.ir.printer import value_names

        return f"{value_names(self.node.graph)[self]}: {self.type}"


Operand: TypeAlias = Value | int | float | bool | SymExpr | None
Attrs: TypeAlias = Mapping[str, object]


class Node:
    """One step of a graph; `op` names its kind, `target` the operation of a call."""

    __slots__ = ("args", "attrs", "graph", "location", "name", "op", "role", "target", "values")

    def __init__(
        self,
        graph: Graph,
        op: str,
        target: Op | str | np.ndarray | None,
        args: tuple[Operand, ...],
        attrs: Attrs,
        types: tuple[TensorType, ...],
        *,
        name: str = "",
        role: Role | None = None,
        location: Location | None = None,
    ) -> None:
        self.graph = graph
        self.op = op
        self.target = target
        self.args = args
        self.attrs = attrs
        self.name = name
        self.role = role
        self.location = location
        self.values = tuple([Value(self, i, t) for i, t in enumerate(types)])

    @property
    def kwargs(self) -> Attrs:
        """FX's name for the attributes."""
        return self.attrs

    @property
    def value(self) -> Value:
        """The only result of a node that has one."""
        (value,) = self.values
        return value

    @property
    def operands(self) -> tuple[Value, ...]:
        """The Values among the arguments, in order, repeated as often as they occur."""
        return tuple([a for a in self.args if isinstance(a, Value)])

    @property
    def users(self) -> dict[Node, None]:
        """Nodes that use any result of this one, in graph order."""
        return {user: None for value in self.values for user in value.users}

    @property
    def call_op(self) -> Op:
        """The operation of a call node."""
        assert self.op == "call", f"node {self.op} has no operation"
        return cast(Op, self.target)

    @property
    def is_call(self) -> bool:
        return self.op == "call"

    @property
    def is_pure(self) -> bool:
        return self.op != "call" or self.call_op.is_pure

    @property
    def may_raise(self) -> bool:
        """Whether elements of its operands can make the node fail."""
        if self.op != "call":
            return False
        return self.call_op.may_raise([a.type if isinstance(a, Value) else a for a in self.args], self.attrs)

    def __repr__(self) -> str:
        from tracegraph.ir.printer import print_node

        return print_node(self)


class Graph:
    """An ordered list of nodes: placeholders first, one output last."""

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.nodes: list[Node] = []

    @property
    def placeholders(self) -> tuple[Value, ...]:
        return tuple(n.value for n in self.nodes if n.op == "placeholder")

    @property
    def constants(self) -> tuple[Value, ...]:
        return tuple(n.value for n in self.nodes if n.op == "constant")

    @property
    def calls(self) -> Iterator[Node]:
        """The call nodes, in order."""
        return (n for n in self.nodes if n.op == "call")

    @property
    def output_node(self) -> Node:
        assert self.nodes and self.nodes[-1].op == "output", f"graph {self.name} has no output yet"
        return self.nodes[-1]

    @property
    def outputs(self) -> tuple[Operand, ...]:
        return self.output_node.args

    def print_tabular(self) -> None:
        """Print one line a node: opcode, name, target, arguments, attributes."""
        from tracegraph.ir.printer import tabular

        print(tabular(self))

    def lint(self) -> None:
        """Verify every invariant (FX's name for `ir.verify`)."""
        from tracegraph.ir.verifier import verify

        verify(self)

    def __str__(self) -> str:
        from tracegraph.ir.printer import print_graph

        return print_graph(self)
