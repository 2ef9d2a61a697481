"""Hooks of gradients in a trace.

A hook of a tensor that the trace computes becomes part of the graph: from then on the tensor is an identity of what
it was, whose gradient passes through the hook.

    y = x * 2                           %0: f32[3] = mul(%x, 2)
    y.register_hook(lambda g: -g)  -->  %1: f32[3] = custom_vjp(%0, %0, backward=graph backward_fn(%arg0: f32[3]) {
                                            %0: f32[3] = neg(%arg0) ... }, ...)

A hook of a leaf from outside is registered when the graph has run: nothing in a graph depends on it.
"""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.tensors.autograd_functions import is_view, with_gradient
from tracegraph.capture.trace.effects import HookRegistration
from tracegraph.capture.trace.functions import inline
from tracegraph.capture.trace.leaves import is_alone
from tracegraph.capture.trace.memories import beginning
from tracegraph.ir import Value
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.ops.kinds import View
from tracegraph.tensor import Tensor
from tracegraph.tensor.hooks import RemovableHandle, hooked_gradients

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


@dataclass
class HookedTensor:
    """A tensor of the trace with hooks.

    Attributes:
        value: what it was without.
        hooks: by number, in order of registration.
    """

    handle: Traced
    value: Value
    hooks: dict[int, Any] = field(default_factory=dict)


class TracedHook(RemovableHandle):
    """The handle of a hook registered in a trace; it can be removed there, and cannot leave it."""

    def __init__(self, hooks: dict[int, Any], hook: Any, registration: HookRegistration | None = None) -> None:
        super().__init__(hooks, hook)
        self.registration = registration


def gradient_value(tracer: Tracer, tensor: Traced) -> Value:
    """The value whose gradient is that of `tensor`, its hooks included."""
    hooked = tracer.hooked.get(id(tensor))
    return beginning(tensor.value) if hooked is None else hooked.value


def _call_register_hook(tracer: Tracer, tensor: Traced, hook: Any) -> TracedHook:
    """`tensor.register_hook(hook)`.

    Raises:
        Break: it runs eagerly; so does the whole function if the gradient would come from this graph in part.
    """
    if not tensor.requires_grad:
        raise Break(reasons.USER_EXCEPTION, "a hook of a tensor that does not require grad")
    tracer.tensors.make_before(tensor)
    if tracer.input_of(tensor) is not None:
        return _register_outside(tracer, tensor, "register_hook", hook)
    _check_unused(tensor, "register_hook()")
    hooked = tracer.hooked.get(id(tensor))
    if hooked is None:
        is_followed = tensor.recorder is tracer.recorder and not tracer.tensors.is_leaf(tensor)
        is_followed &= not tracer.tensors.retains_grad(tensor)
        if not is_followed or is_view(tensor.value) or not is_alone(tensor.value):
            raise Break(reasons.CUSTOM_GRADIENT, "a hook of a view, of a leaf of the trace, or of what shares memory")
        hooked = tracer.hooked[id(tensor)] = HookedTensor(tensor, tensor.value)
    handle = _handle(tracer, TracedHook(hooked.hooks, hook))
    _apply(tracer, hooked)
    return handle


def _handle(tracer: Tracer, handle: TracedHook) -> TracedHook:
    tracer.fresh(TracedHook)  # outside of the trace it would remove nothing
    tracer.fresh(handle)
    return handle


def _apply(tracer: Tracer, hooked: HookedTensor) -> None:
    """Let the tensor be the identity of what it was, whose gradient passes through its hooks."""
    recorder, tensor = tracer.recorder, hooked.handle
    tensor.value = hooked.value
    if not hooked.hooks:
        return
    bare = recorder.traced(hooked.value, True)
    mode, recorder.grad_enabled = recorder.grad_enabled, True  # hooks of histories, which grad mode does not change
    try:
        backward = functools.partial(hooked_gradients, dict(hooked.hooks))
        (found,) = with_gradient(tracer, "a hook of a gradient", [bare], [bare], backward, is_hook=True)
    finally:
        recorder.grad_enabled = mode
    tensor.value, tensor.requires_grad = found.value, True


def _check_unused(tensor: Traced, what: str) -> None:
    """Require that nothing recorded so far sends a gradient to `tensor`.

    Raises:
        Break: something may; a hook outside of the graph would not see it.
    """
    for user in tensor.value.users:
        op = user.target
        if isinstance(op, View) or (isinstance(op, Definition) and (op.is_differentiable or op.mutates)):
            raise Break(reasons.CUSTOM_GRADIENT, f"{what} of a tensor that has been used before", Extent.FRAME)


def _register_outside(tracer: Tracer, tensor: Traced, method: str, hook: Any) -> TracedHook:
    """Register a hook of a leaf from outside when the graph has run."""
    graph_input = tracer.input_of(tensor)
    if graph_input is None or beginning(tensor.value) is not graph_input.value or not tracer.tensors.is_leaf(tensor):
        raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{method} of an argument that is no leaf, or has become one")
    registration = HookRegistration(tensor, method, hook)
    tracer.effects.register_hook(registration)
    return _handle(tracer, TracedHook({}, hook, registration))


def _call_post_accumulate(tracer: Tracer, tensor: Traced, hook: Any) -> TracedHook:
    """`tensor.register_post_accumulate_grad_hook(hook)`."""
    tracer.tensors.make_before(tensor)
    if tracer.input_of(tensor) is None or not tensor.requires_grad:
        raise Break(reasons.USER_EXCEPTION, "a hook for what is no leaf that requires grad")
    return _register_outside(tracer, tensor, "register_post_accumulate_grad_hook", hook)


def _call_retain_grad(tracer: Tracer, tensor: Traced) -> None:
    """`tensor.retain_grad()`.

    Backward passes of the trace set its gradient, and those outside do if the tensor leaves the trace.

    Raises:
        Break: the tensor is a view, an argument with a history, has hooks, or has been used before.
    """
    if tracer.tensors.is_leaf(tensor):
        return
    if tracer.input_of(tensor) is None:
        _check_unused(tensor, "retain_grad()")
    is_own = tracer.input_of(tensor) is None and tensor.recorder is tracer.recorder
    if not is_own or is_view(tensor.value) or not is_alone(tensor.value) or id(tensor) in tracer.hooked:
        raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.retain_grad")
    tracer.tensors.retain_grad(tensor)


def _call_remove(tracer: Tracer, handle: RemovableHandle) -> None:
    """`handle.remove()`.

    Raises:
        Break: the hook is not of this trace, or the tensor has been used with it.
    """
    if tracer.is_fresh(handle) and not isinstance(handle, TracedHook):
        inline(tracer, _REMOVE, (handle,), {})  # a hook of a Module, registered in the trace
        return
    if not isinstance(handle, TracedHook):
        raise Break(reasons.NATIVE_CALL, "the removal of a hook from outside")
    if handle.registration is not None:
        if handle.registration in tracer.effects.hook_registrations:
            tracer.effects.hook_registrations.remove(handle.registration)
        return
    hooked = next(h for h in tracer.hooked.values() if h.hooks is handle._hooks)
    if handle.id in hooked.hooks:
        _check_unused(hooked.handle, "remove() of a hook")
        handle.remove()
        _apply(tracer, hooked)


_REMOVE: types.FunctionType = RemovableHandle.__dict__["remove"]

#: handlers by function of the library
HANDLERS: dict[Any, Any] = {_REMOVE: _call_remove}
METHODS: dict[Any, Any] = {
    REPLACEMENTS.original(Tensor, "register_hook"): _call_register_hook,
    REPLACEMENTS.original(Tensor, "register_post_accumulate_grad_hook"): _call_post_accumulate,
    REPLACEMENTS.original(Tensor, "retain_grad"): _call_retain_grad,
}
