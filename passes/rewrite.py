"""Declarative rewrite rules: their grammar, matching, and the building of what replaces a match.

A rule is one line of text, `"mul(x, 1) -> x"`: calls of ops by name, numbers, and variables, which stand for

    x y z w    tensors          p q r    values of attributes: `permute(x, dims=p)`
    a b        any operands: tensors, numbers, sizes, none
    c d        numbers; the right side may do arithmetic with them: `mul(x, c * d)`

A variable that occurs twice must be the same value twice. The operands of commutative ops match in either order. A
number matches an equal number of any type, but 0 and 0.0 are not -0.0. Attributes must all be given.
Two calls on the right are no ops: `splat(0)` is a tensor full of zeros, `reshaped(x)` a view of x, both of the shape
replaced.

A rule applies only where the replacement has the type of what it replaces; this covers what broadcasting and type
promotion would get wrong (`mul(x, 1.0)` of an integer x is no x). For the same reason the calls inside the left side
must have the dtype of the whole (`add(y, neg(x))` is no difference where x is unsigned and y is not). Beyond that a
rule says for which dtypes it holds (`on`), under which condition (`when`), and how exactly (`exactness`).
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, TypeAlias

from tracegraph.dtypes import DType, int64
from tracegraph.errors import IRError
from tracegraph.ir import Operand, TensorType, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ir.op import Op
from tracegraph.ir.signature import value_key
from tracegraph.ops.core.weak_numbers import wrap_around, wrapped

Bindings: TypeAlias = dict[str, Any]

TENSORS, OPERANDS, NUMBERS, ATTRIBUTES = "xyzw", "ab", "cd", "pqr"


class Exactness(Enum):
    """How the replacement compares with what it replaces."""

    #: the same bits, nan payloads apart
    EXACT = "exact"
    #: equally good roundings: within the stated error of the ops
    ROUNDED = "rounded"
    #: may differ in nan, infinities, signed zeros or beyond rounding: only with the option `fastmath`
    FASTMATH = "fastmath"


@dataclass(frozen=True)
class Variable:
    """A leaf that binds what it matches."""

    name: str


@dataclass(frozen=True)
class Number:
    """A leaf that is a number."""

    value: int | float | bool


@dataclass(frozen=True)
class Computed:
    """A number computed from bound numbers, on the right side of a rule."""

    node: ast.expr


@dataclass(frozen=True)
class Call:
    """A call of `op`, in a pattern or in a replacement."""

    op: str
    operands: tuple[Term, ...]
    attrs: tuple[tuple[str, Term], ...]


Term: TypeAlias = Variable | Number | Computed | Call


@dataclass(frozen=True)
class Candidate:
    """A call as it would be appended to a graph: what patterns are matched with."""

    op: Op
    operands: tuple[Operand, ...]
    attrs: Mapping[str, object]
    type: TensorType

    @cached_property
    def inner_ops(self) -> frozenset[str]:
        """Names of the ops that the operands come from."""
        nodes = [o.node for o in self.operands if isinstance(o, Value)]
        return frozenset([node.call_op.name for node in nodes if node.op == "call"])

    @cached_property
    def numbers(self) -> int:
        """How many operands are numbers."""
        return sum(map(_is_number, self.operands))


@dataclass(frozen=True)
class Rule:
    """One rewrite; see the module's docstring for the grammar of `text`.

    Attributes:
        on: categories of the dtype replaced: any of "b", "i", "f".
        when: a further condition on the bindings.
        mixed: whether calls inside the left side may have another dtype than what is replaced.
    """

    text: str
    exactness: Exactness = Exactness.EXACT
    on: str = "bif"
    when: Callable[[Bindings], bool] | None = field(default=None, compare=False)
    mixed: bool = False

    @cached_property
    def pattern(self) -> Call:
        pattern = _parse(self.text.split("->")[0], self.text)
        if not isinstance(pattern, Call):
            raise IRError(f"rule {self.text!r}: the left side must be a call")
        return pattern

    @cached_property
    def replacement(self) -> Term:
        return _parse(self.text.split("->")[1], self.text)

    @cached_property
    def _inner_op(self) -> str | None:
        """An op that one of the operands must come from."""
        return next((t.op for t in self.pattern.operands if isinstance(t, Call)), None)

    @cached_property
    def _has_number(self) -> bool:
        """Whether one of the operands must be a number."""
        return any(
            isinstance(t, Number) or (isinstance(t, Variable) and t.name in NUMBERS) for t in self.pattern.operands
        )

    def match(self, candidate: Candidate) -> Bindings | None:
        """What the variables stand for if the rule applies to a call."""
        if "bif"[candidate.type.dtype.category] not in self.on or not self._may_match(candidate):
            return None
        matcher = _Matcher(None if self.mixed else candidate.type.dtype)
        for bindings in matcher.call(self.pattern, candidate.op, candidate.operands, candidate.attrs, {}):
            fits = self.when is None or self.when(bindings)
            if fits and _type_of(self.replacement, bindings, candidate.type) == candidate.type:
                return bindings
        return None

    def _may_match(self, candidate: Candidate) -> bool:
        """A quick look at the operands, before trying in earnest."""
        if self._has_number and candidate.numbers == 0:
            return False
        return self._inner_op is None or self._inner_op in candidate.inner_ops

    def __str__(self) -> str:
        return self.text


# --------------------------------------------------------------------------------------------- reading


def _parse(text: str, rule: str) -> Term:
    try:
        return _term(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError) as e:
        raise IRError(f"rule {rule!r}: {e}") from None


def _term(node: ast.expr) -> Term:
    match node:
        case ast.Call(func=ast.Name(id=op)):
            attrs = tuple((k.arg or "", _term(k.value)) for k in node.keywords)
            return Call(op, tuple(map(_term, node.args)), attrs)
        case ast.Name(id=name) if name in (*TENSORS, *OPERANDS, *NUMBERS, *ATTRIBUTES):
            return Variable(name)
        case ast.Constant(value=bool() | int() | float() as value):
            return Number(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return Number(-value)
        case ast.UnaryOp() | ast.BinOp():
            return Computed(node)
    raise ValueError(f"{ast.unparse(node)} is neither a call, nor a number, nor a variable")


# --------------------------------------------------------------------------------------------- matching


class _Matcher:
    """Matches terms; yields every way to do so, as extended bindings.

    Args:
        dtype: the dtype that calls inside a pattern must have, None if any will do.
    """

    def __init__(self, dtype: DType | None) -> None:
        self.dtype = dtype

    def term(self, term: Term, found: Any, bindings: Bindings) -> Iterator[Bindings]:
        """`found` is an operand or an attribute."""
        match term:
            case Variable(name):
                if name in bindings:
                    if value_key(bindings[name]) == value_key(found):
                        yield bindings
                elif _may_bind(name, found):
                    yield bindings | {name: found}
            case Number(value):
                if _is_number(found) and same_number(found, value):
                    yield bindings
            case Call():
                if isinstance(found, Value) and found.node.is_call and self.dtype in (None, found.type.dtype):
                    node = found.node
                    yield from self.call(term, node.call_op, node.args, node.attrs, bindings)

    def call(
        self, term: Call, op: Op, operands: tuple[Operand, ...], attrs: Mapping[str, object], bindings: Bindings
    ) -> Iterator[Bindings]:
        if op.name != term.op or len(operands) != len(term.operands) or attrs.keys() != {k for k, _ in term.attrs}:
            return
        wanted = (*term.operands, *(t for _, t in term.attrs))
        given = tuple(attrs[k] for k, _ in term.attrs)
        orders = [operands]
        if getattr(op, "commutative", False):
            orders.append((operands[1], operands[0], *operands[2:]))
        for order in orders:
            yield from self.all(wanted, (*order, *given), bindings)

    def all(self, terms: tuple[Term, ...], found: tuple[Any, ...], bindings: Bindings) -> Iterator[Bindings]:
        if not terms:
            yield bindings
            return
        for extended in self.term(terms[0], found[0], bindings):
            yield from self.all(terms[1:], found[1:], extended)


def _may_bind(name: str, found: Any) -> bool:
    if name in TENSORS:
        return isinstance(found, Value)
    if name in NUMBERS:
        return _is_number(found)
    return True


def _is_number(found: Any) -> bool:
    return isinstance(found, bool | int | float)


def same_number(found: float | int | bool, wanted: float | int | bool) -> bool:
    """Equal, bools only with bools, and zeros of the same sign."""
    if isinstance(found, bool) is not isinstance(wanted, bool) or found != wanted:
        return False
    return found != 0 or math.copysign(1, found) == math.copysign(1, wanted)


# --------------------------------------------------------------------------------------------- replacing

_ARITHMETIC: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def compute(node: ast.expr, bindings: Bindings) -> Any:
    """The value of an arithmetic expression over bound numbers."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return bindings[name]
        case ast.UnaryOp(op=op, operand=operand):
            return _ARITHMETIC[type(op)](compute(operand, bindings))
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](compute(left, bindings), compute(right, bindings))
    raise IRError(f"a rule cannot compute {ast.unparse(node)}")


def value_of(term: Variable | Number | Computed, bindings: Bindings, dtype: DType) -> Any:
    """What a leaf of a replacement of this dtype stands for; sums of integers wrap around as those of tensors do."""
    if isinstance(term, Variable):
        return bindings[term.name]
    if isinstance(term, Number):
        return term.value
    number = compute(term.node, bindings)
    return wrap_around(number, int64) if isinstance(number, int) and dtype.is_integer else number


def _type_of(term: Term, bindings: Bindings, replaced: TensorType) -> object:
    """What inference makes of a replacement, without building it: a type, or a number as it is."""
    if not isinstance(term, Call):
        leaf = value_of(term, bindings, replaced.dtype)
        return leaf.type if isinstance(leaf, Value) else leaf
    if term.op in _SHAPED_LIKE_REPLACED:
        like = next((_type_of(t, bindings, replaced) for t in term.operands if isinstance(t, Variable)), replaced)
        return replaced.with_dtype(like.dtype) if isinstance(like, TensorType) else replaced
    operands = [_type_of(t, bindings, replaced) for t in term.operands]
    attrs = {k: value_of(t, bindings, replaced.dtype) for k, t in term.attrs if not isinstance(t, Call)}
    return lookup(term.op).infer(*operands, **attrs)[0]


def build(term: Term, bindings: Bindings, replaced: TensorType, call: Callable[..., Operand]) -> Operand:
    """The replacement; `call(op, operands, attrs)` makes its nodes."""
    if not isinstance(term, Call):
        return value_of(term, bindings, replaced.dtype)
    if term.op in _SHAPED_LIKE_REPLACED:
        (operand,) = term.operands
        return _SHAPED_LIKE_REPLACED[term.op](build(operand, bindings, replaced, call), replaced, call)
    operands = tuple(build(t, bindings, replaced, call) for t in term.operands)
    return call(
        lookup(term.op),
        operands,
        {k: value_of(t, bindings, replaced.dtype) for k, t in term.attrs if not isinstance(t, Call)},
    )


def _splat(number: Any, replaced: TensorType, call: Callable[..., Operand]) -> Operand:
    value = wrapped(number, replaced.dtype)
    return call(lookup("full"), (), {"size": replaced.shape, "fill_value": value, "dtype": replaced.dtype})


def _reshaped(tensor: Any, replaced: TensorType, call: Callable[..., Operand]) -> Operand:
    if dims.same_shape(tensor.type.shape, replaced.shape):
        found: Operand = tensor
        return found
    return call(lookup("view"), (tensor,), {"size": replaced.shape})


_SHAPED_LIKE_REPLACED: dict[str, Callable[[Any, TensorType, Callable[..., Operand]], Operand]] = {
    "splat": _splat,
    "reshaped": _reshaped,
}
