"""Functions of this library that are no operations and yet belong into a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph import dtypes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.numpy_numbers import NumpyNumber
from tracegraph.capture.stack.values import SEQUENCES, STAND_INS, is_constant, is_number, is_tensor
from tracegraph.capture.tensors import (
    addresses,
    arrays,
    autograd_functions,
    batching,
    checkpoints,
    gradient_hooks,
    gradients,
    methods_in_place,
    module_hooks,
    transforms,
)
from tracegraph.capture.trace import copying, random_streams
from tracegraph.capture.trace.growing_lists import GrowingList, call_append
from tracegraph.capture.trace.safety import flatten
from tracegraph.dtypes import DType, as_dtype
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as F
from tracegraph.ops.core import promotion
from tracegraph.ops.core.device import check_device
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.functional import full, stack
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor, as_tensor, from_numpy, tensor
from tracegraph.tensor.factory import common_dtype
from tracegraph.tensor.questions import result_type

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def _call_tensor(tracer: Tracer, data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """`tensor(numbers)`: a constant of the graph, copied so that every call has a tensor of its own."""
    tracer.native(check_device, device)
    made = _new_tensor(tracer, data, dtype)
    if requires_grad:
        tracer.tensors.set_requires_grad(made, True)
    return made


def _new_tensor(tracer: Tracer, data: Any, dtype: Any) -> Any:
    if isinstance(data, np.ndarray):
        copy = tracer.native(_from_array(tracer, data).clone)
        return copy if dtype is None else tracer.native(copy.to, dtype)
    if is_tensor(data):
        copy = tracer.native(data.detach().clone)
        return copy if dtype is None else tracer.native(copy.to, dtype)
    if all(map(is_constant, flatten(data))):
        array = tracer.native(tensor, data, dtype).numpy()
        return tracer.native(tracer.recorder.constant(array).clone)
    inferred = common_dtype(map(_kind, _elements(data)))
    return tracer.native(_assembled, data, inferred if dtype is None else as_dtype(dtype))


def _elements(data: Any) -> Iterator[Any]:
    """The numbers and tensors in nested lists and tuples."""
    if type(data) in SEQUENCES:
        for part in data:
            yield from _elements(part)
    else:
        yield data


def _kind(element: Any) -> type | DType:
    """The dtype of an element, or its Python type if it has none.

    Raises:
        Break: it is neither a number nor a tensor.
    """
    if is_tensor(element):
        dtype: DType = element.dtype
        return dtype
    if type(element) is NumpyNumber:
        element = element.value
    if isinstance(element, np.generic):
        return dtypes.from_numpy(element.dtype)
    if not is_number(element):
        raise Break(reasons.NATIVE_CALL, f"tensor() of an object of type {type(element).__name__}")
    return STAND_INS.get(type(element)) or type(element)


def _assembled(data: Any, dtype: DType) -> Any:
    """A tensor made of its elements, which the graph computes.

    Raises:
        Break: the parts do not make a tensor, which eager execution says best.
    """
    if is_tensor(data):
        return data.detach().to(dtype)
    if type(data) not in SEQUENCES:
        return full((), data, dtype=dtype)
    parts = [_assembled(part, dtype) for part in data]
    if not parts or any(len(p.shape) != len(parts[0].shape) or p.shape != parts[0].shape for p in parts):
        raise Break(reasons.NATIVE_CALL, "tensor() of parts with different shapes")
    return stack(parts)


def _call_as_tensor(tracer: Tracer, data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`as_tensor(data)`: tensors, and arrays from outside, as they are; numbers as `tensor` makes them."""
    tracer.native(check_device, device)
    if isinstance(data, np.ndarray):
        if not tracer.is_outside(data):
            if dtype is not None and as_dtype(dtype).np != data.dtype:
                return _call_tensor(tracer, data, dtype)
            tracer.native(from_numpy, data)  # raises for what cannot be a tensor
            arrays.share(tracer, data)
        data = arrays.as_input(tracer, data)
    if not is_tensor(data):
        return _call_tensor(tracer, data, dtype)
    return data if dtype is None else tracer.native(data.to, dtype)


def _call_parameter(tracer: Tracer, data: Any = None, requires_grad: Any = True) -> Any:
    """`Parameter(data, requires_grad)`."""
    if data is None:
        data = tracer.native(F.empty, (0,))
    if not is_tensor(data) or type(requires_grad) is not bool:
        raise Break(reasons.USER_EXCEPTION, f"Parameter() of an object of type {type(data).__name__}")
    return tracer.native(tracer.tensors.make_parameter, data, requires_grad)


def _from_array(tracer: Tracer, array: np.ndarray) -> Any:
    return arrays.as_input(tracer, array) if tracer.is_outside(array) else arrays.as_constant(tracer, array)


def _call_from_numpy(tracer: Tracer, array: Any) -> Any:
    if not isinstance(array, np.ndarray):
        raise Break(reasons.NATIVE_CALL, f"from_numpy() of an object of type {type(array).__name__}")
    if not tracer.is_outside(array):
        tracer.native(from_numpy, array)  # raises for what cannot be a tensor
        arrays.share(tracer, array)
    return arrays.as_input(tracer, array)


def _call_type(tracer: Tracer, input: Any, dtype: Any = None) -> Any:
    """`tensor.type(dtype)`; the text of `tensor.type()` depends on the dtype, which is guarded."""
    return tracer.native(Tensor.type, input, dtype)


def _call_broadcast_shapes(tracer: Tracer, *shapes: Any) -> Any:
    """Arithmetic of sizes, symbolic ones included."""
    return tracer.native(broadcast_shapes, *shapes)


def _call_result_type(tracer: Tracer, tensor1: Any, tensor2: Any) -> Any:
    operands = (operand.type if is_tensor(operand) else operand for operand in (tensor1, tensor2))
    return tracer.native(promotion.result_type, *operands)


#: handlers by function
HANDLERS: dict[Any, Callable[..., Any]] = {
    tensor: _call_tensor,
    as_tensor: _call_as_tensor,
    from_numpy: _call_from_numpy,
    broadcast_shapes: _call_broadcast_shapes,
    result_type: _call_result_type,
    **gradients.HANDLERS,
    **autograd_functions.HANDLERS,
    **checkpoints.HANDLERS,
    **gradient_hooks.HANDLERS,
    **transforms.HANDLERS,
    **batching.HANDLERS,
    **module_hooks.HANDLERS,
    **random_streams.HANDLERS,
}
#: handlers of classes
CLASSES: dict[type, Callable[..., Any]] = {Parameter: _call_parameter}
#: handlers of methods of tensors
METHODS: dict[Any, Callable[..., Any]] = {
    REPLACEMENTS.original(Tensor, "type"): _call_type,
    **addresses.METHODS,
    **gradients.METHODS,
    **gradient_hooks.METHODS,
    **methods_in_place.METHODS,
    **copying.METHODS,
    GrowingList.append: call_append,
}
