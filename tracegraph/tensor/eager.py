"""Eager execution: the dispatch handler that runs an op's numpy rule on tensors, without recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph.ops.core import dispatch
from tracegraph.ops.core.definition import Definition
from tracegraph.tensor.storage import ViewOf
from tracegraph.tensor.tensor import Tensor


def run(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Execute `op`; its results as tensors without history."""
    arrays = [o._np if isinstance(o, Tensor) else o for o in operands]
    return wrapped(op, operands, attrs, op.run(*arrays, **attrs))


def wrapped(
    op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any], outputs: tuple[np.ndarray, ...]
) -> tuple[Tensor, ...]:
    """What `op` gave as tensors without history: new ones, or views of its operand; writes are counted."""
    if op.is_view:
        return tuple([_view(op, operands[0], array, attrs) for array in outputs])
    for position in op.mutates:
        operands[position].storage.version += 1
    if len(outputs) == 1:
        (array,) = outputs
        return (Tensor(array if array.flags.c_contiguous else _dense(array)),)
    return tuple([Tensor(_dense(array)) for array in outputs])


def _dense(array: np.ndarray) -> np.ndarray:
    """Fresh results are row-major, whatever order numpy computed them in."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def _view(op: Definition, source: Tensor, array: np.ndarray, attrs: dict[str, Any]) -> Tensor:
    result = Tensor(array)
    if op.shares_version:  # type: ignore[attr-defined]
        result._storage = source.storage
    is_recorded = op.is_recorded  # type: ignore[attr-defined]
    if not op.shares_history and is_recorded:  # type: ignore[attr-defined]
        return result  # no gradient passes, so what is written to the one is not in the history of the other
    origin = source._view
    if origin is None:
        result._view = ViewOf(source, ((op, attrs),), is_recorded)
    else:
        result._view = ViewOf(origin.base, (*origin.chain, (op, attrs)), is_recorded and origin.is_recorded)
    return result


def handle(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """The dispatch handler of eager tensors as long as no tape is loaded."""
    results = run(op, operands, attrs)
    return op.pack(results) if results else None


dispatch.register_handler(Tensor, handle, rank=1)
dispatch.set_default_creation(handle)
