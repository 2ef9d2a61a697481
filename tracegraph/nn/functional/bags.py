"""Bags of embeddings: the rows of a table that belong together, added up."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    mode: str = "mean",
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows of `weight` in each bag.

    The bags are the rows of `input` [bags, numbers]; or parts of a vector, that begin at `offsets`.

    Raises:
        ShapeError: a matrix with offsets, a vector without, or weights of another shape than the numbers.
        ValueRangeError: an unknown mode, or weights for another mode than "sum".
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueRangeError(f"embedding_bag: mode={mode!r} must be 'sum', 'mean' or 'max'")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise ValueRangeError("embedding_bag: per_sample_weights are for mode='sum', one for each number")
    if input.ndim not in (1, 2) or (input.ndim == 1) == (offsets is None):
        raise ShapeError("embedding_bag: input must be a matrix, or a vector and offsets given")
    if input.ndim == 2:
        count, bag = input.shape[0], ops.arange(input.shape[0]).repeat_interleave(input.shape[1])
    else:
        starts = offsets[:-1] if include_last_offset else offsets
        count, places = starts.shape[0], ops.arange(input.shape[0])
        bag = ops.searchsorted(starts, places, right=True) - 1
    numbers = input.reshape(-1)
    rows = ops.embedding(numbers, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape((-1, 1))
    counted = ops.ones_like(numbers) if padding_idx is None else numbers != padding_idx % weight.shape[0]
    counted = counted.to(rows.dtype).unsqueeze(-1)
    sums = ops.zeros((count, weight.shape[1]), dtype=rows.dtype)
    if mode == "max":
        index = bag.unsqueeze(-1).expand(rows.shape)
        lowest = ops.where(counted > 0, rows, -float("inf"))
        found = sums.scatter_reduce(0, index, lowest, "amax", include_self=False)
        return ops.where(found == -float("inf"), 0.0, found)
    total = sums.index_add(0, bag, rows * counted)
    if mode == "sum":
        return total
    return total / sums[:, :1].index_add(0, bag, counted).clamp(min=1)
