"""Putting items together into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.ops import functional as F
from tracegraph.tensor import Tensor, from_numpy, tensor


def default_collate(items: Sequence[Any]) -> Any:
    """Stack tensors, arrays and numbers; collate the parts of mappings, tuples and lists; keep strings in a list.

    Python floats become float64 tensors, integers int64, as in PyTorch.

    Raises:
        ArgumentError: the items are of a type that cannot be batched.
    """
    first = items[0]
    if isinstance(first, Tensor):
        return F.stack(list(items))
    if isinstance(first, np.ndarray):
        return from_numpy(np.stack(list(items)))
    if isinstance(first, np.generic):
        return from_numpy(np.asarray(items))
    if isinstance(first, float):
        return tensor(np.asarray(items, np.float64))
    if isinstance(first, bool | int):
        return tensor(list(items))
    if isinstance(first, str | bytes):
        return list(items)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(part) for part in zip(*items, strict=True)))
    if isinstance(first, tuple | list):
        lengths = sorted({len(item) for item in items})
        if len(lengths) > 1:
            raise ShapeError(
                f"default_collate: items of lengths {lengths} make no batch; give the DataLoader a collate_fn"
            )
        return [default_collate(part) for part in zip(*items, strict=True)]
    raise ArgumentError(
        f"default_collate: cannot batch items of type {type(first).__name__}; give the DataLoader a collate_fn"
    )
