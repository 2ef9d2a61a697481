"""Capturing one call: trace, and where the trace breaks, trace again up to that instruction and stop there.

Tracing has no effect on the outside, so starting over is safe; it gives the exact state before the breaking
instruction without undoing half of it, also when the break lies deep inside inlined callees.
"""

from __future__ import annotations

import inspect
import os
import threading
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.capture import opcodes
from tracegraph.capture.drivers import native_ops
from tracegraph.capture.drivers.driver import DriverWriter
from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.drivers.result import CaptureResult
from tracegraph.capture.drivers.units import Unit, entry
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import ON_STACK, FrameCell, Local
from tracegraph.capture.recompiles import definition_of
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.reporting.user_frame import calling_line, is_passed_over
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import NULL, Observed, is_number
from tracegraph.capture.trace.attribute_dicts import keep_apart
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.early_reads import check_early_reads
from tracegraph.capture.trace.finalizers import dropped as dropped_argument
from tracegraph.capture.trace.foresight import Foreseen, Foresight, TraceAgain
from tracegraph.capture.trace.frame import Frame, Returned, Unread
from tracegraph.capture.trace.functions import make_binder
from tracegraph.capture.trace.generators import SymbolicGenerator
from tracegraph.capture.trace.leaves import Leaf
from tracegraph.capture.trace.replaced_methods import end_redirection, redirect
from tracegraph.capture.trace.sharing import guard_sharing
from tracegraph.capture.trace.tracer import Stop, Tracer
from tracegraph.capture.trace.tracing_state import tracing
from tracegraph.settings import preserved

opcodes.install()

#: one capture and compilation at a time: symbolic sizes ask the innermost active environment of the process
COMPILING = threading.RLock()
# a fork waits for a compilation on another thread: in the child nobody would end it
os.register_at_fork(before=COMPILING.acquire, after_in_parent=COMPILING.release, after_in_child=COMPILING.release)
MAX_RESTARTS = 20


class RunEagerly(Exception):
    """The call is not to be captured; `stop` says why."""

    def __init__(self, stop: Break) -> None:
        super().__init__(stop)
        self.stop = stop

    def __str__(self) -> str:
        return self.stop.describe()


@dataclass
class Call:
    """The arguments of the call being captured, and whether it runs then."""

    unit: Unit
    namespace: dict[str, Any]
    args: Sequence[Any]
    cells: tuple[Any, ...]
    runs: bool = False


def capture(call: Call, dynamism: Dynamism) -> CaptureResult:
    """Capture one call of a unit.

    Raises:
        RunEagerly: a generator, an exception that leaves the function, or something that cannot be split.
    """
    try:
        with COMPILING:
            result = _until_stable(call, dynamism)
    except RunEagerly as e:
        _locate(e.stop, call)
        raise
    _locate(result.stop, call)
    return result


def _locate(stop: Break | None, call: Call) -> None:
    """Give a break that no frame of the user's program has seen a line: the function's, or the one that calls it."""
    if stop is not None and stop.location is None:
        code = call.unit.users_code
        is_users = code is not call.unit.code or not is_passed_over(call.namespace)
        stop.location = definition_of(code) if is_users else calling_line()


def capture_call(
    function: types.FunctionType,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    dynamic: bool | None = None,
) -> CaptureResult:
    """Capture one call of a Python function, up to its end or its first graph break, without running it.

    Raises:
        RunEagerly: see `capture`.
        TypeError: the arguments do not fit the function.
    """
    bound = make_binder(function, function.__defaults__, function.__kwdefaults__)(*args, **(kwargs or {}))
    call = Call(entry(function), function.__globals__, bound, function.__closure__ or ())
    return capture(call, Dynamism(dynamic))


def _until_stable(call: Call, dynamism: Dynamism) -> CaptureResult:
    if call.unit.code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise RunEagerly(Break(reasons.GENERATOR_FRAME, call.unit.code.co_qualname, Extent.FRAME))
    stop: Break | None = None
    stop_at: int | None = None
    foresight = Foresight(call.runs)
    restarts = 0
    while restarts < MAX_RESTARTS:
        restarts += 1
        foresight.begin()
        attempt = _Attempt(call, dynamism, foresight, stop, stop_at)
        try:
            result = attempt.run()
            if result is None:
                restarts -= 1  # there are few leaves
                continue
            if isinstance(result, CaptureResult):
                if dynamism.learns_counters(attempt.tracer) or foresight.is_stale:
                    continue
                return result
        except Foreseen:
            restarts -= 1  # there are few leaves
            continue
        except TraceAgain:
            # as if the call began now; this ends, since a layer is lazy once
            stop, stop_at, foresight, restarts = None, None, Foresight(call.runs), 0
            continue
        finally:
            attempt.release()
        stop, earlier = result
        if stop_at is not None and earlier >= stop_at:
            # the state at this break cannot be carried over it
            raise RunEagerly(stop)
        stop_at = earlier
    assert stop is not None
    raise RunEagerly(stop)


class _Attempt:
    """One trace, up to `stop_at` if that is known."""

    def __init__(
        self, call: Call, dynamism: Dynamism, foresight: Foresight, stop: Break | None, stop_at: int | None
    ) -> None:
        owns_arguments = not call.unit.is_entry
        self.tracer = Tracer(call.unit.label_for(call.args), dynamism, stop_at, foresight, owns_arguments)
        if is_passed_over(call.namespace):
            # what the package's own code depends on, it does for the line that calls it
            self.tracer.guards.location = calling_line()
        self.unit = call.unit
        self.stop = stop
        #: what a resumed part owns; the caller of a whole function holds its arguments
        self.owned: list[Unread] = []
        arguments = _unread_arguments(call)
        if not call.unit.is_entry:
            self.owned = arguments
        self.frame = _root_frame(self.tracer, call, arguments)
        self.writer = DriverWriter(self.tracer, self.unit, self.frame)

    def run(self) -> CaptureResult | tuple[Break, int] | None:
        """The capture, or the break it met and the root instruction to stop before; None to try again.

        Raises:
            RunEagerly: see `capture`.
        """
        try:
            with tracing(), preserved(), self.tracer.recorder.active(), self.tracer.sizes.env.active():
                redirect(self.tracer)
                return self._trace()
        except Break as stop:
            return self._restart(stop)
        except RecursionError as e:
            return self._restart(Break(reasons.RECURSION, str(e), Extent.FRAME))
        except Observed as observed:
            detail = f"{type(observed.exception).__name__}: {observed.exception}"
            raise RunEagerly(Break(reasons.USER_EXCEPTION, detail, Extent.FRAME)) from None

    def release(self) -> None:
        """Let go of the program's objects, which then die as soon as the program drops them.

        A trace is full of cycles: without this its arguments would live until the cycle collector runs.
        """
        end_redirection()
        self.owned.clear()
        self.writer.release()
        self.frame.release()
        self.tracer.release()

    def _trace(self) -> CaptureResult | tuple[Break, int] | None:
        try:
            result = self._write_end()
        except NotReconstructible as e:
            leaf = e.value
            if isinstance(leaf, Leaf) and leaf.number is not None and self.tracer.foresight.give(leaf.number):
                return None
            stop = self._not_carried(e)
            step = self.tracer.step_of_creation(e.value)
            if step is None:
                stop.extent = Extent.FRAME
                raise RunEagerly(stop) from None
            return stop, step
        dropped = (g for g in self.tracer.generators if g.has_cleanup and not _closes_silently(self.tracer, g))
        if (generator := next(dropped, None)) is not None:
            # if only a part of the function ran natively, the generator would live longer than in eager
            stop = Break(reasons.SUSPENDED_GENERATOR, "it is neither consumed nor closed", Extent.FRAME)
            stop.location = generator.line
            raise stop
        gone = dropped_argument(self.tracer, self.frame, self.owned, result)
        if gone is not MISSING:
            raise Break(reasons.FINALIZER, f"a {type(gone).__name__}, made before a graph break", Extent.FRAME)
        if not guard_sharing(self.tracer):
            return None
        _guard_mutation(self.tracer)
        keep_apart(self.tracer)
        self.tracer.guards.add(GuardKind.TENSOR_METHODS, None, self.tracer.replaced_methods)
        return self.writer.result()

    def _not_carried(self, error: NotReconstructible) -> Break:
        """The break at an object that cannot outlive the trace; what ended the trace is its cause."""
        cause = self.stop
        if cause is None:
            stop = error.stop or Break(reasons.NOT_RECONSTRUCTIBLE, str(error))
            stop.location = self.tracer.guards.location
            return stop
        why = "" if cause.is_early else f"; {error} cannot be carried over it, so the graph ends earlier"
        stop = Break(cause.reason.id, cause.detail + why)
        stop.location, stop.is_early = cause.location, True
        return stop

    def _write_end(self) -> Any:
        """Trace to the end; what the function returns, NULL if the trace ends earlier."""
        try:
            outcome = self.frame.run()
        except Stop:
            assert self.stop is not None
            self.frame.current = self.frame.position
            if self.frame.exceptions:
                raise self.stop from None
            check_early_reads(self.tracer.early_reads, self.frame, is_complete=False)
            if self.stop.until is not None:
                self.tracer.guards.add(*self.stop.until)
            self.writer.end_with_break(self.stop)
            return NULL
        else:
            assert isinstance(outcome, Returned)
            check_early_reads(self.tracer.early_reads, self.frame, is_complete=True)
            self.writer.end_with_return(outcome.value)
            return outcome.value

    def _restart(self, stop: Break) -> tuple[Break, int]:
        stop.detail = self.tracer.sizes.in_users_terms(stop.detail)
        # the frames of the trace hold the call's arguments
        stop.__traceback__ = stop.__context__ = stop.__cause__ = None
        if stop.extent is Extent.FRAME:
            raise RunEagerly(stop) from None
        step = self.tracer.step
        if self.frame.exceptions:
            # inside a handler nothing is split: leave the graph where the exception was raised
            stop.extent = Extent.REST
            step = self.frame.exceptions[0].step
        instruction = self.frame.program.instructions[self.frame.current]
        if not instruction.is_entry and (stop.extent is Extent.REST or not native_ops.is_written(instruction.op)):
            # the second half of a superinstruction cannot be entered
            stop.extent = Extent.REST
            step -= 1
        return stop, step


def _unread_arguments(call: Call) -> list[Unread]:
    labels = [*call.unit.names, *(f"{ON_STACK}{i}" for i in range(sum(call.unit.stack)))]
    return [Unread(v, Local(i, n)) for i, (n, v) in enumerate(zip(labels, call.args, strict=True))]


def _root_frame(tracer: Tracer, call: Call, values: list[Unread]) -> Frame:
    """The frame of the unit, its variables and stack filled with arguments not yet read."""
    unit = call.unit
    slots: dict[str, Any] = dict(zip(unit.names, values, strict=False))
    for i, (name, cell) in enumerate(zip(unit.cells, call.cells, strict=True)):
        slots[name] = tracer.read(cell, FrameCell(i, name))
    if unit.stack and unit.stack[-1] and not unit.raises and is_number(call.args[-1]):
        # what the broken instruction gave: `.item()`, `len()` of what depends on elements
        tracer.dynamism.expect(values[-1].source)
    frame = Frame(tracer, unit.code, call.namespace, slots, is_root=True)
    rest = iter(values[len(unit.names) :])
    frame.stack = [next(rest) if is_value else NULL for is_value in unit.stack]
    frame.position = unit.index
    return frame


# ------------------------------------------------------------------------------------------ closing guards


def _closes_silently(tracer: Tracer, generator: SymbolicGenerator) -> bool:
    """Whether nobody can tell if, and when, a generator is closed; it is closed thereby."""
    before = len(tuple(tracer.builder.graph.calls)), tracer.recorder.grad_enabled
    try:
        with tracer.effects.unchanging("closing a generator"):
            generator.close()
    except (Break, Exception):
        return False
    return before == (len(tuple(tracer.builder.graph.calls)), tracer.recorder.grad_enabled)


def _guard_mutation(tracer: Tracer) -> None:
    """Objects that are written to must stay different from all others of their type."""
    mutated = {id(o) for o in tracer.effects.mutated_objects()}
    by_type: dict[type, list[Any]] = {}
    for proxy, source in tracer.outside_objects():
        by_type.setdefault(type(proxy), []).append((id(proxy), source))
    for grown in tracer.effects.growing.values():
        by_type.setdefault(list, []).append((id(grown), grown.source))
    for group in by_type.values():
        if len(group) > 1 and any(i in mutated for i, _ in group):
            tracer.guards.add(GuardKind.DISTINCT, None, tuple(source for _, source in group))
