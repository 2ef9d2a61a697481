"""Gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph.autograd.engine import grad
from tracegraph.autograd.grad_mode import no_grad
from tracegraph.errors import AutogradError
from tracegraph.tensor.tensor import Tensor


def gradcheck(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Compare the tape's gradients of `function` with central differences; float64 inputs are expected.

    Returns:
        True.

    Raises:
        AutogradError: a gradient differs; names the input and the largest difference.
    """
    outputs = function(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    rng = np.random.default_rng(0)
    weights = [Tensor(rng.standard_normal(o.shape).astype(o.dtype.np)) for o in outputs]
    wanted = [(i, t) for i, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
    analytic = grad(outputs, [t for _, t in wanted], weights, allow_unused=True)
    for (position, tensor), gradient in zip(wanted, analytic, strict=True):
        numeric = _differences(function, inputs, tensor, weights, eps)
        found = np.zeros(tensor.shape) if gradient is None else gradient._np
        if not np.allclose(found, numeric, atol=atol, rtol=rtol):
            worst = float(np.max(np.abs(found - numeric)))
            raise AutogradError(
                f"gradcheck: the gradient of input {position} differs from finite differences by {worst:.3g}"
            )
    return True


def _differences(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    tensor: Tensor,
    weights: Sequence[Tensor],
    eps: float,
) -> np.ndarray:
    numeric = np.zeros(tensor.shape)
    for index in np.ndindex(*tensor.shape):
        original = tensor._np[index]
        values = []
        for step in (eps, -eps):
            tensor._np[index] = original + step
            with no_grad():
                outputs = function(*inputs)
            listed = outputs if isinstance(outputs, tuple) else (outputs,)
            values.append(sum(float((o._np * w._np).sum()) for o, w in zip(listed, weights, strict=True)))
        tensor._np[index] = original
        numeric[index] = (values[0] - values[1]) / (2 * eps)
    return numeric
