"""Dropout with an explicit random key: a pure function, the same mask for the same key in eager and compiled code."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.errors import ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.kinds import Composite
from tracegraph.ops.neural.normalization import check_floating


@define_op
class DropoutWithKey(Composite):
    """Zeros with probability `p`, else x / (1 - p); `key` comes from `next_key()`."""

    signature = "(input: Tensor, key: Tensor, p: float = 0.5)"
    method = False
    shape_only = ("x",)
    samples = samples(
        call(A((3, 5)), A((2,), 0, 1000, dtype=dtypes.int64), 0.3),
        call(A((67,)), A((2,), 0, 1000, dtype=dtypes.int64)),
        call(A((3, 5)), A((2,), 0, 1000, dtype=dtypes.int64), 1.0),
    )

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        x, _ = operands
        assert isinstance(x, TensorType)
        check_probability(self.name, attrs["p"])
        check_floating(self.name, x)
        return (x,)

    def decompose(self, x: Handle, key: Handle, *, p: float) -> Handle:
        check_probability(self.name, p)
        check_floating(self.name, x)
        return _masked(x, x, key, p)

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        return self.expand(operands, attrs)  # whose gradient is the one below

    def vjp(self, g: Handle, y: Handle, x: Handle, key: Handle, *, p: float) -> Gradient:
        return _masked(g, x, key, p), None


def _masked(values: Handle, x: Handle, key: Handle, p: float) -> Handle:
    if p == 1:
        return values * 0.0
    kept = F.philox_uniform(key, tuple(x.shape)) >= p
    return F.where(kept, values * (1 / (1 - p)), 0.0)


def check_probability(op: str, p: float) -> None:
    """Check a dropout probability.

    Raises:
        ValueRangeError: it is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ValueRangeError(f"{op}: p={p} must be a probability in [0, 1]")
