"""Lazy layers in a trace: the first call of one gives it its shapes for real, and the trace begins anew.

What that changes, eager execution has changed by the same point of the program, and what has been traced until then has
not happened yet: no random number may have been drawn for it, nothing of the layer may wait to be written or have been
looked at, and nothing may fail before the call is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.autograd.tape import handle as run_eagerly
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.trace.foresight import TraceAgain
from tracegraph.capture.trace.instance_dicts import instance_dict
from tracegraph.capture.trace.safety import specialised
from tracegraph.nn import lazy
from tracegraph.nn.module import Module
from tracegraph.ops.core.dispatch import creation
from tracegraph.ops.graphs.recording import NESTED, Traced
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame
    from tracegraph.capture.trace.tracer import Tracer


def call_materialise(tracer: Tracer, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The hook before the first call of a lazy layer; NotImplemented if it cannot run ahead of the program.

    Raises:
        TraceAgain: the layer is an ordinary one from now on.
        Observed: the input does not fit it.
    """
    inputs = (*args, *kwargs.values())
    if not _may_run_ahead(tracer, module) or not all(type(value) is Traced for value in inputs):
        return NotImplemented
    with creation(run_eagerly):
        tracer.native(
            lazy.materialise,
            module,
            tuple(_in_form_of(tracer, a) for a in args),
            {k: _in_form_of(tracer, v) for k, v in kwargs.items()},
        )
    raise TraceAgain


def _may_run_ahead(tracer: Tracer, module: Any) -> bool:
    """Whether nobody can tell that the layer gets its shapes now, and not when the graph has run."""
    initialize = class_lookup(type(module), "initialize_parameters")
    if not tracer.foresight.runs or not tracer.is_outside(module):
        return False
    if getattr(initialize, "__module__", None) != lazy.__name__:
        return False  # the program's own may look at elements
    stores = [id(value) for value in (instance_dict(module) or {}).values()]
    is_written = tracer.effects.written_names(module) or any(
        id(copy.original) in stores for copy in tracer.effects.changed_copies()
    )
    draws = tracer.random.draws or any(stream.is_set for stream in tracer.random)
    may_fail = any(node.may_raise for node in tracer.builder.graph.calls)
    return not (is_written or draws or may_fail or NESTED.stack or id(module) in tracer.looked_at)


def note_look(tracer: Tracer, value: Any) -> None:
    """The program asks for the class or an attribute of `value`: a lazy layer has others once it was called."""
    if isinstance(value, lazy.LazyModuleMixin) and not any(_is_call_of(value, frame) for frame in tracer.frames):
        tracer.looked_at.add(id(value))


def _is_call_of(module: Module, frame: Frame) -> bool:
    from tracegraph.capture.drivers.units import CALLS_OF_MODULES

    return frame.code in CALLS_OF_MODULES and frame.slots.get("self") is module


def _in_form_of(tracer: Tracer, tensor: Traced) -> Tensor:
    """A tensor of the same shape and dtype, which takes no memory."""
    shape = specialised(tracer, tuple(tensor.shape))
    return Tensor(np.broadcast_to(np.zeros((), tensor.dtype.np), shape))
