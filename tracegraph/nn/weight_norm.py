"""Weight normalisation: a weight as direction times length (Salimans and Kingma 2016)."""

from __future__ import annotations

from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.errors import ValueRangeError
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as ops


def norms_along(weight: Any, dim: int | None) -> Any:
    """The norms of the slices along `dim`, or of the whole."""
    axes = None if dim is None else [a for a in range(weight.ndim) if a != dim % weight.ndim]
    return ops.vector_norm(weight, 2.0, axes, dim is not None)


class _WeightNorm:
    """The hook that computes a weight from its direction and its length, before each `forward`."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    def weight(self, module: Module) -> Any:
        length, direction = (getattr(module, f"{self.name}_{part}") for part in ("g", "v"))
        return direction * (length / norms_along(direction, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Replace the parameter `name` by `name_g`, the norms of its slices along `dim`, and `name_v`, their directions.

    `dim` None takes the norm of the whole parameter. Returns the module.

    Raises:
        ValueRangeError: the module has no such parameter.
    """
    parameter = module._parameters.get(name)
    if parameter is None:
        raise ValueRangeError(f"weight_norm: {type(module).__name__} has no parameter {name!r}")
    hook = _WeightNorm(name, dim)
    with no_grad():
        length = norms_along(parameter, dim).clone()
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(length))
    module.register_parameter(f"{name}_v", Parameter(parameter.detach().clone()))
    setattr(module, name, hook.weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make `name` a parameter again, with its present value; returns the module.

    Raises:
        ValueRangeError: `weight_norm` was not applied to it.
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook.function, _WeightNorm) and hook.function.name == name:
            value = hook.function.weight(module).detach()
            del module._forward_pre_hooks[key]
            for attribute in (name, f"{name}_g", f"{name}_v"):
                delattr(module, attribute)
            module.register_parameter(name, Parameter(value))
            return module
    raise ValueRangeError(f"remove_weight_norm: no weight_norm of {name!r} in {type(module).__name__}")
