"""Spectral normalisation: a weight divided by its largest singular value (Miyato et al. 2018)."""

from __future__ import annotations

from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.errors import ValueRangeError
from tracegraph.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tracegraph.nn.functional import normalize
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor


def default_dim(module: Module) -> int:
    """The dimension of the weight that counts the outputs."""
    return 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """The weight with `dim` as rows, the other dimensions as columns."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.ndim) if d != dim))
    return weight.reshape(weight.shape[0], -1)


def check_iterations(count: int) -> None:
    """Raise ValueRangeError unless `count` is positive."""
    if count <= 0:
        raise ValueRangeError(f"Expected n_power_iterations to be positive, but got n_power_iterations={count}")


def drawn_direction(size: int, like: Tensor, eps: float) -> Tensor:
    """A random vector of length 1."""
    found: Tensor = normalize(ops.randn(size, dtype=like.dtype), dim=0, eps=eps)
    return found


def iterate_power(matrix: Any, u: Any, v: Any, count: int, eps: float) -> None:
    """Bring `u` and `v`, in place, nearer to the singular vectors of the largest singular value."""
    with no_grad():
        for _ in range(count):
            v.copy_(normalize(ops.mv(matrix.t(), u), dim=0, eps=eps))
            u.copy_(normalize(ops.mv(matrix, v), dim=0, eps=eps))


class _SpectralNorm:
    """The hook that computes a weight from its original, before each `forward`."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        check_iterations(n_power_iterations)
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def weight(self, module: Module, iterations: int) -> Any:
        original, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = as_matrix(original, self.dim)
        if iterations:
            iterate_power(matrix, u, v, iterations, self.eps)
            u, v = u.clone(), v.clone()  # the next call writes to them
        return original / ops.dot(u, ops.mv(matrix, v))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.weight(module, self.n_power_iterations if module.training else 0))


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Replace the parameter `name` by `name_orig`, divided by its largest singular value before each call.

    The singular vectors are kept in the buffers `name_u` and `name_v`; each call in training mode brings them
    nearer, by `n_power_iterations` steps of power iteration. Returns the module.

    Raises:
        ValueRangeError: the module has no such parameter, or `name` is normalised already.
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook.function, _SpectralNorm) and hook.function.name == name:
            raise ValueRangeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    parameter = module._parameters.get(name)
    if parameter is None:
        raise ValueRangeError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    hook = _SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    with no_grad():
        matrix = as_matrix(parameter, hook.dim)
        u, v = (drawn_direction(size, parameter, eps) for size in matrix.shape)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", parameter)
    setattr(module, name, parameter.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make `name` a parameter again, with its present value; returns the module.

    Raises:
        ValueRangeError: `spectral_norm` was not applied to it.
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook.function, _SpectralNorm) and hook.function.name == name:
            with no_grad():
                value = hook.function.weight(module, 0)
            del module._forward_pre_hooks[key]
            for attribute in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
                delattr(module, attribute)
            module.register_parameter(name, Parameter(value))
            return module
    raise ValueRangeError(f"spectral_norm of '{name}' not found in {module}")
