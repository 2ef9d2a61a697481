"""Constant folding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from tracegraph.errors import TracegraphError
from tracegraph.ir import Graph, Kind, Node, Operand, Rebuilder, TensorType, Value, lookup
from tracegraph.ir.dim import SymExpr
from tracegraph.ops.core.weak_numbers import wrapped
from tracegraph.ops.kinds import Pointwise
from tracegraph.ops.numerics.quiet import quiet
from tracegraph.passes.operand_types import computes_alike
from tracegraph.passes.pass_manager import graph_pass

PythonNumber: TypeAlias = bool | int | float

#: integers up to here are exact in every floating dtype that numbers are computed in
EXACT_INTEGERS = 2**24
#: sorts of parameters that take a number in the place of a tensor
_NUMBER_SORTS = ("Number", "OptionalNumber")


@graph_pass
def constant_fold(graph: Graph, size_limit: int = 4096) -> Graph:
    """Compute at compile time what depends on constants only, up to `size_limit` elements; where all elements of an
    operand are one number, use the number.

        %c0: f32[2] = constant([1.0, 2.0])                        %c0: f32[2] = constant([-1.0, -2.0])
        %0: f32[2] = neg(%c0)                                     %0: f32[2] = mul(%x, 3.0)
        %1: f32[2] = full(dtype=f32, fill_value=3.0, size=[2])    %1: f32[2] = add(%0, %c0)
        %2: f32[2] = mul(%x, %1)                            -->   return %1
        %3: f32[2] = add(%2, %0)
        return %3

    What becomes unused is left for `dce`. A call that raises an error is left to raise it when the graph runs.
    """
    if not any(isinstance(node.target, np.ndarray) or node.target is lookup("full") for node in graph.nodes):
        return graph
    folder = _Folder(graph, size_limit)
    for node in graph.nodes:
        folder.visit(node)
    return folder.rebuilder.graph if folder.changed else graph


class _Folder:
    """Rebuilds a graph; knows which of the new values are constant, and which are one number throughout."""

    def __init__(self, graph: Graph, size_limit: int) -> None:
        self.rebuilder = Rebuilder(graph)
        self.size_limit = size_limit
        self.changed = False
        self.numbers: dict[Value, PythonNumber] = {}

    def visit(self, node: Node) -> None:
        self.rebuilder.builder.location = node.location
        replaced = node.is_call and len(node.values) == 1 and node.is_pure and self.fold(node)
        self.changed |= replaced
        if not replaced:
            self.rebuilder.copy(node)
        if len(node.values) == 1:
            new = self.rebuilder.mapping[node.value]
            assert isinstance(new, Value)
            number = self.number_made_by(new.node)
            if number is not None:
                self.numbers[new] = number

    def fold(self, node: Node) -> bool:
        """Replace a call by what it gives, or its uniform operands by numbers; whether it was."""
        operands = self.rebuilder.operands(node)
        tensors = [o for o in operands if isinstance(o, Value)]
        if not tensors or node.call_op.kind is Kind.CONTROL:  # a loop may take any time
            return False
        if node.call_op.kind in (Kind.VIEW, Kind.POINTWISE) and all(t in self.numbers for t in tensors):
            return self.fold_uniform(node, operands)
        if all(isinstance(t.node.target, np.ndarray) for t in tensors):
            return self.fold_constant(node, operands)
        return self.use_numbers(node, operands)

    def fold_uniform(self, node: Node, operands: tuple[Operand, ...]) -> bool:
        """A view or pointwise call of uniform operands is uniform: compute one element of it."""
        if node.call_op.kind is Kind.VIEW:
            (operand,) = operands
            assert isinstance(operand, Value)
            number: PythonNumber = self.numbers[operand]
        else:
            # one element of as many dimensions, for type promotion to treat alike
            one = [
                np.full((1,) * o.type.ndim, self.numbers[o], o.type.dtype.np) if isinstance(o, Value) else o
                for o in operands
            ]
            if not _is_static(operands) or not _is_static(node.attrs):
                return False
            with quiet():
                number = _number(node.call_op.run(*one, **node.attrs)[0])
        self.rebuilder.replace(node, self.full(node.value.type, number))
        return True

    def full(self, type: TensorType, number: PythonNumber) -> Value:
        attrs = {"size": type.shape, "fill_value": wrapped(number, type.dtype), "dtype": type.dtype}
        return self.rebuilder.builder.call(lookup("full"), **attrs)

    def fold_constant(self, node: Node, operands: tuple[Operand, ...]) -> bool:
        """Run a call of constants, if the result is small enough."""
        size = node.value.type.numel
        static = _is_static(operands) and _is_static(node.attrs)
        if isinstance(size, SymExpr) or size > self.size_limit or not static:
            return False
        arrays = [o.node.target if isinstance(o, Value) else o for o in operands]
        try:
            with quiet():
                (result,) = node.call_op.run(*arrays, **node.attrs)
        except TracegraphError:
            return False
        self.rebuilder.replace(node, self.rebuilder.builder.constant(np.array(result, order="C")))
        return True

    def use_numbers(self, node: Node, operands: tuple[Operand, ...]) -> bool:
        """Let numbers stand for uniform operands, where that leaves the type of the result as it is."""
        op = node.target
        if not isinstance(op, Pointwise):
            return False
        given, changed = operands, False
        for position, (operand, parameter) in enumerate(zip(operands, op.binder.parameters, strict=False)):
            if not isinstance(operand, Value) or operand not in self.numbers or parameter.sort not in _NUMBER_SORTS:
                continue
            tried = (*operands[:position], self.numbers[operand], *operands[position + 1 :])
            if computes_alike(op, given, tried, node.attrs):
                operands, changed = tried, True
        if changed:
            self.rebuilder.replace(node, self.rebuilder.builder.call(op, *operands, **node.attrs))
        return changed

    def number_made_by(self, node: Node) -> PythonNumber | None:
        """The number that all elements of a constant or of a `full` are, if they are one and it is exact."""
        array = node.target
        if isinstance(array, np.ndarray):
            if not 0 < array.size <= self.size_limit or len(set(_element_bytes(array))) != 1:
                return None
            number = _number(array)
        elif array is lookup("full") and isinstance(node.attrs["fill_value"], PythonNumber):
            number = _number(np.full(1, node.attrs["fill_value"], node.value.type.dtype.np))
        else:
            return None
        return number if isinstance(number, float) or abs(number) <= EXACT_INTEGERS else None


def _number(array: np.ndarray) -> PythonNumber:
    """The first element."""
    number: PythonNumber = array.reshape(-1)[0].item()
    return number


def _element_bytes(array: np.ndarray) -> list[bytes]:
    """The elements as bytes: tells 0.0 from -0.0, and nan equals nan."""
    text, size = array.tobytes(), array.itemsize
    return [text[i : i + size] for i in range(0, len(text), size)]


def _is_static(values: object) -> bool:
    """Whether no symbolic size occurs in operands, attributes, or tuples of them."""
    if isinstance(values, Mapping):
        return all(map(_is_static, values.values()))
    if isinstance(values, tuple):
        return all(map(_is_static, values))
    return not isinstance(values, SymExpr)
