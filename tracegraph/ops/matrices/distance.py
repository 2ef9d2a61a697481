"""Distances between vectors."""

from __future__ import annotations

from tracegraph.errors import DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived

#: rows from which on Euclidean distances are a matrix product, as in PyTorch
PRODUCT_ROWS = 25
MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@define_op
class Cdist(Derived):
    """The p-norm of the difference of every row of `x1` [..., m, n] and every row of `x2` [..., k, n]: [..., m, k].

    Euclidean distances of more than 25 rows come from |a|^2 + |b|^2 - 2 a.b, which is a matrix product and loses
    accuracy where points nearly coincide; `compute_mode` forces or forbids it, by PyTorch's names.
    """

    signature = "(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = 'use_mm_for_euclid_dist_if_necessary')"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((3, 4)), A((5, 4))),
        call(A((2, 3, 4)), A((5, 4)), p=1.0),
        call(A((3, 4)), A((5, 4)), compute_mode="use_mm_for_euclid_dist"),
        call(A((0, 4)), A((5, 4))),
    )

    def decompose(self, x1: Handle, x2: Handle, *, p: float, compute_mode: str) -> Handle:
        for name, t in (("x1", x1), ("x2", x2)):
            if t.ndim < 2:
                raise ShapeError(f"cdist: {name} {describe(t)} must have the dimensions [..., rows, features]")
            if not t.dtype.is_floating:
                raise DTypeError(f"cdist: {name} {describe(t)} must be floating; convert it with .to(...)")
        if not equal(x1.shape[-1], x2.shape[-1]):
            raise ShapeError(f"cdist: x1 {describe(x1)} and x2 {describe(x2)} must have equally many features")
        if compute_mode not in MODES or p < 0:
            raise ValueRangeError(f"cdist: p={p} must not be negative, compute_mode={compute_mode!r} one of {MODES}")
        by_product = compute_mode == MODES[1] or (compute_mode == MODES[0] and _many_rows(x1, x2))
        if p == 2 and by_product:
            return _by_product(x1, x2)
        return F.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def _many_rows(x1: Handle, x2: Handle) -> bool:
    rows = (x1.shape[-2], x2.shape[-2])
    return any(dims.is_below(PRODUCT_ROWS, n) for n in rows)


def _by_product(x1: Handle, x2: Handle) -> Handle:
    first, second = (x1 * x1).sum(-1).unsqueeze(-1), (x2 * x2).sum(-1).unsqueeze(-2)
    square = first + second - 2 * x1.matmul(x2.transpose(-2, -1))
    # rounding may leave less than nothing, and the root has no slope at 0
    positive = square > 0
    return F.where(positive, F.where(positive, square, 1.0).sqrt(), 0.0)


@define_op
class Pdist(Derived):
    """The p-norms of the differences of every two rows of `input` [n, m]: [n * (n - 1) / 2], row by row."""

    signature = "(input: Tensor, p: float = 2.0)"
    method = False
    samples = samples(call(A((4, 3))), call(A((3, 2)), p=1.0), call(A((1, 3))))

    def decompose(self, x: Handle, *, p: float) -> Handle:
        if x.ndim != 2 or p < 0:
            raise ShapeError(f"pdist: input {describe(x)} must be rows and features, and p={p} not negative")
        first, second = F.triu_indices(x.shape[0], x.shape[0], 1)
        return F.vector_norm(x[first] - x[second], p, -1)
