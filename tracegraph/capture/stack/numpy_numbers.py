"""A numpy number of a traced program that may differ from call to call: `np.float32` arguments, elements of arrays.

Arithmetic on it makes further such numbers, by numpy itself in every call, so that types, overflow and warnings are
numpy's. Where it meets a tensor it is a Python number, as in eager code.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tracegraph.capture.trace.numbers import TraceNumbers


class NumpyNumber:
    """See the module docstring.

    Attributes:
        value: the number in the call being traced; to use it without a guard is an error.
        source: where later calls find it.
    """

    __slots__ = ("numbers", "source", "value")
    #: what tells ops that it is a number with `item()`
    shape = ()

    def __init__(self, value: Any, source: Any, numbers: TraceNumbers) -> None:
        self.value = value
        self.source = source
        self.numbers = numbers

    def __repr__(self) -> str:
        return f"NumpyNumber({self.source})"

    def item(self) -> Any:
        """The same number as an int or float that varies."""
        return self.numbers.compute(int if isinstance(self.value, np.integer) else float, self)

    def __index__(self) -> Any:
        """An int of the trace: asked by name only, C code gets the specialised value."""
        return self.numbers.compute(operator.index, self)

    def __bool__(self) -> bool:
        return bool(self.numbers.compute(bool, self))

    def __round__(self, digits: int | None = None) -> Any:
        return self.numbers.compute(round, self, digits)

    def __hash__(self) -> int:
        return hash(self.numbers.specialise(self))


class NumberMethod:
    """A method bound to a number that varies, computed anew by every call."""

    def __init__(self, number: NumpyNumber, name: str) -> None:
        self._number = number
        self._function = getattr(type(number.value), name)

    def __call__(self, *args: Any) -> Any:
        return self._number.numbers.compute(self._function, self._number, *args)


def _install(name: str, function: Any, reflected: bool) -> None:
    def forward(self: NumpyNumber, other: Any) -> Any:
        return self.numbers.compute(function, self, other) if self.numbers.is_number(other) else NotImplemented

    def backward(self: NumpyNumber, other: Any) -> Any:
        return self.numbers.compute(function, other, self) if self.numbers.is_number(other) else NotImplemented

    setattr(NumpyNumber, f"__{name}__", forward)
    if reflected:
        setattr(NumpyNumber, f"__r{name}__", backward)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _install(_name, getattr(operator, _name), reflected=True)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _install(_name, getattr(operator, _name), reflected=False)
for _name, _function in (("neg", operator.neg), ("pos", operator.pos), ("abs", abs), ("invert", operator.invert)):
    setattr(NumpyNumber, f"__{_name}__", lambda self, function=_function: self.numbers.compute(function, self))
