"""A function of one sample called once for all: the part of `vmap` that captured code does in a way of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tracegraph.ops.graphs.batched import Level
from tracegraph.pytree import TreeSpec
from tracegraph.tensor.batched import BatchedTensor

#: a result for all samples: a tensor, whose first dimension is that of samples if it differs from sample to sample, or
#: something else; whether it does; and the number of samples
Mapped: TypeAlias = tuple[Any, bool, int]


def map_samples(
    of_sample: Callable[[Sequence[Any]], tuple[list[Any], TreeSpec]],
    leaves: Sequence[Any],
    dims: Sequence[int | None],
    size: int,
    randomness: str,
    drawn: list[Any] | None,
) -> tuple[list[Mapped], TreeSpec]:
    """Call `of_sample` on the samples of `leaves` along `dims`; its results, and its second one as it is.

    Args:
        dims: None for what is the same for all samples.
        drawn: of several calls, keys of random numbers that are the same for all samples, as far as they have drawn.
    """
    level = Level(size, randomness, BatchedTensor, drawn)
    with level:
        samples = [
            leaf if d is None else level.wrap(leaf.movedim(d, 0) if d else leaf)
            for leaf, d in zip(leaves, dims, strict=True)
        ]
        results, structure = of_sample(samples)
        found: list[Mapped] = [(level.spread(r), True, size) if level.varies(r) else (r, False, size) for r in results]
    return found, structure
