"""Methods by which a tensor itself becomes another: without its history, or a view of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def _call_detach(tracer: Tracer, tensor: Traced) -> Traced:
    tracer.tensors.detach(tensor)
    return tensor


def _reshaped(name: str) -> Callable[..., Traced]:
    """The handler of a method that changes the tensor's own shape, by the view of the same name."""

    def handle(tracer: Tracer, tensor: Traced, *args: Any, **kwargs: Any) -> Traced:
        view = tracer.native(getattr(tensor, name.removesuffix("_")), *args, **kwargs)
        tracer.tensors.set_shape(tensor, name, view)
        return tensor

    return handle


#: methods by which a tensor becomes a view of itself
SHAPE_CHANGES = ("unsqueeze_", "squeeze_", "transpose_", "swapaxes_", "swapdims_", "t_", "as_strided_")
#: handlers of methods of tensors
METHODS: dict[Any, Callable[..., Any]] = {
    REPLACEMENTS.original(Tensor, "detach_"): _call_detach,
    **{REPLACEMENTS.original(Tensor, name): _reshaped(name) for name in SHAPE_CHANGES},
}
