"""Backward hooks of Modules in a trace: identities on the inputs and outputs of a call, whose gradients the hooks see.

The hooks of the inputs are given the gradients of the outputs too. In a graph these come as the gradients of further
results of the identity on the inputs, zeros in the forms of the outputs, which the identity on the outputs takes:

    y = module(x)      -->      %1: f32[3], %2: f32[] = custom_vjp(%x, %zeros, backward=graph ... seen_input ...)
                                %3: f32[] = sum(%1)                      what the module computes
                                %4: f32[] = custom_vjp(%3, %3, %2, backward=graph ... seen_output ...)

The forms of the outputs are known when the module has been traced. So a first attempt to trace the call finds them out,
and another one traces it with its hooks.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.function import Form
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import is_tensor
from tracegraph.capture.tensors.autograd_functions import adopted, with_gradient
from tracegraph.capture.trace.foresight import ModuleResults
from tracegraph.capture.trace.functions import inline
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.nn.backward_hooks import BackwardWatch, replaced, through_inputs, through_outputs
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


@dataclass(frozen=True)
class WatchedCall:
    """A call of a Module whose inputs have been watched.

    Attributes:
        number: by which it is foreseen what the call returns.
        tokens: whose gradients are those of the outputs; None if nothing is foreseen.
    """

    watch: BackwardWatch
    number: int
    tokens: tuple[Traced, ...] | None


def _call_inputs(tracer: Tracer, watch: BackwardWatch, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`BackwardWatch.inputs`.

    Raises:
        Break: the call began before the trace, or a hook cannot become a graph.
    """
    _check_own(tracer, watch)
    watch.taken = len(args)
    positions = _positions(tracer, args)
    if positions is None:
        return args
    watch.watched = positions
    number, foreseen = tracer.foresight.enter()
    tokens: tuple[Traced, ...] | None = None
    if foreseen is not None and foreseen.shown is not None:
        watch.given, watch.shown = len(foreseen.types), foreseen.shown
        zeros = [_zeros(tracer, watch, t) for t in foreseen.types if t is not None]
        args, tokens = _watched_inputs(tracer, watch, args, positions, zeros, foreseen)
    tracer.watched_calls[id(watch)] = WatchedCall(watch, number, tokens)
    return args


def _watched_inputs(
    tracer: Tracer,
    watch: BackwardWatch,
    args: tuple[Any, ...],
    positions: Sequence[int],
    zeros: list[Traced],
    foreseen: ModuleResults,
) -> tuple[tuple[Any, ...], tuple[Traced, ...]]:
    """The arguments with their new history, and tensors whose gradients are to be those of the outputs."""
    tensors = [args[i] for i in positions]
    needed = [t for t in tensors if t.requires_grad]
    forms = tuple((tuple(t.shape), t.dtype) for t in tensors)
    is_needed = tuple(bool(t.requires_grad) for t in tensors)
    requiring = tuple(i for i, t in enumerate(foreseen.types) if t is not None)
    backward = functools.partial(through_inputs, watch, forms, is_needed, requiring)
    always = tuple(range(len(needed)))
    found = with_gradient(tracer, _where(tracer, watch), [*needed, *zeros], needed, backward, materialize=always)
    histories = iter(found)
    others: list[Any] = list(args)
    new: list[Any] = []
    for tensor in tensors:
        result = adopted(tracer, (), [*others, *new], tensor, next(histories)) if tensor.requires_grad else tensor
        new.append(result)
    return replaced(args, positions, new), tuple(histories)


def _call_outputs(tracer: Tracer, watch: BackwardWatch, output: Any) -> Any:
    """`BackwardWatch.outputs`.

    Raises:
        Break: as above.
    """
    _check_own(tracer, watch)
    if not is_tensor(output) and not isinstance(output, tuple):
        return inline(tracer, _OUTPUTS, (watch, output), {})
    listed = output if isinstance(output, tuple) else (output,)
    positions = _positions(tracer, listed)
    call = tracer.watched_calls.get(id(watch))
    if call is not None:
        is_foreseen = tracer.foresight.found(call.number, ModuleResults(tuple(map(_type, listed)), positions))
        if not is_foreseen or positions is None or call.tokens is None:
            return output
    elif positions is None:
        return output
    else:
        watch.given, watch.shown = len(listed), positions
    requiring = [i for i in positions if listed[i].requires_grad]
    results = [listed[i] for i in requiring]
    tokens = [] if call is None else list(call.tokens or ())
    backward = functools.partial(through_outputs, watch, tuple(map(_form, results)), tuple(requiring), bool(tokens))
    histories = with_gradient(tracer, _where(tracer, watch), results, [*results, *tokens], backward, materialize=())
    new: list[Any] = []
    for result, history in zip(results, histories, strict=True):
        new.append(adopted(tracer, (), [*listed, *new], result, history))
    listed = replaced(listed, requiring, new)
    return listed if isinstance(output, tuple) else listed[0]


# ------------------------------------------------------------------------------------------ parts


def _check_own(tracer: Tracer, watch: BackwardWatch) -> None:
    """Require that the call began in this trace, and keep the watch from leaving it, where it would see nothing.

    Raises:
        Break: it did not.
    """
    if not tracer.is_fresh(watch):
        what = f"a backward hook of {tracer.type_of(watch.module).__name__}, called before a graph break"
        raise Break(reasons.CUSTOM_GRADIENT, what)
    tracer.fresh(BackwardWatch)


def _positions(tracer: Tracer, values: Sequence[Any]) -> tuple[int, ...] | None:
    """As `nn.backward_hooks.tensors_to_watch`."""
    positions = tuple(i for i, v in enumerate(values) if is_tensor(v))
    needs = tracer.recorder.grad_enabled and any(values[i].requires_grad for i in positions)
    return positions if needs else None


def _zeros(tracer: Tracer, watch: BackwardWatch, type: TensorType) -> Traced:
    """Zeros in the form of a result.

    Raises:
        Break: its sizes are read from something that the module looks at first.
    """
    symbols = frozenset[str]().union(*map(dims.symbols, type.shape))
    if not symbols <= tracer.sizes.env.examples.keys():
        raise Break(reasons.CUSTOM_GRADIENT, f"{_where(tracer, watch)}: results of sizes that nothing has before")
    made: Traced = tracer.native(F.zeros, type.shape, dtype=type.dtype)
    return made


def _type(value: Any) -> TensorType | None:
    return value.value.type if is_tensor(value) and value.requires_grad else None


def _form(tensor: Traced) -> Form:
    return tuple(tensor.shape), tensor.dtype


def _where(tracer: Tracer, watch: BackwardWatch) -> str:
    return f"a backward hook of {tracer.type_of(watch.module).__name__}"


_OUTPUTS: types.FunctionType = BackwardWatch.__dict__["outputs"]

#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {BackwardWatch.inputs: _call_inputs, _OUTPUTS: _call_outputs}
