"""Modules whose parameters are averages of another's over training (`torch.optim.swa_utils`)."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.dtypes import int64
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.nn.module import Module
from tracegraph.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor

#: gives the new average from the average, the present value, and the number of values averaged so far
Average = Callable[[Tensor, Tensor, Any], Tensor]
#: writes the new averages to the first list
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueRangeError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average of one tensor: decay * average + (1 - decay) * value."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        found: Tensor = decay * ema_param + (1 - decay) * current_param
        return found

    return ema_update


def get_swa_avg_fn() -> Average:
    """The mean of the values of one tensor."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        found: Tensor = averaged_param + (current_param - averaged_param) / (num_averaged + 1)
        return found

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """As `get_ema_avg_fn`, of many tensors, in place."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], _: Any) -> None:
        for average, value in zip(ema_param_list, current_param_list, strict=True):
            is_mean = average.dtype.is_floating
            average.copy_(ops.lerp(average, value, 1 - decay) if is_mean else average * decay + value * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """As `get_swa_avg_fn`, of many tensors, in place."""

    @no_grad()
    def swa_update(averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], count: Any) -> None:
        for average, value in zip(averaged_param_list, current_param_list, strict=True):
            average.copy_(average + (value - average) / (count + 1))

    return swa_update


class AveragedModel(Module):
    """A copy of a module whose parameters are averages of that module's, taken at every `update_parameters`.

    Args:
        avg_fn: the average of each parameter; by default the mean, which is stochastic weight averaging.
        multi_avg_fn: the average of all parameters.
        use_buffers: average the buffers too; else they are copied.

    Attributes:
        module: the copy.
        n_averaged: the number of updates.

    Raises:
        ArgumentError: both kinds of averages are given.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ops.zeros((), dtype=int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the averages."""
        averages, values = (
            [t.detach() for t in (itertools.chain(m.parameters(), m.buffers()) if self.use_buffers else m.parameters())]
            for m in (self.module, model)
        )
        if not self.n_averaged.item():
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)
        elif self.avg_fn is not None:
            for average, value in zip(averages, values, strict=True):
                average.copy_(self.avg_fn(average, value, self.n_averaged))
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, values, self.n_averaged)
        if not self.use_buffers:
            for average, value in zip(self.module.buffers(), model.buffers(), strict=True):
                average.detach().copy_(value.detach())
        self.n_averaged += 1


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of the batch normalisations in `model` anew: means over what `loader` gives.

    A batch that is a list or tuple is taken for its first element.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm1d | BatchNorm2d | BatchNorm3d)]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    was_training = model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for batch in loader:
        given = batch[0] if isinstance(batch, list | tuple) else batch
        model(given if device is None else given.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)
