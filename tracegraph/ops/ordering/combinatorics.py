"""Choices of elements, powers, and equal parts."""

from __future__ import annotations

import itertools

from tracegraph import dtypes
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived


@define_op
class Combinations(Derived):
    """All choices of `r` elements of a vector, in order of position, as rows."""

    signature = "(input: Tensor, r: int = 2, with_replacement: bool = False)"
    samples = samples(call(A((4,))), call(A((3,)), 3, True), call(A((2,)), 3), call(A((3,)), 0), call(A((0,))))

    def decompose(self, x: Handle, *, r: int, with_replacement: bool) -> Handle:
        if x.ndim != 1:
            raise ShapeError(f"combinations: expected a vector, got {describe(x)}")
        if r < 0:
            raise ValueRangeError(f"combinations: r={r} must not be negative")
        if r == 0:
            return F.zeros((0,), dtype=x.dtype)
        choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
        chosen = list(choose(range(x.shape[0]), r))
        if not chosen:
            return F.zeros((0, r), dtype=x.dtype)
        positions = x.new_tensor([p for row in chosen for p in row], dtype=dtypes.int64)
        return x.index_select(0, positions).reshape((len(chosen), r))


@define_op
class Vander(Derived):
    """Powers of the elements in a new last dimension: from `N` - 1 down to 0, or upwards if `increasing`."""

    method = False
    signature = "(x: Tensor, N: OptionalInt = None, increasing: bool = False)"
    samples = samples(call(A((4,))), call(A((3,)), 2, True), call(A((2, 3)), 4), call(A((3,)), 0))

    def decompose(self, x: Handle, *, N: Dim | None, increasing: bool) -> Handle:
        if x.ndim < 1:
            raise ShapeError(f"vander: expected a tensor of at least one dimension, got {describe(x)}")
        count = x.shape[-1] if N is None else N
        if count < 0:
            raise ValueRangeError(f"vander: N={count} must not be negative")
        exponents = F.arange(count)
        return x.unsqueeze(-1).pow(exponents if increasing else F.flip(exponents, (0,)))


class _SplitAlong(Derived):
    """Base: `tensor_split` along a dimension that the rank may decide."""

    signature = "(input: Tensor, indices_or_sections: int_or_ints)"
    rank = 1

    def axis(self, x: Handle) -> int:
        """The dimension that is split."""
        return self.rank - 1

    def decompose(self, x: Handle, *, indices_or_sections: Dim | tuple[Dim, ...]) -> tuple[Handle, ...]:
        if x.ndim < self.rank:
            raise ShapeError(f"{self.name}: expected at least {self.rank} dimensions, got {describe(x)}")
        axis = self.axis(x)
        parts = indices_or_sections
        if isinstance(parts, tuple):
            return tuple(F.tensor_split(x, parts, axis))
        if x.shape[axis] % parts != 0:
            raise ShapeError(f"{self.name}: {describe(x)} does not fall into {parts} equal parts along dim {axis}")
        return tuple(F.tensor_split(x, parts, axis))


@define_op
class Hsplit(_SplitAlong):
    """Parts of a tensor along its columns (along the only dimension of a vector): so many, or before these positions.

    Raises:
        ShapeError: the tensor has too few dimensions, or does not fall into equal parts.
    """

    samples = samples(call(A((2, 4)), 2), call(A((4,)), [1, 3]))

    def axis(self, x: Handle) -> int:
        return 0 if x.ndim == 1 else 1


@define_op
class Vsplit(_SplitAlong):
    """Parts of a tensor along its rows: so many equal ones, or before these positions.

    Raises:
        ShapeError: the tensor has too few dimensions, or does not fall into equal parts.
    """

    rank = 2
    samples = samples(call(A((4, 2)), 2), call(A((4, 2)), [1, 3]))

    def axis(self, x: Handle) -> int:
        return 0


@define_op
class Dsplit(_SplitAlong):
    """Parts of a tensor along its third dimension: so many equal ones, or before these positions.

    Raises:
        ShapeError: the tensor has too few dimensions, or does not fall into equal parts.
    """

    rank = 3
    samples = samples(call(A((2, 2, 4)), 2))
