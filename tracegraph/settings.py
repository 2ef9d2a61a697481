"""Settings: state of a thread or of the process that changes what the same program computes.

Each is an attribute of a `Settings` object. Capture knows them all: what a trace depends on is guarded, what it wrote
is set again when the trace runs (see `capture.trace.settings`). A new setting needs no more than a class here or
elsewhere.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, ClassVar, TypeVar

S = TypeVar("S", bound="Settings")


class Settings:
    """Base of objects that hold settings, each a value that never changes by itself.

    Class attributes:
        questions: for each setting the expression by which a user's program asks for it.

    Attributes:
        obeyed: how often operations have asked for an implicit setting; not counted where backward passes ignore it.
    """

    questions: ClassVar[dict[str, str]]
    #: every instance, in the order of their making
    instances: ClassVar[list[Settings]] = []
    obeyed: int = 0

    @property
    def implicit(self) -> tuple[str, ...]:
        """The settings that operations obey now, so that every trace depends on them; others only where it asks."""
        return ()

    @classmethod
    def register(cls: type[S]) -> S:
        """The one instance of the class."""
        made = cls()
        Settings.instances.append(made)
        return made


class ThreadStack(threading.local):
    """What is under way on a thread, innermost last: pushed when it begins, dropped when it ends."""

    #: every instance
    instances: ClassVar[list[ThreadStack]] = []

    def __init__(self) -> None:
        self.stack: list[Any] = []

    @classmethod
    def register(cls) -> ThreadStack:
        """An instance that `preserved` knows."""
        made = cls()
        ThreadStack.instances.append(made)
        return made

    def pushed(self, value: Any) -> pushed:
        """A block in which `value` is on top."""
        return pushed(self, value)


# The blocks below are no generators: one that an interrupt has suspended before its block began is closed whenever the
# traceback dies, and would put back then what has long changed.


class pushed:
    """See `ThreadStack.pushed`."""

    __slots__ = ("_stack", "_value")

    def __init__(self, stack: ThreadStack, value: Any) -> None:
        self._stack = stack
        self._value = value

    def __enter__(self) -> None:
        self._stack.stack.append(self._value)

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.stack.pop()


class preserved:
    """Put all settings and stacks of this thread back after the block.

    An interrupt may fall between a change and the statement that would undo it; not where two such blocks are nested.
    """

    __slots__ = ("_before", "_depths")

    def __enter__(self) -> None:
        self._depths = [(stack, len(stack.stack)) for stack in ThreadStack.instances]
        self._before: list[tuple[Settings, str, Any]] = [
            (settings, name, getattr(settings, name)) for settings in Settings.instances for name in settings.questions
        ]

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        for stack, depth in self._depths:
            del stack.stack[depth:]
        for settings, name, value in self._before:
            setattr(settings, name, value)
