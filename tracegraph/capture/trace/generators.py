"""Generators made and consumed inside the trace: a suspended symbolic frame."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import STAND_INS, Observed
from tracegraph.ir import Location

if TYPE_CHECKING:
    from tracegraph.capture.trace.frame import Frame


class SymbolicGenerator:
    """Behaves as the generator object of the frame it holds; native code may iterate it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._is_started = False
        self._is_finished = False
        self._is_running = False

    @property
    def has_cleanup(self) -> bool:
        """Whether code of its own runs when it is dropped: it waits inside a try or with statement."""
        if not self._is_started or self._is_finished:
            return False
        program = self._frame.program
        offset = program.instructions[self._frame.current].offset
        regions = (r for r in program.regions if r.start <= offset < r.end)
        return any(program.instructions[r.target].op == "PUSH_EXC_INFO" for r in regions)

    @property
    def line(self) -> Location:
        """Where it stands."""
        frame = self._frame
        return Location(frame.code.co_filename, frame.program.instructions[frame.current].line or 0)

    def release(self) -> None:
        """Let go of everything that its frame holds."""
        self._frame.release()

    @property
    def gi_running(self) -> bool:
        """Whether the generator is being executed."""
        return self._is_running

    def __iter__(self) -> SymbolicGenerator:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Resume with `value` as the result of the `yield`."""
        if self._is_finished:
            raise StopIteration
        if not self._is_started and value is not None:
            raise TypeError("can't send non-None value to a just-started generator")
        if self._is_started:
            self._frame.push(value)
        return self._run(None)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Resume by raising at the `yield`."""
        if (value is not None or traceback is not None) and sys.version_info >= (3, 12):
            raise Break(reasons.NATIVE_CALL, "throw() with several arguments, which warns")
        exception = self._exception(kind, value)
        if self._is_finished or not self._is_started:
            self._is_finished = True
            raise Observed(exception).for_native_code()
        if self._is_running:
            raise ValueError("generator already executing")
        receiver = self._frame.receiver()
        if receiver is not None:
            return self._throw_into(receiver, exception)
        return self._run(Observed(exception))

    def _exception(self, kind: Any, value: Any) -> BaseException:
        """The exception that `throw(kind, value)` raises."""
        from tracegraph.capture.calls.callables import call

        exception = value if isinstance(kind, type) and isinstance(value, kind) else kind
        if isinstance(exception, type):
            args = () if value is None else value if isinstance(value, tuple) else (value,)
            exception = call(self._frame.tracer, exception, args, {})
        assert isinstance(exception, BaseException)
        return exception

    def _throw_into(self, receiver: Any, exception: BaseException) -> Any:
        """Raise in the iterator that this generator delegates to; what it lets through continues here."""
        from tracegraph.capture.calls.callables import call
        from tracegraph.capture.objects import attributes

        tracer = self._frame.tracer
        is_exit = isinstance(exception, GeneratorExit)
        method = attributes.find(tracer, receiver, "close" if is_exit else "throw")
        if method is MISSING:
            return self._run(Observed(exception))
        self._is_running = True
        try:
            result = call(tracer, method, () if is_exit else (exception,), {})
        except Observed as observed:
            self._is_running = False
            if not isinstance(observed.exception, StopIteration):
                return self._run(observed)
            self._frame.finish_delegation(observed.exception.value)
            return self._run(None)
        finally:
            self._is_running = False
        return self._run(Observed(exception)) if is_exit else result

    def close(self) -> None:
        """Finish the generator by raising GeneratorExit in it."""
        if self._is_finished or not self._is_started:
            self._is_finished = True
            return
        try:
            self.throw(GeneratorExit)
        except StopIteration:
            return
        except Observed as observed:
            if isinstance(observed.exception, GeneratorExit):
                return
            raise
        raise RuntimeError("generator ignored GeneratorExit")

    def _run(self, thrown: Observed | None) -> Any:
        from tracegraph.capture.trace.frame import Returned, Yielded

        if self._is_running:
            raise ValueError("generator already executing")
        self._is_started = self._is_running = True
        error: BaseException = StopIteration()
        outcome: Returned | Yielded | None
        try:
            outcome = self._frame.run(thrown)
        except Observed as observed:
            outcome, error = None, observed.exception
        finally:
            self._is_running = False
        if outcome is None:
            self._is_finished = True
            if isinstance(error, StopIteration):
                failure = RuntimeError("generator raised StopIteration")
                failure.__cause__ = failure.__context__ = error
                raise failure
            # outside of the handler, and so without a context of ours
            raise error if isinstance(error, Exception) else Observed(error)
        if isinstance(outcome, Yielded):
            return outcome.value
        self._is_finished = True
        raise StopIteration if outcome.value is None else StopIteration(outcome.value)


STAND_INS[SymbolicGenerator] = types.GeneratorType
