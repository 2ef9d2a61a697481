"""Losses of class scores against class numbers or class probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, IndexRangeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, type_of
from tracegraph.ops.kinds import Composite
from tracegraph.ops.neural.losses import check_reduction, reduced
from tracegraph.ops.numerics.scalar import cast_array

SCORES = "(input: Tensor, target: Tensor, weight: OptionalTensor = None, ignore_index: int = -100"


def class_dim(x: Any) -> int:
    """The dimension of [N, C, ...] or [C] that runs over the classes."""
    return 1 if len(x.shape) > 1 else 0


def check_targets(op: str, input: Any, target: Any, weight: Any) -> None:
    """Check scores [N, C, ...] or [C] against class numbers [N, ...] or [] and class weights [C].

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    if not input.shape or not input.dtype.is_floating:
        raise DTypeError(f"{op}: input {describe(input)} must be floating scores [N, C, ...] or [C]")
    if not target.dtype.is_integer:
        raise DTypeError(
            f"{op}: target {describe(target)} must hold class numbers of an integer dtype; convert it with .long()"
        )
    axis = class_dim(input)
    expected = (*input.shape[:axis], *input.shape[axis + 1 :])
    if not (len(target.shape) == len(expected) and all(map(equal, target.shape, expected))):
        raise ShapeError(
            f"{op}: target {describe(target)} must have shape {list(expected)}, that of input {describe(input)} "
            f"without its class dimension {axis}"
        )
    if weight is not None and not (len(weight.shape) == 1 and equal(weight.shape[0], input.shape[axis])):
        raise ShapeError(
            f"{op}: weight {describe(weight)} must have shape [{input.shape[axis]}], one element per class"
        )


@define_op
class NllLoss(Composite):
    """-weight[target] * input[target] of log-probabilities [N, C, ...] or [C]; the mean divides by the weights' sum.

    Elements whose target is `ignore_index` count nothing.

    Raises:
        IndexRangeError: a target outside [0, C).
    """

    signature = f"{SCORES}, reduction: str = 'mean')"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((4, 5), -3, 0), A((4,), 0, 4, dtype=dtypes.int64)),
        call(A((4, 5), -3, 0), A((4,), 0, 4, dtype=dtypes.int64), A((5,), 0.5, 2), reduction="sum"),
        call(A((4, 5), -3, 0), A((4,), 0, 4, dtype=dtypes.int64), A((5,), 0.5, 2), ignore_index=1),
        call(A((2, 5, 3), -3, 0), A((2, 3), 0, 4, dtype=dtypes.int64), reduction="none", ignore_index=2),
        call(A((5,), -3, 0), A((), 0, 4, dtype=dtypes.int64)),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        check_reduction(self.name, attrs["reduction"])
        return operands, attrs

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        input, target, weight = operands
        check_targets(self.name, input, target, weight)
        assert isinstance(input, TensorType) and isinstance(target, TensorType)
        return (input.with_shape(target.shape if attrs["reduction"] == "none" else ()),)

    def eager(self, x: np.ndarray, target: np.ndarray, weight: Any, *, ignore_index: int, reduction: str) -> np.ndarray:
        type = type_of(x)
        check_targets(self.name, type, type_of(target), None if weight is None else type_of(weight))
        axis, compute = class_dim(x), type.dtype.compute
        valid = target != ignore_index
        classes = np.where(valid, target, 0)
        if classes.size and not 0 <= classes.min() <= classes.max() < x.shape[axis]:
            raise IndexRangeError(_out_of_range(self.name, x.shape[axis]))
        picked = np.take_along_axis(x, np.expand_dims(classes, axis), axis).squeeze(axis)
        weights = valid.astype(compute.np) if weight is None else cast_array(weight, compute)[classes] * valid
        # an ignored score may be infinite; it must not make 0 * inf
        loss = np.where(valid, -cast_array(picked, compute) * weights, 0).astype(compute.np, copy=False)
        if reduction != "none":
            loss = loss.sum(dtype=compute.np)
        if reduction == "mean":
            loss = loss / weights.sum(dtype=compute.np)
        return cast_array(np.asarray(loss), type.dtype)

    def decompose(
        self, x: Handle, target: Handle, weight: Handle | None, *, ignore_index: int, reduction: str
    ) -> Handle:
        check_targets(self.name, x, target, weight)
        axis, compute = class_dim(x), x.dtype.compute
        valid, classes = _valid_classes(target, ignore_index)
        picked = x.gather(axis, classes.unsqueeze(axis)).squeeze(axis).to(compute)
        weight = None if weight is None else weight.detach()  # by definition they have no gradient
        weights = class_weights(weight, valid, classes, compute)
        loss = F.where(valid, -picked * weights, 0.0)
        if reduction == "mean":
            return (loss.sum() / weights.sum()).to(x.dtype)
        return reduced(self.name, loss, reduction).to(x.dtype)

    def vjp(
        self,
        g: Handle,
        y: Handle,
        x: Handle,
        target: Handle,
        weight: Handle | None,
        *,
        ignore_index: int,
        reduction: str,
    ) -> Gradient:
        """-g * weight at each target's position, 0 elsewhere: a comparison instead of a scatter, so that it fuses."""
        axis, compute = class_dim(x), x.dtype.compute
        valid, classes = _valid_classes(target, ignore_index)
        weights = class_weights(weight, valid, classes, compute)
        cotangent = g.to(compute) / weights.sum() if reduction == "mean" else g.to(compute)
        numbers = F.arange(x.shape[axis], dtype=dtypes.int64).reshape((x.shape[axis], *(1,) * (x.ndim - axis - 1)))
        score = F.where(numbers == classes.unsqueeze(axis), (-cotangent * weights).unsqueeze(axis), 0.0)
        return score, None, None


def _valid_classes(target: Handle, ignore_index: int) -> tuple[Handle, Handle]:
    """Which targets count, and class numbers that are valid for all."""
    classes = target.to(dtypes.int64)
    valid = classes != ignore_index
    return valid, F.where(valid, classes, 0)


def class_weights(weight: Handle | None, valid: Handle, classes: Handle, dtype: DType) -> Handle:
    """The weight of each target: that of its class, 0 where it is ignored."""
    if weight is None:
        return valid.to(dtype)
    flat = classes.reshape((dims.product(tuple(classes.shape)),))
    chosen = weight.to(dtype).index_select(0, flat).reshape(tuple(classes.shape))
    return F.where(valid, chosen, 0.0)


def _out_of_range(op: str, classes: Any) -> str:
    return f"{op}: a target is outside [0, {classes}), the number of classes, and is not ignore_index"


@define_op
class CrossEntropy(Composite):
    """Cross entropy of scores [N, C, ...] or [C], normalised by softmax, with class numbers or class probabilities.

    Class numbers have the scores' shape without C; probabilities have the same shape and a floating dtype.
    `label_smoothing` mixes the target with the uniform distribution.
    """

    signature = f"{SCORES}, reduction: str = 'mean', label_smoothing: float = 0.0)"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((4, 5)), A((4,), 0, 4, dtype=dtypes.int64)),
        # smoothing lets a part of the weights' gradient through, as in PyTorch
        call(A((4, 5)), A((4,), 0, 4, dtype=dtypes.int64), A((5,), 0.5, 2), label_smoothing=0.1, differentiable=False),
        call(A((2, 5, 3)), A((2, 3), 0, 4, dtype=dtypes.int64), ignore_index=1, reduction="sum", label_smoothing=0.1),
        call(A((4, 5)), A((4, 5), 0, 1), A((5,), 0.5, 2), label_smoothing=0.1),
        call(A((4, 5)), A((4, 5), 0, 1), reduction="none"),
        call(A((5,)), A((), 0, 4, dtype=dtypes.int64)),
    )

    def decompose(
        self, x: Handle, target: Handle, weight: Handle | None,
        *, ignore_index: int, reduction: str, label_smoothing: float,
    ) -> Handle:  # fmt: skip
        if not 0 <= label_smoothing <= 1:
            raise ValueRangeError(f"cross_entropy: label_smoothing={label_smoothing} must be in [0, 1]")
        if not x.shape or not x.dtype.is_floating:
            raise DTypeError(f"cross_entropy: input {describe(x)} must be floating scores [N, C, ...] or [C]")
        axis = class_dim(x)
        scores = x.to(x.dtype.compute).log_softmax(axis)
        if target.dtype.is_floating:
            _check_probabilities(x, target)
            loss = _probability_loss(scores, target, weight, reduction, label_smoothing)
        else:
            check_targets(self.name, x, target, weight)
            weight = weight if weight is None else weight.to(scores.dtype)
            loss = F.nll_loss(scores, target, weight, ignore_index, reduction)
            if label_smoothing:
                smooth = _smooth_loss(scores, target, weight, ignore_index, reduction)
                loss = (1 - label_smoothing) * loss + label_smoothing / scores.shape[axis] * smooth
        return loss.to(x.dtype)


def _check_probabilities(x: Handle, target: Handle) -> None:
    if not (x.ndim == target.ndim and all(map(equal, x.shape, target.shape))):
        raise ShapeError(
            f"cross_entropy: a floating target holds class probabilities; {describe(target)} must have the shape of "
            f"input {describe(x)}. Class numbers need an integer dtype"
        )


def _per_class(weight: Handle, x: Handle) -> Handle:
    """Class weights in the shape that broadcasts over [N, C, ...]."""
    return weight.to(x.dtype).reshape((weight.shape[0], *(1,) * (x.ndim - class_dim(x) - 1)))


def _probability_loss(
    scores: Handle, target: Handle, weight: Handle | None, reduction: str, label_smoothing: float
) -> Handle:
    axis = class_dim(scores)
    probabilities = target.to(scores.dtype)
    if label_smoothing:
        probabilities = probabilities * (1 - label_smoothing) + label_smoothing / scores.shape[axis]
    if weight is not None:
        scores = scores * _per_class(weight, scores)
    loss = -(scores * probabilities).sum(axis)
    return reduced("cross_entropy", loss, reduction)


def _smooth_loss(scores: Handle, target: Handle, weight: Handle | None, ignore_index: int, reduction: str) -> Handle:
    """The loss against the uniform distribution, times the number of classes."""
    valid, classes = _valid_classes(target, ignore_index)
    weighted = scores if weight is None else scores * _per_class(weight, scores)
    loss = F.where(valid, -weighted.sum(class_dim(scores)), 0.0)
    if reduction == "mean":
        return loss.sum() / class_weights(weight, valid, classes, scores.dtype).sum()
    return reduced("cross_entropy", loss, reduction)
