"""Quantiles between sorted elements, medians that pass over nan, and the most frequent element."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, ShapeError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, type_of
from tracegraph.ops.kinds import Derived
from tracegraph.ops.ordering.sorting import Selected, order

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


class Quantiles(Derived):
    """Base of quantile and nanquantile: `q` is a number or a vector of them, and its dimension comes first."""

    signature = (
        "(input: Tensor, q: Number, dim: OptionalDim = None, keepdim: bool = False, *, interpolation: str = 'linear')"
    )

    def decompose(self, x: Handle, q: Any, *, dim: int | None, keepdim: bool, interpolation: str) -> Handle:
        if x.dtype not in (dtypes.float32, dtypes.float64):
            raise DTypeError(f"{self.name}: input must be float32 or float64, got {describe(x)}")
        if interpolation not in INTERPOLATIONS:
            raise ValueRangeError(f"{self.name}: interpolation={interpolation!r} must be one of {INTERPOLATIONS}")
        if is_tensor(q) and (q.ndim > 1 or q.dtype is not x.dtype):
            raise ShapeError(
                f"{self.name}: q {describe(q)} must be a number or a vector, of the dtype of {describe(x)}"
            )
        if not is_tensor(q):
            if not 0 <= q <= 1:
                raise ValueRangeError(f"{self.name}: q={q} must lie in [0, 1]")
            q = F.full((), q, dtype=x.dtype)
        rank = x.ndim
        lines = x.reshape(-1) if dim is None else x.unsqueeze(0) if not rank else x.movedim(dim, -1)
        found = self._between(lines.sort(-1)[0], q.reshape(-1), interpolation)  # [..., q]
        if keepdim and dim is None:
            found = found.reshape((*(1,) * rank, -1))
        elif keepdim and rank:
            found = found.unsqueeze(dim)
        return found.movedim(-1, 0) if q.ndim else found.squeeze(-1)

    def _between(self, ranked: Handle, q: Handle, interpolation: str) -> Handle:
        size = ranked.shape[-1]
        if size == 0:
            raise ShapeError(f"{self.name}: the input must not be empty")
        is_fraction = (q >= 0) & (q <= 1)
        place, is_nan = self.places(ranked, F.where(is_fraction, q, 0.0))
        is_nan = is_nan | is_fraction.logical_not()
        below = place.floor()
        if interpolation == "nearest":
            below = place.round()
        elif interpolation == "higher":
            below = place.ceil()
        low = F.gather(ranked, -1, below.to(dtypes.int64))
        if interpolation in ("linear", "midpoint"):
            high = F.gather(ranked, -1, place.ceil().to(dtypes.int64))
            weight = place - below if interpolation == "linear" else F.full_like(place, 0.5)
            low = F.lerp(low, high, weight)
        return F.where(is_nan, float("nan"), low)

    @abstractmethod
    def places(self, ranked: Handle, q: Handle) -> tuple[Handle, Handle]:
        """Positions among the sorted elements, and where the result is nan."""


@define_op
class Quantile(Quantiles):
    """The q-quantiles along `dim` (default: of all elements), between the nearest two elements; nan if there is nan.

    A tensor `q` gives nan where it is not in [0, 1].

    Raises:
        DTypeError: the input is neither float32 nor float64.
        ValueRangeError: a number `q` outside [0, 1], or an unknown interpolation.
    """

    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((3, 5), distinct=True), 0.3, 1, dtypes=(dtypes.float32, dtypes.float64)),
        call(A((7,), distinct=True), A((3,), 0, 1), dtypes=(dtypes.float32, dtypes.float64)),
        call(
            A((3, 4), distinct=True), 0.6, 0, True, interpolation="midpoint",
            dtypes=(dtypes.float32, dtypes.float64),
        ),
    )  # fmt: skip

    def places(self, ranked: Handle, q: Handle) -> tuple[Handle, Handle]:
        is_nan = ranked[..., -1:].isnan()  # nan sorts last
        place = q * (ranked.shape[-1] - 1)
        return F.expand(place, (*ranked.shape[:-1], q.shape[0])), is_nan


@define_op
class Nanquantile(Quantiles):
    """The q-quantiles along `dim` of the elements that are not nan; nan where there are none."""

    autocast = Autocast.FLOAT32
    samples = samples(call(A((3, 5), distinct=True), 0.3, 1, dtypes=(dtypes.float32, dtypes.float64)))

    def places(self, ranked: Handle, q: Handle) -> tuple[Handle, Handle]:
        count = ranked.isnan().logical_not().sum(-1, keepdim=True)
        return q * (count - 1).clamp(min=0).to(q.dtype), count == 0


class LineMedian(Selected):
    """Base of choices among the elements of a line, by numpy."""

    method = False
    signature = "(input: Tensor, dim: dim = -1, keepdim: bool = False)"

    def eager(self, x: np.ndarray, dim: int, keepdim: bool) -> Any:
        self.infer(type_of(x), dim=dim, keepdim=keepdim)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        return self.select(x, self.positions(x, dim), dim, keepdim)

    @abstractmethod
    def positions(self, x: np.ndarray, dim: int) -> np.ndarray:
        """Which element of each line, with `dim` kept."""


@define_op
class NanmedianDim(LineMedian):
    """The median along `dim` of the elements that are not nan, the lower of two, and its position."""

    samples = samples(call(A((3, 5), distinct=True), 1), call(A((4, 3), distinct=True), 0, True))

    def positions(self, x: np.ndarray, dim: int) -> np.ndarray:
        count = np.sum(np.equal(x, x), axis=dim, keepdims=True)
        return np.take_along_axis(order(x, dim, False), np.maximum(count - 1, 0) // 2, axis=dim)


@define_op
class Nanmedian(Derived):
    """The median of all elements that are not nan, the lower of two; `nanmedian(x, dim)` is `nanmedian_dim`."""

    samples = samples(call(A((3, 5), distinct=True)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) == 1:
            return super().__call__(*args, **kwargs)
        return F.nanmedian_dim(*args, **kwargs)

    def decompose(self, x: Handle) -> Handle:
        return F.nanmedian_dim(x.reshape(-1), 0)[0]


@define_op
class Mode(LineMedian):
    """The most frequent element along `dim`, the smallest of several, and the position of its last occurrence."""

    method = True
    samples = samples(
        call(A((3, 5), -1, 1, dtype=dtypes.int64), 1), call(A((4, 3), distinct=True), 0, True), call(A(()))
    )

    def positions(self, x: np.ndarray, dim: int) -> np.ndarray:
        lines = np.moveaxis(x, dim, -1)
        ranked = np.moveaxis(order(x, dim, False), dim, -1)
        found = np.empty((*lines.shape[:-1], 1), np.int64)
        for row in np.ndindex(lines.shape[:-1]):
            line = lines[row][ranked[row]]
            starts = np.flatnonzero(np.concatenate(([True], line[1:] != line[:-1])))
            lengths = np.diff(np.append(starts, len(line)))
            longest = np.argmax(lengths)  # the first: the smallest element
            found[row] = ranked[row][starts[longest] + lengths[longest] - 1]
        return np.moveaxis(found, -1, dim)
