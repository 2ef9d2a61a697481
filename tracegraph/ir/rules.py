"""How an op tells the code generator what it computes, without either knowing the other.

An op supplies at most one of five rules. Four are written against a scalar handler `k` (see `RuleHandler`) and a
`load` function; running such a rule with the recording handler of the code generator yields loops.

- element rule: each output element as a function of its index. Pointwise ops, views, pads, gathers, one-hot, iota,
  random numbers: everything that can be inlined into a consumer.
- reduce rule: each output element as a combination of terms over a reduction domain. Sums, maxima, pooling
  windows, col2im, a plain contraction.
- scatter rule: a serial loop over source elements that accumulates into computed positions of the output.
- scan rule: a running combination along one axis.
- contract rule: a sum of products of two operands, by labels of their axes. Matrix products.

An op without a rule runs through its eager rule, called back from native code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Protocol, TypeAlias

from tracegraph.dtypes import DType
from tracegraph.ir.dim import Dim
from tracegraph.ir.types import TensorType

#: a scalar of the handler; overloads + - * / comparisons and & | ^ ~
Scalar: TypeAlias = Any
#: an int or a Dim over loop variables and sizes; overloads + - * // %, must not be compared
Index: TypeAlias = Dim


class RuleHandler(Protocol):
    """What a rule may ask of `k` beyond the scalar functions: the way between indices and scalars."""

    def index_scalar(self, index: Index) -> Scalar:
        """An index or a size as an i64 scalar; compare these, not indices."""

    def as_index(self, x: Scalar, size: Dim, message: str) -> Index:
        """An integer scalar as an index into a dimension of `size`.

        Outside [0, size) the execution ends with IndexRangeError(message); a negative index that counts from the
        end is for the rule to wrap first.
        """


class Load(Protocol):
    """Reads one element of an operand. A scalar operand takes the empty index.

    With `mask`, elements where it is false are not read and give `fill`.
    """

    def __call__(
        self, operand: int, index: tuple[Index, ...], mask: Scalar | None = None, fill: float | int | bool = 0
    ) -> Scalar: ...


#: operand types as `Op.infer` takes them: TensorType, scalar, or None
OperandTypes: TypeAlias = tuple[object, ...]


class ElementRule(Protocol):
    """Output `element` at `index`; the value has the dtype of the (single) result."""

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar: ...


@dataclass(frozen=True)
class Reduce:
    """A reduction of one result: for every output index, combine `term` over the `extents`.

    `combine` is `add`, `mul`, `maximum`, `minimum`, `logical_or`, `logical_and`, `argmax` or `argmin`. The last
    two give the position in the row-major order of `extents` of the first extreme term (nan counts as extreme).
    `accumulator` is the dtype combined in; `finish(k, total)` maps the total to the result's dtype.
    """

    extents: tuple[Dim, ...]
    combine: str
    accumulator: DType
    term: Callable[[Any, Load, tuple[Index, ...], tuple[Index, ...]], Scalar]
    finish: Callable[[Any, Scalar], Scalar]


class ReduceRule(Protocol):
    """`reduce(types, attrs)` describes the loops of a reduction."""

    def reduce(self, types: OperandTypes, attrs: dict[str, object]) -> Reduce: ...


@dataclass(frozen=True)
class Scatter:
    """Accumulation into computed positions, in row-major order of `extents`.

    The output starts as operand `base` (or as zeros where `base` is None); then at every index of `extents`,
    `update(k, load, index)` gives a target index, a value and, if updates may be left out, a bool scalar that is
    true where one takes place. `combine` is `add`, `set`, `maximum`, `minimum` or `mul`.
    """

    extents: tuple[Dim, ...]
    base: int | None
    combine: str
    update: Callable[[Any, Load, tuple[Index, ...]], tuple[Any, ...]]


class ScatterRule(Protocol):
    """`scatter(types, attrs)` describes an accumulation."""

    def scatter(self, types: OperandTypes, attrs: dict[str, object]) -> Scatter: ...


@dataclass(frozen=True)
class Scan:
    """`out[.., i, ..] = combine(out[.., i-1, ..], in[.., i, ..])` along `axis`; `combine` is `add` or `mul`."""

    axis: int
    combine: str
    accumulator: DType


class ScanRule(Protocol):
    """`scan(types, attrs)` describes a running combination."""

    def scan(self, types: OperandTypes, attrs: dict[str, object]) -> Scan: ...


@dataclass(frozen=True)
class Contract:
    """`out[..] = sum over the labels that `out` lacks of lhs[..] * rhs[..]`, one label (a letter) per axis.

    `lhs` labels operand 0 and `rhs` operand 1, as in `einsum`. An axis of size 1 broadcasts where its label has
    another size. Products are summed in the compute dtype of the result.
    """

    lhs: str
    rhs: str
    out: str


class ContractRule(Protocol):
    """`contract(types, attrs)` labels the axes of a contraction."""

    def contract(self, types: OperandTypes, attrs: dict[str, object]) -> Contract: ...


class Rule(Enum):
    """Which of the rules an op has."""

    ELEMENT = "element"
    REDUCE = "reduce"
    SCAN = "scan"
    CONTRACT = "contract"
    SCATTER = "scatter"
    NONE = "none"


@cache
def rule_of(op: object) -> Rule:
    """The rule `op` supplies. (A view has an element rule, and a `scatter` that means something else.)"""
    return next((rule for rule in Rule if getattr(op, rule.value, None) is not None), Rule.NONE)


def operand_shape(type: object) -> tuple[Dim, ...]:
    """The shape of an operand as `Op.infer` sees it; scalars have none."""
    return type.shape if isinstance(type, TensorType) else ()
