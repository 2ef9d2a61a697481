"""The different elements of a tensor. How many there are depends on the data, so none of this can be traced."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DataDependentError
from tracegraph.ir import TensorType
from tracegraph.ops.core.definition import define_op
from tracegraph.ops.core.samples import samples
from tracegraph.ops.kinds import Library
from tracegraph.ops.numerics.scalar import cast_array


class Different(Library):
    """Base: the different elements (or slices along `dim`), where each element went, and how often each occurs."""

    samples = samples()  # no static result type: tests of their own
    #: how many arguments stand before those that PyTorch takes by position and the signature by name only
    leading: ClassVar[int]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.update(zip(("return_inverse", "return_counts", "dim"), args[self.leading :], strict=False))
        return self._call(*args[: self.leading], **kwargs)

    def _call(self, *args: Any, return_inverse: bool = False, return_counts: bool = False, **kwargs: Any) -> Any:
        values, inverse, counts = super().__call__(*args, **kwargs)
        results = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
        return results if len(results) > 1 else values

    def infer(self, x: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        raise DataDependentError(f"{self.name}({x}): the size of its result")

    def lines(self, x: np.ndarray, dim: int | None) -> np.ndarray:
        """The elements, or the slices along `dim`, as rows."""
        if dim is None:
            return x.reshape(-1, 1)
        return np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1)

    def packed(self, x: np.ndarray, dim: int | None, chosen: np.ndarray, inverse: np.ndarray) -> Any:
        """Results, given which lines are kept and where every line went among them."""
        counts = np.bincount(inverse, minlength=len(chosen)).astype(np.int64)
        if dim is None:
            return x.reshape(-1)[chosen], inverse.reshape(x.shape), counts
        return np.take(x, chosen, dim), inverse, counts


@define_op
class Unique(Different):
    """The different elements in ascending order; with `dim` the different slices along it, in lexicographic order.

    `return_inverse` adds the position of every element (slice) among them, `return_counts` how often each occurs.
    nan differs from itself.

    Raises:
        DataDependentError: while tracing; the number of elements depends on the data.
    """

    signature = "(input: Tensor, sorted: bool = True, *, dim: OptionalDim = None)"
    leading = 2

    def eager(self, x: np.ndarray, sorted: bool, dim: int | None) -> Any:
        lines = cast_array(self.lines(x, dim), dtypes.from_numpy(x.dtype).compute)
        order = np.lexsort(lines.T[::-1]) if lines.shape[1] else np.arange(len(lines))
        ranked = lines[order]
        is_first = np.ones(len(lines), np.bool_)
        is_first[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
        inverse = np.empty(len(lines), np.int64)
        inverse[order] = np.cumsum(is_first) - 1
        return self.packed(x, dim, order[is_first], inverse)


@define_op
class UniqueConsecutive(Different):
    """The first of every run of equal elements; with `dim`, of equal slices along it.

    `return_inverse` adds the run every element (slice) is in, `return_counts` the lengths of the runs.

    Raises:
        DataDependentError: while tracing; the number of runs depends on the data.
    """

    signature = "(input: Tensor, *, dim: OptionalDim = None)"
    leading = 1

    def eager(self, x: np.ndarray, dim: int | None) -> Any:
        lines = self.lines(x, dim)
        is_first = np.ones(len(lines), np.bool_)
        is_first[1:] = (lines[1:] != lines[:-1]).any(axis=1)
        return self.packed(x, dim, np.flatnonzero(is_first), np.cumsum(is_first) - 1)
