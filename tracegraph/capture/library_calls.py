"""Functions of this library that are no operations and yet belong into a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture import arrays, autograd_functions, gradient_hooks, gradients, tensor_states
from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.safety import flatten
from tracegraph.capture.values import is_constant, is_tensor, is_varying
from tracegraph.dtypes import as_dtype
from tracegraph.ops.device import check_device
from tracegraph.ops.functional import full
from tracegraph.ops.promotion import broadcast_shapes
from tracegraph.ops.sym_float import SymFloat
from tracegraph.tensor import Tensor, as_tensor, from_numpy, tensor

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer


def _call_tensor(tracer: Tracer, data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """`tensor(numbers)`: a constant of the graph, copied so that every call has a tensor of its own."""
    tracer.native(check_device, device)
    if requires_grad:
        raise Break(reasons.NATIVE_CALL, "tensor() that requires grad")
    if isinstance(data, np.ndarray):
        copy = tracer.native(_from_array(tracer, data).clone)
        return copy if dtype is None else tracer.native(copy.to, dtype)
    if type(data) is SymFloat and (dtype is None or as_dtype(dtype).is_floating):
        # an operand, since the attribute of a node is one number
        return tracer.native(full, (), 1.0, dtype=dtype) * data
    if is_varying(data):
        return tracer.native(full, (), data, dtype=dtype)
    if not all(map(is_constant, flatten(data))):
        raise Break(reasons.NATIVE_CALL, "tensor() of something other than numbers")
    array = tracer.native(tensor, data, dtype).numpy()
    return tracer.native(tracer.recorder.constant(array).clone)


def _call_as_tensor(tracer: Tracer, data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`as_tensor(data)`: tensors, and arrays from outside, as they are; numbers as `tensor` makes them."""
    tracer.native(check_device, device)
    if isinstance(data, np.ndarray):
        if not tracer.is_outside(data):
            raise Break(reasons.NATIVE_CALL, "as_tensor() of an array made in the trace, whose memory it would share")
        data = arrays.as_input(tracer, data)
    if not is_tensor(data):
        return _call_tensor(tracer, data, dtype)
    return data if dtype is None else tracer.native(data.to, dtype)


def _from_array(tracer: Tracer, array: np.ndarray) -> Any:
    return arrays.as_input(tracer, array) if tracer.is_outside(array) else arrays.as_constant(tracer, array)


def _call_from_numpy(tracer: Tracer, array: Any) -> Any:
    if not isinstance(array, np.ndarray) or not tracer.is_outside(array):
        raise Break(reasons.NATIVE_CALL, "from_numpy() of an array made in the trace, whose memory it would share")
    return arrays.as_input(tracer, array)


def _call_type(tracer: Tracer, input: Any, dtype: Any = None) -> Any:
    """`tensor.type(dtype)`; the text of `tensor.type()` depends on the dtype, which is guarded."""
    return tracer.native(Tensor.type, input, dtype)


def _call_broadcast_shapes(tracer: Tracer, *shapes: Any) -> Any:
    """Arithmetic of sizes, symbolic ones included."""
    return tracer.native(broadcast_shapes, *shapes)


#: handlers by function
HANDLERS: dict[Any, Callable[..., Any]] = {
    tensor: _call_tensor,
    as_tensor: _call_as_tensor,
    from_numpy: _call_from_numpy,
    broadcast_shapes: _call_broadcast_shapes,
    **gradients.HANDLERS,
    **autograd_functions.HANDLERS,
    **gradient_hooks.HANDLERS,
}
#: handlers of methods of tensors
METHODS: dict[Any, Callable[..., Any]] = {
    Tensor.type: _call_type,
    **gradients.METHODS,
    **gradient_hooks.METHODS,
    **tensor_states.METHODS,
}
