"""Scalar handlers: what an op's `scalar` rule is written against.

A rule such as `return k.recip(1.0 + k.exp(-x))` runs with `NumpyScalars` to compute (elementwise on whole arrays),
with the code generator's handler to record loop statements, and so on. Scalars overload
arithmetic (not on bools), comparison and (on bools and integers) `& | ^ ~`; what Python has no operator for is a
method, of the names in `UNARY` and `BINARY`. The semantics are numpy's: IEEE, nan propagating, integers wrapping, floor
division and modulo of Python, shifts by a count out of range shift everything out. Integer division by zero gives any
value: a rule checks first.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tracegraph.dtypes import DType, from_numpy
from tracegraph.errors import ElementError
from tracegraph.ir.rules import Scalar
from tracegraph.ops.numerics import philox, special
from tracegraph.ops.numerics.quiet import enter_quiet, leave_quiet, quiet


class Scalars(Protocol):
    """The protocol of a scalar handler."""

    def const(self, value: float | int | bool, dtype: DType) -> Scalar: ...
    def cast(self, x: Scalar, dtype: DType) -> Scalar: ...
    def dtype(self, x: Scalar) -> DType: ...
    def where(self, condition: Scalar, a: Scalar, b: Scalar) -> Scalar: ...
    def check(self, condition: Scalar, message: str) -> None:
        """End the execution with ElementError(message) if `condition` is false anywhere."""

    def philox(self, seed: Scalar, draw: Scalar, counter: Scalar, word: int) -> Scalar:
        """32 random bits in an i64: word 0 to 3 of the block of the i64 scalars given (see `ops.philox`)."""

    def __getattr__(self, function: str) -> Any:
        """The functions of `UNARY` and `BINARY`, by name."""


def _recip(x: Any) -> Any:
    return 1 / x


def _rsqrt(x: Any) -> Any:
    return 1 / np.sqrt(x)


def _pow(x: Any, y: Any) -> Any:
    """Integers raised to a negative power are 0, but for 1 and -1."""
    if not np.issubdtype(np.result_type(x, y), np.integer) or np.all(y >= 0):
        return np.power(x, y)
    inverse = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y & 1), 0)).astype(np.result_type(x, y))
    return np.where(y < 0, inverse, np.power(x, np.maximum(y, 0)))


#: functions of one scalar, by name, and their meaning on numpy arrays
UNARY: dict[str, Any] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": _rsqrt,
    "recip": _recip,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.lgamma,
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "isnan": np.isnan,
    "isinf": np.isinf,
}

#: functions of two scalars of one dtype
BINARY: dict[str, Any] = {
    "pow": _pow,
    "atan2": np.arctan2,
    "copysign": np.copysign,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "shl": np.left_shift,
    "shr": np.right_shift,
}


class NumpyScalars:
    """The handler that computes: a scalar is a numpy array of any shape."""

    def const(self, value: float | int | bool, dtype: DType) -> Scalar:
        return dtype.np.type(value)

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        return cast_array(np.asarray(x), dtype)

    def dtype(self, x: Scalar) -> DType:
        return from_numpy(np.asarray(x).dtype)

    def where(self, condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
        return np.where(condition, a, b)

    def check(self, condition: Scalar, message: str) -> None:
        if not np.all(condition):
            raise ElementError(message)

    def fma(self, a: Scalar, b: Scalar, c: Scalar) -> Scalar:
        return a * b + c

    def philox(self, seed: Scalar, draw: Scalar, counter: Scalar, word: int) -> Scalar:
        return philox.words(int(seed), int(draw), counter)[word].view(np.int64)

    def __getattr__(self, function: str) -> Any:
        found = UNARY.get(function) or BINARY.get(function)
        if found is None:
            raise AttributeError(f"scalar handlers have no function {function!r}")
        return found


NUMPY = NumpyScalars()


def cast_array(array: np.ndarray, dtype: DType) -> np.ndarray:
    """`array` as `dtype`, itself if it is so already; casts never warn (float to int truncates and wraps)."""
    if array.dtype == dtype.np:
        return array
    if dtype.is_bool:
        return array != 0
    if dtype.is_integer and array.dtype.kind not in "iub":
        # numpy leaves out-of-range casts to the platform; through int64 they wrap as PyTorch's do on x86
        with quiet():
            return array.astype(np.float64).astype(np.int64).astype(dtype.np)
    token = enter_quiet()
    try:
        return array.astype(dtype.np)
    finally:
        leave_quiet(token)
