"""Parametrizations that networks use: weight and spectral normalisation (`torch.nn.utils.parametrizations`)."""

from __future__ import annotations

from typing import Any

from tracegraph.autograd import no_grad
from tracegraph.errors import ValueRangeError
from tracegraph.nn.functional import normalize
from tracegraph.nn.module import Module
from tracegraph.nn.parametrize import register_parametrization
from tracegraph.nn.spectral_norm import as_matrix, check_iterations, default_dim, drawn_direction, iterate_power
from tracegraph.nn.weight_norm import norms_along
from tracegraph.ops import functional as ops
from tracegraph.tensor import Tensor

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """A weight from the norms of its slices along `dim`, and their directions."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        return direction * (length / norms_along(direction, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norms_along(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn the norms of the slices of a parameter along `dim`, and their directions (Salimans and Kingma 2016).

    They are `parametrizations.<name>.original0` and `original1`; state dicts with `<name>_g` and `<name>_v`, of
    `nn.utils.weight_norm`, are loaded too. `dim` None takes the norm of the whole. Returns the module.

    Raises:
        ValueRangeError: the module has no such parameter.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(module: Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        old = [f"{prefix}{name}_{part}" for part in ("g", "v")]
        if all(key in state for key in old):
            for i, key in enumerate(old):
                state[f"{prefix}parametrizations.{name}.original{i}"] = state.pop(key)

    module.register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which power iteration finds."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise ValueRangeError(
                f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        check_iterations(n_power_iterations)
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        self.is_vector = weight.ndim == 1
        if self.is_vector:
            return
        self.n_power_iterations = n_power_iterations
        matrix = as_matrix(weight.detach(), self.dim)
        rows, columns = matrix.shape
        self.register_buffer("_u", drawn_direction(rows, weight, eps))
        self.register_buffer("_v", drawn_direction(columns, weight, eps))
        iterate_power(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if self.is_vector:
            normalised: Tensor = normalize(weight, dim=0, eps=self.eps)
            return normalised
        matrix = as_matrix(weight, self.dim)
        if self.training:
            iterate_power(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()  # the next call writes to them
        return weight / ops.dot(u, ops.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value  # it may be normalised already


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a parameter by its largest singular value (Miyato et al. 2018); returns the module.

    Each read in training mode takes `n_power_iterations` steps of power iteration. A vector is divided by its norm.

    Raises:
        ValueRangeError: the module has no such parameter or buffer, or `dim` is none of its dimensions.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueRangeError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    dim = default_dim(module) if dim is None else dim
    with no_grad():
        parametrization = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, parametrization)
