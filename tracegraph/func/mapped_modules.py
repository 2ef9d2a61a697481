"""Modules under `vmap`: an ensemble as one Module, and batch norm that keeps nothing (`torch.func`)."""

from __future__ import annotations

from collections.abc import Sequence

from tracegraph.errors import ArgumentError
from tracegraph.nn.module import Module
from tracegraph.ops import functional as F
from tracegraph.tensor.tensor import Tensor


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of several Modules of one class, by name, each stacked along a first dimension.

    With `functional_call` and `vmap` the ensemble runs as one Module. The parameters are leaves of their own.

    Raises:
        ArgumentError: there are no models, they differ in class, in training mode, or in whether a parameter requires
            grad.

    Example:
        >>> import tracegraph as tg
        >>> models = [tg.nn.Linear(3, 2) for _ in range(5)]
        >>> params, buffers = tg.func.stack_module_state(models)
        >>> def call(params, buffers, x):
        ...     return tg.func.functional_call(models[0], (params, buffers), (x,))
        >>> tg.vmap(call, in_dims=(0, 0, None))(params, buffers, tg.ones(4, 3)).shape
        tracegraph.Size([5, 4, 2])
    """
    if not models:
        raise ArgumentError("stack_module_state(): expected at least one model, got none")
    first = models[0]
    if any(m.training is not first.training for m in models):
        raise ArgumentError("stack_module_state(): the models must all be in training mode, or all in eval mode")
    if any(type(m) is not type(first) for m in models):
        raise ArgumentError("stack_module_state(): the models must all be of the same class")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {name: _stacked(name, [p[name] for p in parameters]) for name in parameters[0]},
        {name: _stacked(name, [b[name] for b in buffers]) for name in buffers[0]},
    )


def _stacked(name: str, tensors: Sequence[Tensor]) -> Tensor:
    requires_grad = tensors[0].requires_grad
    if any(t.requires_grad is not requires_grad for t in tensors):
        raise ArgumentError(f"stack_module_state(): {name} requires grad in some of the models, and not in others")
    stacked: Tensor = F.stack(list(tensors)).detach()
    return stacked.requires_grad_() if requires_grad else stacked


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let batch norm in `root` use the statistics of the batch and keep none; returns `root`.

    Running statistics are the same for all samples of `vmap`, so nothing of the samples can be written to them.
    """
    for module in root.modules():
        if hasattr(module, "track_running_stats") and "running_mean" in module._buffers:
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root
