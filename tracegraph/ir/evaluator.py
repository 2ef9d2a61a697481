"""Evaluating a graph element by element: the rules of its ops, run on demand with a scalar handler.

`Evaluator.at(value, index)` is the scalar of `value` at `index`. It runs the element rule of the op that makes the
value, whose loads ask for elements of the operands in turn; so a whole chain of pointwise ops, views and gathers
becomes one scalar expression. With a recording handler the expression becomes loop statements, with a `Probe` it is
only measured. What is not an element rule (a placeholder, a reduction) is read through `read`, or must have been
`remember`ed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from tracegraph.errors import IRError
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.graph import Node, Value
from tracegraph.ir.index_math import Simplifier
from tracegraph.ir.node_rules import element
from tracegraph.ir.rules import Rule, Scalar, rule_of

Position: TypeAlias = tuple[Dim, ...]
#: (value, index, mask, fill) -> scalar
Read: TypeAlias = Callable[[Value, Position, Scalar | None, Any], Scalar]


class Evaluator:
    """Runs rules on demand.

    Args:
        handler: the scalar handler; its `mask` is the condition under which the current element is needed.
        read: supplies elements of placeholders.
        ranges: extents of the loop variables and data-dependent indices.
    """

    def __init__(self, handler: Any, read: Read, ranges: Mapping[str, Dim]) -> None:
        self.handler = handler
        self.read = read
        self.simplify = Simplifier(ranges)
        self._scopes: list[dict[tuple[object, ...], Scalar]] = [{}]

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Scalars made inside the block are forgotten at its end, as a loop body's are."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    def remember(self, value: Value, index: Position, scalar: Scalar) -> None:
        """Let `value` at `index` be `scalar` in the current scope."""
        self._scopes[-1][self._key(value, self.position(value, index))] = scalar

    def position(self, value: Value, index: Position) -> Position:
        """`index` simplified; an axis of size 1 has only the position 0."""
        return tuple(
            0 if isinstance(d, int) and d == 1 else self.simplify(i)
            for i, d in zip(index, value.type.shape, strict=True)
        )

    def at(self, value: Value, index: Position, mask: Scalar | None = None, fill: Any = 0) -> Scalar:
        """The element of `value` at `index`; where `mask` is false, `fill`, and nothing is read.

        Raises:
            IRError: the op has no element rule and the element was not remembered.
        """
        position = self.position(value, index)
        found = self._find(self._key(value, position))
        if found is None:
            found = self._make(value, position, mask, fill)
            if mask is None and self.handler.mask is None:
                self._scopes[-1][self._key(value, position)] = found
            return found
        if mask is None:
            return found
        return self.handler.where(mask, found, self.handler.const(fill, value.type.dtype))

    def _make(self, value: Value, index: Position, mask: Scalar | None, fill: Any) -> Scalar:
        k = self.handler
        outer = k.mask
        both = mask if outer is None else outer if mask is None else outer & mask
        if value.node.op == "constant":
            found = self._constant(value.node, index, both)
        elif value.node.op == "placeholder":
            return self.read(value, index, both, fill)
        else:
            k.mask = both
            try:
                found = self.apply(value.node, index)
            finally:
                k.mask = outer
        return found if mask is None else k.where(mask, found, k.const(fill, value.type.dtype))

    def _constant(self, node: Node, index: Position, mask: Scalar | None) -> Scalar:
        array = node.target
        assert isinstance(array, np.ndarray)
        if array.size != 1:
            return self.read(node.value, index, mask, 0)
        return self.handler.const(array.reshape(()).item(), node.value.type.dtype)

    def apply(self, node: Node, index: Position) -> Scalar:
        """The element rule of `node` at `index`."""
        op = node.call_op
        if rule_of(op) is not Rule.ELEMENT:
            raise IRError(f"{op.name} has no element rule; its elements cannot be computed one by one")
        return element(node, self.handler, self.loader(node), index)

    def loader(self, node: Node) -> Callable[..., Scalar]:
        """The `load` a rule of `node` is given."""

        def load(operand: int, index: Position, mask: Scalar | None = None, fill: Any = 0) -> Scalar:
            source = node.args[operand]
            if not isinstance(source, Value):
                raise IRError(f"{node.call_op.name}: operand {operand} is {source!r}, of which nothing can be loaded")
            return self.at(source, index, mask, fill)

        return load

    def _find(self, key: tuple[object, ...]) -> Scalar | None:
        return next((scope[key] for scope in reversed(self._scopes) if key in scope), None)

    @staticmethod
    def _key(value: Value, index: Position) -> tuple[object, ...]:
        # comparing sizes would ask for a decision, comparing their terms does not
        return value, *(i.terms if isinstance(i, SymExpr) else i for i in index)
