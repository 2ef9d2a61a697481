"""The symbolic frame: one activation of a Python function, executed instruction by instruction."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tracegraph.capture.bytecode.decode import SEND_KEEPS_RECEIVER, Instruction, Program, decode
from tracegraph.capture.guards.sources import Constant, Reference, Source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.reporting.user_frame import is_passed_over
from tracegraph.capture.stack.values import NULL, Observed
from tracegraph.capture.trace.tracer import Tracer
from tracegraph.ir import Location


@dataclass(frozen=True)
class Returned:
    """The frame is finished."""

    value: Any


@dataclass(frozen=True)
class Yielded:
    """The frame is suspended at a `yield`."""

    value: Any


Handler = Callable[["Frame", Any], Returned | Yielded | None]
#: filled by the modules of `capture.opcodes`
HANDLERS: dict[str, Handler] = {}


@dataclass(frozen=True)
class Unread:
    """A local of the root frame that the trace has not looked at, and therefore not guarded."""

    value: Any
    source: Source


@dataclass(frozen=True)
class ActiveException:
    """An exception being handled, and the root instruction that raised it."""

    exception: BaseException | None
    step: int


class Frame:
    """Stack, variables and position of one activation.

    Variables follow CPython: one slot per name, which holds a cell object if the name is a cell or free variable.
    """

    def __init__(
        self,
        tracer: Tracer,
        code: types.CodeType,
        namespace: dict[str, Any],
        slots: dict[str, Any],
        is_root: bool = False,
    ) -> None:
        self.tracer = tracer
        self.code = code
        self.namespace = namespace
        self.slots = slots
        self.is_root = is_root
        #: what the body of a class statement binds its names in
        self.names: dict[str, Any] | None = None
        #: what `locals()` answers before Python 3.13
        self.listed_locals: dict[str, Any] = {}
        self.program: Program = decode(code)
        self.stack: list[Any] = []
        self.exceptions: list[ActiveException] = []
        self.position = 0
        self.current = 0
        #: the root instruction that raised, when no handler was active
        self.raised_at = 0
        self._is_user_code = not is_passed_over(namespace)

    @cached_property
    def scope(self) -> Source:
        """Where the globals come from."""
        return Constant(Reference(self.namespace), f"globals of {self.namespace.get('__name__', '?')}")

    def release(self) -> None:
        """Let go of everything that the frame holds; it cannot go on."""
        for held in (self.slots, self.stack, self.exceptions):
            held.clear()

    # ------------------------------------------------------------------------------ execution

    def run(self, thrown: Observed | None = None) -> Returned | Yielded:
        """Execute until the frame returns or yields.

        Args:
            thrown: an exception to raise where the frame stands (into a suspended generator).

        Raises:
            Observed: an exception of the program that the frame does not handle.
            Break, Stop: see `tracer` and `break_reasons`.
        """
        self.tracer.frames.append(self)
        try:
            return self._run(thrown)
        finally:
            self.tracer.frames.pop()

    def _run(self, thrown: Observed | None) -> Returned | Yielded:
        if thrown is not None:
            try:
                if not self._unwind(thrown):
                    raise thrown
            finally:
                thrown = None  # its traceback has this frame
        while True:
            instruction = self.program.instructions[self.position]
            self.current = self.position
            self.tracer.tick(self.is_root)
            if self._is_user_code:
                self.tracer.at(self.code.co_filename, instruction.line)
            self.position += 1
            outcome = self._execute(instruction)
            if outcome is not None:
                return outcome

    def _execute(self, instruction: Instruction) -> Returned | Yielded | None:
        handler = HANDLERS.get(instruction.op)
        try:
            if handler is None:
                raise Break(reasons.UNSUPPORTED_VALUE, f"the instruction {instruction.op}")
            return handler(self, instruction.arg)
        except Observed as observed:
            observed.enter_frame()
            if not self._unwind(observed):
                raise
        except Break as stop:
            self._annotate(stop)
            raise
        return None

    def jump(self) -> None:
        """Continue at the target of the current instruction."""
        target = self.program.instructions[self.current].target
        assert target is not None
        self.position = target

    def _unwind(self, observed: Observed) -> bool:
        """Continue at the handler that covers the current instruction; False if there is none."""
        instruction = self.program.instructions[self.current]
        region = self.program.region_at(instruction.offset)
        if region is None:
            return False
        exception = observed.exception
        if self.tracer.step_of_creation(exception) is None:
            self.tracer.fresh(exception)
        if not self.exceptions and instruction.op != "RERAISE":
            self.raised_at = self.tracer.step
        handled = self.tracer.handled_exception()
        if exception.__context__ is None and handled is not exception:
            exception.__context__ = handled
        del self.stack[region.depth :]
        if region.push_offset:
            # the interpreter's own note of where it was: an object that cannot be carried over a break
            self.push(self.tracer.fresh(object()))
        self.push(exception)
        self.position = region.target
        return True

    def _annotate(self, stop: Break) -> None:
        if stop.location is None and self._is_user_code:
            line = self.program.instructions[self.current].line or self.code.co_firstlineno
            stop.location = Location(self.code.co_filename, line)
        if not self.is_root:
            stop.is_inside_callee = True

    def receiver(self) -> Any:
        """The iterator that a suspended generator delegates to by `yield from`, None if it does not."""
        is_delegating = self.current > 0 and self.program.instructions[self.current - 1].op == "SEND"
        return self.peek() if is_delegating else None

    def finish_delegation(self, value: Any) -> None:
        """Continue a suspended `yield from`, whose iterator has returned `value`."""
        self.current -= 1
        if not SEND_KEEPS_RECEIVER:
            self.pop()
        self.push(value)
        self.jump()

    # ------------------------------------------------------------------------------ stack and variables

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.seen(self.stack.pop())

    def pop_many(self, count: int) -> list[Any]:
        """The `count` topmost values, deepest first."""
        if count == 0:
            return []
        values = [self.seen(v) for v in self.stack[-count:]]
        del self.stack[-count:]
        return values

    def peek(self, depth: int = 1) -> Any:
        """The value at `depth`, 1 being the topmost; it stays on the stack."""
        value = self.stack[-depth] = self.seen(self.stack[-depth])
        return value

    def seen(self, value: Any) -> Any:
        """A variable's content, read and guarded if it has not been yet."""
        return self.tracer.read(value.value, value.source) if type(value) is Unread else value

    def local(self, name: str) -> Any:
        """The value of a local variable.

        Raises:
            Observed: UnboundLocalError.
        """
        value = self.slots.get(name, NULL)
        if value is NULL:
            text = f"cannot access local variable {name!r} where it is not associated with a value"
            raise Observed(UnboundLocalError(text))
        if type(value) is Unread:
            value = self.slots[name] = self.seen(value)
        return value
