"""The scalar handler protocol: what an op's `scalar(k, x)` rule is written against.

`ScalarHandler` turns operators and methods (`k.exp(x)`, `x * 2.0`, `k.where(c, a, b)`) into one call,
`emit(op, operands, dtype)`, after checking dtypes against `scalar_ops`. Subclasses say what emitting means:
`loop_recorder` appends a statement, `scalar_llvm` prints instructions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS, infer
from tracegraph.dtypes import DType, bool_
from tracegraph.errors import DTypeError

PythonScalar = bool | int | float


class Scalar:
    """A scalar of a kernel under construction: a dtype and a payload that only its handler understands."""

    __slots__ = ("dtype", "handler", "payload")
    __hash__ = object.__hash__

    def __init__(self, handler: ScalarHandler, dtype: DType, payload: object) -> None:
        self.handler = handler
        self.dtype = dtype
        self.payload = payload

    def __repr__(self) -> str:
        return f"Scalar({self.payload}: {self.dtype.name})"

    def __bool__(self) -> NoReturn:
        raise DTypeError("a scalar under construction has no truth value; use k.where(condition, a, b)")

    def __add__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("add", self, other)

    def __radd__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("add", other, self)

    def __sub__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("sub", self, other)

    def __rsub__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("sub", other, self)

    def __mul__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("mul", self, other)

    def __rmul__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("mul", other, self)

    def __truediv__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("div", self, other)

    def __rtruediv__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("div", other, self)

    def __floordiv__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("floordiv", self, other)

    def __mod__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("mod", self, other)

    def __pow__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("pow", self, other)

    def __neg__(self) -> Scalar:
        return self.handler.apply("neg", self)

    def __abs__(self) -> Scalar:
        return self.handler.apply("abs", self)

    def __lt__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("lt", self, other)

    def __le__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("le", self, other)

    def __gt__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("gt", self, other)

    def __ge__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("ge", self, other)

    def __eq__(self, other: ScalarLike) -> Scalar:  # type: ignore[override]  # builds a comparison
        return self.handler.apply("eq", self, other)

    def __ne__(self, other: ScalarLike) -> Scalar:  # type: ignore[override]  # builds a comparison
        return self.handler.apply("ne", self, other)

    def __and__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("and", self, other)

    def __rand__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("and", other, self)

    def __or__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("or", self, other)

    def __ror__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("or", other, self)

    def __xor__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("xor", self, other)

    def __rxor__(self, other: ScalarLike) -> Scalar:
        return self.handler.apply("xor", other, self)

    def __invert__(self) -> Scalar:
        return self.handler.apply("not", self)


ScalarLike = Scalar | bool | int | float


class ScalarHandler(ABC):
    """Base of the handlers. Every operation of SCALAR_OPS is also a method: `k.exp(x)`, `k.fma(a, b, c)`."""

    @abstractmethod
    def emit(self, op: str, operands: tuple[Scalar, ...], dtype: DType) -> Scalar:
        """Make the result of one operation; operands and dtype are already checked.

        For `const` there are no operands but one Python scalar, see `literal`.
        """

    @abstractmethod
    def literal(self, value: PythonScalar, dtype: DType) -> Scalar:
        """A constant as an operand."""

    def apply(self, op: str, *operands: ScalarLike) -> Scalar:
        """`op(operands)`; Python scalars take the dtype of the other operands.

        Raises:
            DTypeError: the dtypes do not fit, or no operand has a dtype.
        """
        if op == "where" and not isinstance(operands[0], Scalar):
            operands = (self.const(operands[0], bool_), *operands[1:])
        known = operands[1:] if op == "where" else operands
        dtype = next((x.dtype for x in known if isinstance(x, Scalar)), None)
        if dtype is None:
            raise DTypeError(f"{op}({', '.join(map(repr, operands))}): no operand has a dtype; use k.const")
        scalars = tuple(x if isinstance(x, Scalar) else self.literal(checked(x, dtype), dtype) for x in operands)
        result = infer(SCALAR_OPS[op], tuple(x.dtype for x in scalars), None)
        return self.emit(op, scalars, result)

    def const(self, value: PythonScalar, dtype: DType) -> Scalar:
        """A constant of the given dtype."""
        return self.literal(checked(value, dtype), dtype)

    def cast(self, x: ScalarLike, dtype: DType) -> Scalar:
        """`x` converted: floats to integers truncate towards zero, anything to bool compares with 0."""
        if not isinstance(x, Scalar):
            return self.const(x, dtype)
        return x if x.dtype is dtype else self.emit("cast", (x,), dtype)

    def dtype(self, x: Scalar) -> DType:
        """The dtype of a scalar."""
        return x.dtype

    def __getattr__(self, name: str) -> Callable[..., Scalar]:
        if name in SCALAR_OPS:
            return partial(self.apply, name)
        raise AttributeError(f"{type(self).__name__} has no scalar operation {name!r}")


def checked(value: PythonScalar, dtype: DType) -> PythonScalar:
    """`value` as a literal of `dtype`.

    Raises:
        DTypeError: a float for an integer dtype, or an integer out of range: either would change the value.
    """
    if dtype.is_floating:
        return float(value)
    if dtype.is_bool:
        return bool(value)
    if isinstance(value, float) and not value.is_integer():
        raise DTypeError(f"literal {value!r} does not fit {dtype.name}; cast the other operand to a float")
    number, bits = int(value), 8 * dtype.itemsize
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.is_signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise DTypeError(f"literal {value!r} does not fit {dtype.name}, whose range is {low} to {high}")
    return number
