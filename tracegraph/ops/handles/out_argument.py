"""The argument `out`, which every function takes: the result is computed, then written there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.shapes import equal_shapes
from tracegraph.ops.handles.methods import assign


def write_out(op: str, out: Any, result: Any) -> Any:
    """Write `result` into `out`, a tensor, or a tuple of them for several results; returns `out`.

    Raises:
        ArgumentError: `out` is not made like the result.
        ShapeError: it has another shape; tensors are not resized.
        DTypeError: the result's dtype is of a higher category.
    """
    if is_tensor(result):
        if not is_tensor(out):
            raise ArgumentError(f"{op}: argument 'out' must be a Tensor, got {type(out).__name__}")
        if not equal_shapes(tuple(out.shape), tuple(result.shape)):
            raise ShapeError(
                f"{op}: out has shape {list(out.shape)}, the result {list(result.shape)}; tensors are not resized, "
                "make out of the right shape"
            )
        return assign(out, result, f"{op}(out=...)")
    if not isinstance(result, Sequence) or not isinstance(out, Sequence) or len(out) != len(result):
        raise ArgumentError(f"{op}: argument 'out' must hold a Tensor for each of the results")
    for target, value in zip(out, result, strict=True):
        write_out(op, target, value)
    return out
