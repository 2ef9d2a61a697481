"""A scalar handler that computes nothing: it counts the work a rule does.

Passes run an op's rule with a `Probe` to learn what the rule reads and how much one element costs; the scalars it
hands out know their dtype and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index

#: work of a scalar function in multiplications; whatever is not listed costs TRANSCENDENTAL
COSTS: dict[str, float] = {
    **dict.fromkeys(("add", "sub", "mul", "neg", "abs", "sign", "minimum", "maximum", "where", "cast", "fma"), 1.0),
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "shl", "shr", "copysign"), 1.0),
    **dict.fromkeys(("isnan", "isinf", "isfinite", "signbit", "floor", "ceil", "trunc", "round"), 1.0),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not"), 1.0),
    **dict.fromkeys(("div", "sqrt", "rsqrt", "recip"), 5.0),
}
TRANSCENDENTAL = 20.0
#: functions that answer with a bool
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
LOGICAL = ("logical_and", "logical_or", "logical_xor", "logical_not")
PREDICATES = frozenset((*COMPARISONS, *LOGICAL, "isnan", "isinf", "isfinite", "signbit"))


class ProbeScalar:
    """A scalar of which only the dtype is known."""

    __slots__ = ("dtype", "probe")
    __hash__ = object.__hash__

    def __init__(self, probe: Probe, dtype: DType) -> None:
        self.probe = probe
        self.dtype = dtype

    def __eq__(self, other: object) -> Any:
        return self.probe.apply("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.probe.apply("ne", self, other)

    def __neg__(self) -> ProbeScalar:
        return self.probe.apply("neg", self)

    def __abs__(self) -> ProbeScalar:
        return self.probe.apply("abs", self)

    def __invert__(self) -> ProbeScalar:
        return self.probe.apply("not", self)


def _operator(function: str) -> Callable[[ProbeScalar, object], ProbeScalar]:
    return lambda self, other: self.probe.apply(function, self, other)


_OPERATORS = {
    **{
        name: name
        for name in ("add", "sub", "mul", "floordiv", "mod", "pow", "and", "or", "xor", "lt", "le", "gt", "ge")
    },
    **{"truediv": "div", "lshift": "shl", "rshift": "shr"},
}
for _name, _function in _OPERATORS.items():
    setattr(ProbeScalar, f"__{_name}__", _operator(_function))
    if _name not in COMPARISONS:
        setattr(ProbeScalar, f"__r{_name}__", _operator(_function))


class Probe:
    """The handler: `cost` sums up the work, `indices` the positions turned into scalars.

    Data-dependent indices become fresh symbols, whose extents are in `data_ranges`.
    """

    def __init__(self) -> None:
        self.cost = 0.0
        self.indices: list[Index] = []
        self.checks: list[str] = []
        self.data_ranges: dict[str, Dim] = {}
        self.mask: ProbeScalar | None = None

    def scalar(self, dtype: DType) -> ProbeScalar:
        return ProbeScalar(self, dtype)

    def apply(self, function: str, *operands: object) -> ProbeScalar:
        """One scalar function; the result has the dtype of the last scalar operand, or bool."""
        self.cost += COSTS.get(function, TRANSCENDENTAL)
        if function in PREDICATES:
            return self.scalar(dtypes.bool_)
        known = [x.dtype for x in operands if isinstance(x, ProbeScalar)]
        return self.scalar(known[-1] if known else dtypes.float32)

    def const(self, value: float | int | bool, dtype: DType) -> ProbeScalar:
        return self.scalar(dtype)

    def cast(self, x: Any, dtype: DType) -> ProbeScalar:
        if isinstance(x, ProbeScalar) and x.dtype is dtype:
            return x
        self.cost += COSTS["cast"]
        return self.scalar(dtype)

    def dtype(self, x: ProbeScalar) -> DType:
        return x.dtype

    def index_scalar(self, index: Index) -> ProbeScalar:
        self.indices.append(index)
        return self.scalar(dtypes.int64)

    def as_index(self, x: ProbeScalar, size: Dim, message: str) -> Index:
        name = f"d{len(self.data_ranges)}"
        self.data_ranges[name] = size
        self.checks.append(message)
        return dims.sym(name)

    def __getattr__(self, function: str) -> Callable[..., ProbeScalar]:
        if function.startswith("_"):
            raise AttributeError(function)
        return partial(self.apply, function)
