"""The loop rules of ops, run element by element with the numpy handler, against their eager rules.

The code generator reads the same rules; what fails here is wrong in the op, not in the compiler.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from agreement import assert_agree
from op_cases import all_ops, cases_of, type_of

from tracegraph.errors import IndexRangeError
from tracegraph.ir import Interpreter, Node
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ops.numerics.scalar import NumpyScalars, cast_array

# what a result element costs here is Python; larger results say nothing new
LIMIT = 80

RULED = [op for op in all_ops() if rule_of(op) in (Rule.ELEMENT, Rule.SCATTER, Rule.REDUCE)]


class Handler(NumpyScalars):
    """What a rule asks for beyond arithmetic: indices as scalars and back."""

    def index_scalar(self, index: Any) -> np.int64:
        return np.int64(index)

    def as_index(self, x: Any, size: int, message: str) -> int:
        if not 0 <= x < size:
            raise IndexRangeError(message)
        return int(x)


class Loads:
    """The `load` of a rule: reads operands, and refuses to read outside them."""

    def __init__(self, operands: tuple[Any, ...]) -> None:
        self.operands = operands

    def __call__(self, operand: int, index: tuple[Any, ...], mask: Any = None, fill: Any = 0) -> Any:
        array = np.asarray(self.operands[operand])
        if mask is not None and not mask:
            return np.asarray(fill).astype(array.dtype)[()]
        assert len(index) == array.ndim
        assert all(0 <= i < n for i, n in zip(index, array.shape, strict=True)), (index, array.shape)
        return array[tuple(map(int, index))]


def run_rule(node: Node, operands: tuple[Any, ...]) -> np.ndarray:
    """The result of a call by its loop rule."""
    op: Any = node.call_op
    (result,) = node.values
    types = tuple(type_of(o) if isinstance(o, np.ndarray) else o for o in operands)
    attrs = dict(node.attrs)
    k, load = Handler(), Loads(operands)
    shape = tuple(map(int, result.shape))
    if rule_of(op) is Rule.SCATTER:
        return run_scatter(op.scatter(types, attrs), k, load, operands, result)
    out = np.empty(shape, result.type.dtype.np)
    reduce = op.reduce(types, attrs) if rule_of(op) is Rule.REDUCE else None
    for index in np.ndindex(*shape):
        if reduce is None:
            out[index] = op.element(k, load, index, types, attrs)
        else:
            inner = itertools.product(*map(range, reduce.extents))
            terms = [reduce.term(k, load, index, i) for i in inner]
            out[index] = reduce.finish(k, combine(reduce.combine, terms, reduce.accumulator.np))
    return out


def combine(how: str, terms: list[Any], dtype: np.dtype) -> Any:
    array = np.asarray(terms)
    if how in ("argmax", "argmin"):
        return np.int64(getattr(array, how)())
    function = {"add": np.add, "mul": np.multiply}.get(how) or getattr(np, how)
    return function.reduce(array.astype(dtype)).astype(dtype)


def run_scatter(rule: Any, k: Any, load: Any, operands: tuple[Any, ...], result: Any) -> np.ndarray:
    dtype = result.type.dtype
    base = np.zeros(result.shape, dtype.np) if rule.base is None else operands[rule.base]
    out = cast_array(base, dtype.compute).copy()
    functions = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
    for index in np.ndindex(*rule.extents):
        target, value, *mask = rule.update(k, load, index)
        if mask and not mask[0]:
            continue
        value = cast_array(np.asarray(value), dtype.compute)
        out[target] = value if rule.combine == "set" else functions[rule.combine](out[target], value)
    return cast_array(out, dtype)


class RuleInterpreter(Interpreter):
    """Runs calls by their loop rule, where they have one and it is one of those tested here."""

    ruled = 0

    def call(self, node: Node) -> tuple[np.ndarray, ...]:
        wanted = super().call(node)
        if rule_of(node.call_op) not in (Rule.ELEMENT, Rule.SCATTER, Rule.REDUCE) or len(node.values) != 1:
            return wanted
        if wanted[0].size > LIMIT:
            return wanted
        operands = tuple(map(self.operand, node.args))
        with np.errstate(all="ignore"):
            found = run_rule(node, operands)
        assert found.dtype == wanted[0].dtype
        assert_agree(found, wanted[0], node.call_op.name)
        self.ruled += 1
        return wanted


@pytest.mark.parametrize("op", RULED, ids=lambda op: op.name)
def test_loop_rule_agrees_with_eager(op: Any) -> None:
    ruled = 0
    for case, dtype in cases_of(op):
        call = case.drawn(dtype)
        interpreter = RuleInterpreter(call.record())
        try:
            interpreter.run(*call.arrays)
        except Exception as e:
            e.add_note(f"case: {case}, {dtype}")
            raise
        ruled += interpreter.ruled
    assert ruled
