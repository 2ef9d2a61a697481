"""`vmap` in a trace: the function is traced for the first sample, and what that recorded is batched.

    vmap(lambda x: (x * w).sum())(xs)    %0: f32[3] = basic_index(%xs, index=[0])       the first sample
                                         %1: f32[3] = mul(%0, %w)
                                         %2: f32[] = sum(%1)
                                    -->  %0: f32[8, 3] = mul(%xs, %w)
                                         %1: f32[8] = sum(%0, dim=[1])

So the function may do in a trace what any code may, take gradients for example; the calls that it recorded are taken
back and made again on batched handles (`ops.graphs.batched`). An exception breaks the graph, and so does what would
keep a tensor of the first sample: then `vmap` runs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.values import Observed, is_tensor
from tracegraph.capture.tensors.gradients import tracked_values
from tracegraph.capture.trace.mutation_watch import reachable
from tracegraph.capture.trace.random_streams import key_input
from tracegraph.errors import TracegraphError
from tracegraph.func import levels, samples
from tracegraph.ir import Kind, Node, Value
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.dispatch import dispatch
from tracegraph.ops.graphs.batched import BatchedValue, Level
from tracegraph.ops.graphs.recording import NESTED, Recorder, Traced
from tracegraph.ops.kinds.batching import repeated
from tracegraph.ops.random.random_bits import FixedKey

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def call_map_samples(
    tracer: Tracer,
    of_sample: Callable[..., Any],
    leaves: Sequence[Any],
    dims: Sequence[int | None],
    size: Any,
    randomness: str,
    drawn: Sequence[Any] | None,
) -> tuple[list[tuple[Any, bool, Any]], Any]:
    """`samples.map_samples` of tensors of the trace.

    Raises:
        Break: the function does what cannot be batched, or raises.
    """
    if NESTED.stack:
        raise _refusal("in a branch or loop body")
    if size == 0:
        raise _refusal("over no samples")
    segment = _Segment(tracer, (of_sample, *leaves))
    firsts = [x if d is None else tracer.native(F.select, x, d, 0) for x, d in zip(leaves, dims, strict=True)]
    results, structure = segment.trace(of_sample, firsts)
    if segment.draws and (randomness == "error" or (randomness == "same" and drawn is not None)):
        raise _refusal("of a function that draws random numbers, which is refused, or the same for several chunks")
    level = Level(size, randomness, BatchedValue)
    batched = {
        first.value: level.wrap(tracer.native(x.movedim, d, 0))
        for first, x, d in zip(firsts, leaves, dims, strict=True)
        if d is not None
    }
    try:
        batched = segment.batch(level, batched)
    except TracegraphError as error:
        raise _refusal(f"of a function that cannot be batched: {error}") from None
    found = [_mapped(level, batched.get(r.value, r) if is_tensor(r) else r) for r in results]
    return tracer.fresh(found), structure


def _mapped(level: Level, result: Any) -> tuple[Any, bool, Any]:
    varies = level.varies(result)
    return (result.inner if varies else result), varies, level.size


def _refusal(what: str) -> Break:
    return Break(reasons.CONTROL_FLOW, f"vmap {what}")


class _Segment:
    """What a trace records from here on, for one sample."""

    def __init__(self, tracer: Tracer, given: Sequence[Any]) -> None:
        self._tracer = tracer
        self._given = given
        self._before = set(tracer.builder.graph.nodes)
        self._draws = tracer.random.draws
        self._unfollowed = self._count_of_unfollowed()
        self._likes: dict[Value, Value] = {}
        self._recorded: set[Node] = set()

    @property
    def draws(self) -> bool:
        """Whether random numbers were drawn."""
        return self._tracer.random.draws > self._draws

    def trace(self, of_sample: Callable[..., Any], firsts: Sequence[Any]) -> tuple[list[Any], Any]:
        """Trace the function on the first sample.

        Raises:
            Break: it raises, or does something else than to record.
        """
        from tracegraph.capture.calls.callables import call

        recorder = self._tracer.recorder
        outer, recorder.likes = recorder.likes, self._likes
        try:
            results, structure = call(self._tracer, of_sample, (self._tracer.fresh(list(firsts)),), {})
        except Observed as observed:
            error = observed.exception
            raise _refusal(f"of a function that raises {type(error).__name__}: {error}") from None
        except Break as stop:
            if stop.extent is not Extent.FRAME:
                stop.is_inside_callee = False
            raise
        finally:
            recorder.likes = outer
        if outer is not None:
            outer.update(self._likes)
        nodes = self._tracer.builder.graph.nodes
        self._recorded = {n for n in nodes if n.is_call and n not in self._before}
        self._check_effects()
        return results, structure

    def _count_of_unfollowed(self) -> tuple[int, int]:
        """How often the trace has done what knows of positions in the graph, or of tensors by other means."""
        return len(self._tracer.tensors.reshaped), len(self._tracer.effects.hook_registrations)

    def _check_effects(self) -> None:
        """The function runs once, so it may have effects like any; but none that keeps a tensor of the first sample.

        Raises:
            Break: there is such an effect.
        """
        tracer, effects = self._tracer, self._tracer.effects
        if self._count_of_unfollowed() != self._unfollowed:
            raise _refusal("of a function that changes the shape of a tensor in place, or registers a hook")
        written = [w.value for w in effects.writes]
        appended = [item for grown in effects.growing.values() for item in grown.items]
        if any(n.attrs.get("is_hook") for n in self._recorded):
            raise _refusal("of a function that registers a hook of a gradient")
        roots = [*self._given, *written, *appended, *(c.copy for c in effects.copies)]
        found = [v for v in reachable(tracer, roots) if type(v) is Traced]
        if any(t.value.node in self._recorded for t in (*found, *(i.handle for i in tracer.inputs))):
            raise _refusal("of a function that keeps a tensor, or changes one from outside")

    def batch(self, level: Level, handles: dict[Value, Any]) -> dict[Value, Any]:
        """Take the calls back, and make them again for all samples: the handles by the values of one sample.

        Args:
            handles: those of the first samples.
        """
        tracer, recorder = self._tracer, self._tracer.recorder
        tracked = tracked_values(tracer)
        graph = tracer.builder.graph
        keys = [i.value for i in tracer.inputs if i.convert is key_input and i.value.node not in self._before]
        calls = [n for n in graph.nodes if n in self._recorded]
        tracer.builder.retract(calls)
        environment = dict(handles)
        if level.randomness == "different":
            environment.update((key, level.wrap(repeated(recorder.traced(key), level.size))) for key in keys)

        def handle(value: Value) -> Any:
            if value not in environment:
                environment[value] = recorder.traced(value, value in tracked)
            return environment[value]

        location, mode = tracer.builder.location, recorder.grad_enabled
        recorder.grad_enabled = True  # where no gradient flows is in the graph
        try:
            with level:
                for node in calls:
                    if not handles.keys().isdisjoint(node.values):
                        continue
                    tracer.builder.location = node.location
                    made = _again(recorder, level, node, [handle(a) if isinstance(a, Value) else a for a in node.args])
                    environment.update(zip(node.values, made, strict=True))
                    for value in node.values:
                        like = self._likes.get(value)
                        if like is not None and level.varies(handle(like)) and not level.varies(environment[value]):
                            environment[value] = handle(like)._like_self(environment[value])
        finally:
            tracer.builder.location, recorder.grad_enabled = location, mode
        return environment


def _again(recorder: Recorder, level: Level, node: Node, operands: Sequence[Any]) -> tuple[Any, ...]:
    """The results of a call made again."""
    op, attrs = node.call_op, dict(node.attrs)
    assert isinstance(op, Definition)
    if not any(is_tensor(o) or isinstance(o, BatchedValue) for o in operands):
        # past what the trace knows of random generators, which has counted these draws
        made = Recorder.handle(recorder, op, tuple(operands), attrs)
        is_key = op.kind is Kind.EFFECT or isinstance(op, FixedKey)
        return (level.wrap(repeated(made, level.size)) if is_key and level.randomness == "different" else made,)
    made = dispatch(op, tuple(operands), attrs)
    return () if not node.values else made if isinstance(made, tuple) else (made,)


def call_of_every_sample(tracer: Tracer, tensor: Traced) -> Traced:
    """A trace sees one sample."""
    return tensor


def call_begin(tracer: Tracer, leaf: Traced) -> None:
    """`levels.begin` of a tensor of the trace."""
    tracer.tensors.switch_requires_grad(leaf, True)


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {
    samples.map_samples: call_map_samples,
    levels.of_every_sample: call_of_every_sample,
    levels.begin: call_begin,
}
