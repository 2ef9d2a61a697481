"""The scalar operations of the loop IR: one table that the verifier, the interpreter, the recorder and the
LLVM handler share.

The names are those of the scalar handler protocol, so an op's `scalar(k, x)` rule run with the recording
handler yields statements whose operations are these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from tracegraph.dtypes import DType, bool_, int64
from tracegraph.errors import DTypeError, IRError


class Domain(Enum):
    """The dtypes an operation takes."""

    FLOAT = "a floating dtype"
    NUMBER = "a floating or integer dtype"
    INTEGER = "an integer dtype"
    BITS = "an integer dtype or bool"
    ANY = "any dtype"

    def admits(self, dtype: DType) -> bool:
        """Whether `dtype` is in the domain."""
        if self is Domain.FLOAT:
            return dtype.is_floating
        if self is Domain.NUMBER:
            return not dtype.is_bool
        if self is Domain.INTEGER:
            return dtype.is_integer
        if self is Domain.BITS:
            return not dtype.is_floating
        return True


class Result(Enum):
    """What dtype an operation gives."""

    SAME = "the operands' dtype"
    BOOL = "bool"
    DECLARED = "the dtype declared by the statement"


@dataclass(frozen=True, slots=True)
class ScalarOp:
    """One scalar operation: `name(operands)`, all operands of one dtype out of `domain`.

    Attributes:
        is_exact: of 16-bit floats it gives 16-bit floats without rounding.
        is_associative: it may update an accumulator; a `reduce` loop may reorder its updates.
    """

    name: str
    arity: int
    domain: Domain
    result: Result = Result.SAME
    summary: str = ""
    is_exact: bool = False
    is_associative: bool = False


def _table() -> dict[str, ScalarOp]:
    ops: list[ScalarOp] = []

    def add(
        names: str, arity: int, domain: Domain, result: Result = Result.SAME, summary: str = "", **is_: bool
    ) -> None:
        properties = {f"is_{name}": value for name, value in is_.items()}
        ops.extend(ScalarOp(name, arity, domain, result, summary, **properties) for name in names.split())

    add("const", 1, Domain.ANY, Result.DECLARED, "a literal")
    add("cast", 1, Domain.ANY, Result.DECLARED, "conversion; floats to integers truncate")
    add("where", 3, Domain.ANY, Result.SAME, "condition (bool), then, else")
    add("add mul", 2, Domain.NUMBER, associative=True)
    add("sub", 2, Domain.NUMBER)
    add("div", 2, Domain.FLOAT)
    add("floordiv mod", 2, Domain.NUMBER, summary="Python's sign convention; integer division by 0 gives 0")
    add("truncdiv", 2, Domain.NUMBER, summary="rounds towards 0; integer division by 0 gives 0")
    add("fmod", 2, Domain.NUMBER, summary="C's sign convention; integer division by 0 gives 0", exact=True)
    extremum = "propagates nan; -0.0 is less than 0.0"
    add("minimum maximum", 2, Domain.ANY, summary=extremum, exact=True, associative=True)
    add("lt le gt ge eq ne", 2, Domain.ANY, Result.BOOL)
    add("and or xor", 2, Domain.BITS, associative=True)
    add("not", 1, Domain.BITS)
    add("logical_and logical_or logical_xor", 2, Domain.ANY, Result.BOOL)
    add("logical_not", 1, Domain.ANY, Result.BOOL)
    add("shl shr", 2, Domain.INTEGER, summary="counts out of range shift everything out")
    add("neg abs sign", 1, Domain.NUMBER, exact=True)
    add("floor ceil trunc round", 1, Domain.FLOAT, summary="round is half to even", exact=True)
    add("exp exp2 expm1 log log2 log10 log1p sqrt rsqrt recip", 1, Domain.FLOAT)
    add("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh", 1, Domain.FLOAT)
    add("erf erfc erfinv lgamma", 1, Domain.FLOAT)
    add("pow", 2, Domain.NUMBER, summary="integers wrap; a negative exponent gives the truncated quotient")
    add("atan2 hypot", 2, Domain.FLOAT)
    add("copysign nextafter", 2, Domain.FLOAT, exact=True)
    add("fma", 3, Domain.FLOAT, summary="a * b + c rounded once")
    add("isnan isinf isfinite signbit", 1, Domain.FLOAT, Result.BOOL)
    add("philox", 4, Domain.INTEGER, summary="seed, draw, counter, word: 32 random bits in an i64")
    return {op.name: op for op in ops}


SCALAR_OPS: dict[str, ScalarOp] = _table()
#: what arithmetic of bools is, as numpy has it
BOOL_FORMS = {"add": "or", "maximum": "or", "mul": "and", "minimum": "and"}


def identity(op: str, dtype: DType) -> float | int | bool:
    """The value an update with `op` leaves unchanged.

    Raises:
        IRError: the operation has none in this dtype.
    """
    table: dict[str, float | int | bool]
    if dtype.is_bool:
        op, table = BOOL_FORMS.get(op, op), {"or": False, "xor": False, "and": True}
    elif dtype.is_floating:
        table = {"add": 0.0, "mul": 1.0, "maximum": -math.inf, "minimum": math.inf}
    else:
        limits = np.iinfo(dtype.np)
        table = {"add": 0, "mul": 1, "or": 0, "xor": 0, "and": -1 if dtype.is_signed else int(limits.max)}
        table |= {"maximum": int(limits.min), "minimum": int(limits.max)}
    if op not in table:
        raise IRError(f"{op} has no identity in {dtype.name}")
    return table[op]


def infer(op: ScalarOp, operands: tuple[DType, ...], declared: DType | None) -> DType:
    """The result dtype of `op` on operands of these dtypes.

    Raises:
        DTypeError: wrong count, mixed dtypes, or a dtype outside the operation's domain.
    """
    if len(operands) != op.arity:
        raise DTypeError(f"{op.name} takes {op.arity} operands, got {len(operands)}")
    if op.name == "where":
        if operands[0] is not bool_:
            raise DTypeError(f"where: the condition must be bool, got {operands[0].name}; compare it with 0 first")
        operands = operands[1:]
    if any(dtype is not operands[0] for dtype in operands):
        names = ", ".join(dtype.name for dtype in operands)
        raise DTypeError(f"{op.name}: operands have different dtypes ({names}); cast them to one dtype first")
    if not op.domain.admits(operands[0]):
        raise DTypeError(f"{op.name} takes {op.domain.value}, got {operands[0].name}; cast the operand first")
    if op.name == "philox" and operands[0] is not int64:
        raise DTypeError(f"philox takes i64 operands, got {operands[0].name}")
    if op.result is Result.BOOL:
        return bool_
    if op.result is Result.DECLARED:
        if declared is None:
            raise DTypeError(f"{op.name} needs the dtype of its result")
        return declared
    return operands[0]
