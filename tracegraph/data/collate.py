"""Making one batch of a list of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.tensor import Tensor, from_numpy, tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack tensors, arrays and numbers along a new first dimension; go into tuples, lists and dicts; keep strings.

    Raises:
        ShapeError: arrays differ in shape, or sequences in length.
        ArgumentError: examples of a type that cannot be stacked.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return from_numpy(_stack([t.detach().numpy() for t in batch]))
    if isinstance(first, np.ndarray | np.generic):
        return from_numpy(_stack([np.asarray(a) for a in batch]))
    if isinstance(first, bool | int | float):
        return tensor(list(batch), dtype="float64" if isinstance(first, float) else None)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([example[key] for example in batch]) for key in first}
    if isinstance(first, Sequence):
        return _collate_sequences(batch)
    raise ArgumentError(
        f"default_collate: cannot stack examples of type {type(first).__name__}; they must be tensors, arrays, "
        "numbers, strings, or tuples, lists and dicts of these. Pass a collate_fn"
    )


def _collate_sequences(batch: Sequence[Any]) -> Any:
    first = batch[0]
    lengths = {len(example) for example in batch}
    if len(lengths) > 1:
        raise ShapeError(f"default_collate: the examples are sequences of different lengths: {sorted(lengths)}")
    columns = [default_collate(column) for column in zip(*batch, strict=True)]
    if hasattr(first, "_fields"):
        return type(first)(*columns)
    return columns  # a list for tuples too, as in PyTorch


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise ShapeError(
            f"default_collate: the examples have different shapes: {sorted(map(list, shapes))}; pass a collate_fn that "
            "pads them"
        )
    return np.stack(arrays)
