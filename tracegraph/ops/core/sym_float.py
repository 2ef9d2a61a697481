"""A Python float of a traced program that may differ from call to call.

It stands beside `SymExpr`, the int that may differ: arithmetic on it makes further such floats, a comparison is
answered by the value of this call and guarded, and where plain Python needs the value, the trace becomes valid for
that value only. What is behind it (where the value comes from, how guards are kept) is its `numbers`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from tracegraph.ops.core.arguments import FLOAT_TYPES, NUMBER_TYPES, is_number


class Numbers(Protocol):
    """What a trace does with its floats."""

    def compute(self, function: Callable[..., Any], *operands: Any) -> Any:
        """`function(*operands)`, now and in later calls: a number that varies, or a guarded answer."""

    def specialise(self, number: SymFloat) -> float:
        """The value, to which the trace is then bound."""


class SymFloat:
    """See the module docstring.

    Attributes:
        value: the float in the call being traced; to use it without a guard is an error.
        source: where later calls find it; meaningful to `numbers` only.
    """

    __slots__ = ("numbers", "source", "value")

    def __init__(self, value: float, source: Any, numbers: Numbers) -> None:
        self.value = value
        self.source = source
        self.numbers = numbers

    def __repr__(self) -> str:
        return f"SymFloat({self.source})"

    def __hash__(self) -> int:
        return hash(float(self))

    def __float__(self) -> float:
        return self.numbers.specialise(self)

    def __int__(self) -> int:
        return int(float(self))

    def __bool__(self) -> bool:
        return bool(self.numbers.compute(bool, self))

    def __trunc__(self) -> Any:
        return self.numbers.compute(math.trunc, self)

    def __floor__(self) -> Any:
        return self.numbers.compute(math.floor, self)

    def __ceil__(self) -> Any:
        return self.numbers.compute(math.ceil, self)

    def __round__(self, digits: int | None = None) -> Any:
        return self.numbers.compute(round, self, digits)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def is_integer(self) -> bool:
        """Whether the value is whole, guarded."""
        return bool(self.numbers.compute(float.is_integer, self))


#: what counts as a float where only its type matters
Float: TypeAlias = float | SymFloat


def _install(name: str, function: Callable[[Any, Any], Any], reflected: bool) -> None:
    def forward(self: SymFloat, other: Any) -> Any:
        return self.numbers.compute(function, self, other) if is_number(other) else NotImplemented

    def backward(self: SymFloat, other: Any) -> Any:
        return self.numbers.compute(function, other, self) if is_number(other) else NotImplemented

    setattr(SymFloat, f"__{name}__", forward)
    if reflected:
        setattr(SymFloat, f"__r{name}__", backward)


def _install_unary(name: str, function: Callable[[Any], Any]) -> None:
    setattr(SymFloat, f"__{name}__", lambda self: self.numbers.compute(function, self))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _install(_name, getattr(operator, _name), reflected=True)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _install(_name, getattr(operator, _name), reflected=False)
for _name, _function in (("neg", operator.neg), ("pos", operator.pos), ("abs", abs)):
    _install_unary(_name, _function)
NUMBER_TYPES.add(SymFloat)
FLOAT_TYPES.add(SymFloat)
