"""Losses of predictions against targets of the same shape, elementwise and then reduced."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.promotion import result_type
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal_shapes
from tracegraph.ops.kinds import Composite

TWO = "(input: Tensor, target: Tensor"
REDUCTIONS = ("none", "mean", "sum")


def check_reduction(op: str, reduction: str) -> None:
    """Check the name of a reduction.

    Raises:
        ValueRangeError: it is none of the three.
    """
    if reduction not in REDUCTIONS:
        raise ValueRangeError(f"{op}: reduction={reduction!r} must be one of {', '.join(map(repr, REDUCTIONS))}")


def reduced(op: str, loss: Handle, reduction: str) -> Handle:
    """The elementwise loss as it is, its mean or its sum.

    Raises:
        ValueRangeError: `reduction` is none of the three.
    """
    check_reduction(op, reduction)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def check_same_shape(op: str, input: Handle, target: Handle) -> None:
    """Check that prediction and target have one shape.

    Raises:
        ShapeError: they do not; broadcasting here is nearly always a mistake.
    """
    if not equal_shapes(tuple(input.shape), tuple(target.shape)):
        raise ShapeError(f"{op}: input {describe(input)} and target {describe(target)} must have the same shape")


class ElementwiseLoss(Composite):
    """A loss whose elements depend on one element each of input and target; they broadcast.

    Rules:
        loss(self, input, target, **attrs): the elementwise loss; 16-bit floats come as float32.
    """

    method = False

    loss: ClassVar[Callable[..., Handle]]

    def decompose(self, input: Handle, target: Handle, *, reduction: str, **attrs: Any) -> Handle:
        dtype = result_type(_type(input), _type(target))
        loss = self.loss(input.to(dtype.compute), target.to(dtype.compute), **attrs)
        return reduced(self.name, loss, reduction).to(dtype)


def _type(x: Handle) -> TensorType:
    return TensorType(x.dtype, tuple(x.shape))


def _samples(*options: dict[str, Any], low: float = -2, high: float = 2) -> Any:
    listed = [
        call(A((3, 5), low, high), A((3, 5), low, high), reduction=r, **o) for r in REDUCTIONS for o in options or ({},)
    ]
    return samples(*listed)


@define_op
class MseLoss(ElementwiseLoss):
    """(input - target)^2."""

    signature = f"{TWO}, reduction: str = 'mean')"
    autocast = Autocast.FLOAT32
    samples = _samples()

    def loss(self, input: Handle, target: Handle, **attrs: Any) -> Handle:
        difference = input - target
        return difference * difference


@define_op
class L1Loss(ElementwiseLoss):
    """|input - target|."""

    signature = f"{TWO}, reduction: str = 'mean')"
    autocast = Autocast.FLOAT32
    samples = _samples()

    def loss(self, input: Handle, target: Handle, **attrs: Any) -> Handle:
        return (input - target).abs()


@define_op
class SmoothL1Loss(ElementwiseLoss):
    """0.5 * d^2 / beta where d = |input - target| is below beta, d - 0.5 * beta elsewhere."""

    signature = f"{TWO}, reduction: str = 'mean', beta: float = 1.0)"
    autocast = Autocast.FLOAT32
    samples = _samples({}, {"beta": 0.5}, {"beta": 0.0})

    def loss(self, input: Handle, target: Handle, **attrs: Any) -> Handle:
        beta, distance = attrs["beta"], (input - target).abs()
        if beta < 0:
            raise ValueRangeError(f"smooth_l1_loss: beta={beta} must not be negative")
        if beta == 0:
            return distance
        return F.where(distance < beta, distance * distance * (0.5 / beta), distance - 0.5 * beta)


@define_op
class HuberLoss(ElementwiseLoss):
    """0.5 * d^2 where d = |input - target| is below delta, delta * (d - 0.5 * delta) elsewhere."""

    signature = f"{TWO}, reduction: str = 'mean', delta: float = 1.0)"
    autocast = Autocast.FLOAT32
    samples = _samples({}, {"delta": 0.5})

    def loss(self, input: Handle, target: Handle, **attrs: Any) -> Handle:
        delta, distance = attrs["delta"], (input - target).abs()
        if delta <= 0:
            raise ValueRangeError(f"huber_loss: delta={delta} must be positive")
        return F.where(distance < delta, distance * distance * 0.5, delta * (distance - 0.5 * delta))


@define_op
class KlDiv(Composite):
    """target * (log(target) - input): the divergence of log-probabilities `input` from probabilities `target`.

    With `log_target` the target is given as log-probabilities. 'batchmean' divides the sum by the first dimension.
    """

    signature = f"{TWO}, reduction: str = 'mean', log_target: bool = False)"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((3, 5), -3, 0), A((3, 5), 0.1, 1)),
        call(A((3, 5), -3, 0), A((3, 5), 0.1, 1), reduction="batchmean"),
        call(A((3, 5), -3, 0), A((3, 5), -3, 0), reduction="sum", log_target=True),
        call(A((3, 5), -3, 0), A((3, 5), 0.1, 1), reduction="none"),
    )

    def decompose(self, input: Handle, target: Handle, *, reduction: str, log_target: bool) -> Handle:
        dtype = result_type(_type(input), _type(target))
        given, wanted = input.to(dtype.compute), target.to(dtype.compute)
        if log_target:
            loss = wanted.exp() * (wanted - given)
        else:
            positive = wanted > 0
            # 0 * log(0) counts as 0, and gives no nan gradient either
            entropy = F.where(positive, wanted * F.where(positive, wanted, 1.0).log(), 0.0)
            loss = F.where(wanted.isnan(), wanted, entropy) - wanted * given
        if reduction == "batchmean":
            return (loss.sum() / loss.shape[0]).to(dtype)
        return reduced(self.name, loss, reduction).to(dtype)


@define_op
class BinaryCrossEntropy(Composite):
    """-(target * log(input) + (1 - target) * log(1 - input)) of probabilities; logarithms are at least -100."""

    signature = f"{TWO}, weight: OptionalTensor = None, reduction: str = 'mean')"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((3, 5), 0.1, 0.9), A((3, 5), 0, 1)),
        call(A((3, 5), 0.1, 0.9), A((3, 5), 0, 1), A((5,), 0, 1), reduction="sum"),
        call(A((3, 5), 0.1, 0.9), A((3, 5), 0, 1), reduction="none"),
    )

    def decompose(self, input: Handle, target: Handle, weight: Handle | None, *, reduction: str) -> Handle:
        check_same_shape(self.name, input, target)
        dtype, compute = input.dtype, input.dtype.compute
        p, t = input.to(compute), target.to(compute)
        loss = (t - 1) * (-p).log1p().clamp(min=-100) - t * p.log().clamp(min=-100)
        if weight is not None:
            loss = loss * weight.to(compute)
        return reduced(self.name, loss, reduction).to(dtype)


@define_op
class BinaryCrossEntropyWithLogits(Composite):
    """Binary cross entropy of sigmoid(input), computed without overflow; `pos_weight` weighs positive targets."""

    signature = f"{TWO}, weight: OptionalTensor = None, reduction: str = 'mean', pos_weight: OptionalTensor = None)"
    method = False
    autocast = Autocast.FLOAT32
    samples = samples(
        call(A((3, 5), -4, 4), A((3, 5), 0, 1)),
        call(A((3, 5), -4, 4), A((3, 5), 0, 1), A((5,), 0, 1), reduction="sum"),
        call(A((3, 5), -4, 4), A((3, 5), 0, 1), reduction="none", pos_weight=A((5,), 0.5, 2)),
    )

    def decompose(
        self, input: Handle, target: Handle, weight: Handle | None, pos_weight: Handle | None, *, reduction: str
    ) -> Handle:
        check_same_shape(self.name, input, target)
        dtype, compute = input.dtype, input.dtype.compute
        x, t = input.to(compute), target.to(compute)
        # one op, for its gradient is right at 0 too; those of |x| and max(x, 0) there do not add up to sigmoid(0)
        logsigmoid = F.logsigmoid(x)
        if pos_weight is None:
            loss = (1 - t) * x - logsigmoid
        else:
            loss = (1 - t) * x - (1 + (pos_weight.to(compute) - 1) * t) * logsigmoid
        if weight is not None:
            loss = loss * weight.to(compute)
        return reduced(self.name, loss, reduction).to(dtype)


@define_op
class GaussianNllLoss(Composite):
    """Negative log-likelihood of targets under normal distributions of mean `input` and variance `var`.

    A variance counts as at least `eps`; the gradient is the one at that variance, as if it had not been raised, so
    that a variance that has become too small can grow again.
    """

    signature = f"{TWO}, var: Tensor, full: bool = False, eps: float = 1e-06, reduction: str = 'mean')"
    method = False
    samples = samples(
        call(A((3, 5)), A((3, 5)), A((3, 5), 0.5, 2)),
        call(A((3, 5)), A((3, 5)), A((3, 1), 0.5, 2), full=True, reduction="sum"),
    )

    def decompose(
        self, input: Handle, target: Handle, var: Handle, *, full: bool, eps: float, reduction: str
    ) -> Handle:
        dtype, compute = input.dtype, input.dtype.compute
        variance = var.to(compute)
        bounded = F.replace_elements(variance, variance.detach().clamp(min=eps))
        difference = input.to(compute) - target.to(compute)
        loss = 0.5 * (bounded.log() + difference * difference / bounded)
        if full:
            loss = loss + 0.5 * math.log(2 * math.pi)
        return reduced(self.name, loss, reduction).to(dtype)


# ------------------------------------------------------------------------------------------------ similarity


@define_op
class CosineSimilarity(Composite):
    """Cosine of the angle between vectors along `dim`; norms count as at least `eps`."""

    signature = "(x1: Tensor, x2: Tensor, dim: dim = 1, eps: float = 1e-08)"
    method = False
    samples = samples(call(A((3, 5)), A((3, 5))), call(A((2, 3, 5)), A((2, 3, 5)), dim=-1))

    def decompose(self, x1: Handle, x2: Handle, *, dim: int, eps: float) -> Handle:
        a, b = (x.to(x.dtype.compute) for x in (x1, x2))
        squares = [(x * x).sum(dim).clamp(min=eps * eps) for x in (a, b)]
        return ((a * b).sum(dim) / (squares[0] * squares[1]).sqrt()).to(x1.dtype)
