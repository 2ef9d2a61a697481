"""How reductions combine: an op's `Reduce` as passes of plain accumulators.

Most reductions are one accumulator: an update operation and the value it starts from. `argmax` and `argmin` are
two, one pass after the other, so that both vectorise: the extreme value, then the least position that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.codegen.loops.scalar_ops import BOOL_FORMS, identity
from tracegraph.codegen.lowering.kernel_builder import KernelBuilder
from tracegraph.dtypes import DType, int64
from tracegraph.errors import IRError
from tracegraph.ir.evaluator import Position
from tracegraph.ir.index_math import flatten, row_major
from tracegraph.ir.rules import Reduce

#: loads an element of an operand
Load: TypeAlias = Callable[..., Scalar]

_UPDATES = {
    "add": "add",
    "mul": "mul",
    "maximum": "maximum",
    "minimum": "minimum",
    "logical_or": "or",
    "logical_and": "and",
}
_EXTREMA = {"argmax": "maximum", "argmin": "minimum"}
_NO_POSITION = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Accumulator:
    """One total: `total = update(total, term)` from `start` on.

    `term(k, load, index, inner, totals)` may use the totals of the passes before.
    """

    dtype: DType
    update: str
    start: float | int | bool
    term: Callable[[Any, Load, Position, Position, Sequence[Scalar]], Scalar]


def accumulators(rule: Reduce) -> list[Accumulator]:
    """The passes of a reduction, in order; the last gives the total that `finish` takes."""
    if rule.combine in _EXTREMA:
        return _positional(rule, _EXTREMA[rule.combine])
    if rule.combine not in _UPDATES:
        raise IRError(f"unknown combination {rule.combine!r}; one of {', '.join([*_UPDATES, *_EXTREMA])}")
    return [_plain(rule, _UPDATES[rule.combine])]


def _plain(rule: Reduce, update: str) -> Accumulator:
    if rule.accumulator.is_bool:
        update = BOOL_FORMS.get(update, update)
    return Accumulator(
        rule.accumulator,
        update,
        identity(update, rule.accumulator),
        lambda k, load, index, inner, totals: rule.term(k, load, index, inner),
    )


def _positional(rule: Reduce, extremum: str) -> list[Accumulator]:
    """Find the extreme value, then the first position that has it; nan is the extreme of whatever holds one."""
    strides = row_major(rule.extents)

    def position(k: KernelBuilder, load: Load, index: Position, inner: Position, totals: Sequence[Scalar]) -> Scalar:
        x = rule.term(k, load, index, inner)
        hit = x == totals[0]
        if rule.accumulator.is_floating:
            hit = hit | k.isnan(x)
        return k.where(hit, k.index_scalar(flatten(inner, strides)), _NO_POSITION)

    return [_plain(rule, extremum), Accumulator(int64, "minimum", _NO_POSITION, position)]
