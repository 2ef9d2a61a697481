"""What an attempt to trace a call has found out too late to make use of it; the next attempt knows it in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tracegraph.capture.guards.sources import Source
from tracegraph.ir import TensorType

#: so many leaves of one trace may be made before its graph; each takes an attempt to find
MAX_LEAVES = 32


class TraceAgain(BaseException):
    """What the program was going to change has been changed, so that this attempt knows it in a former state."""


class Foreseen(BaseException):
    """The next attempt knows what this one has found out too late."""


@dataclass(frozen=True)
class ModuleResults:
    """The results of a call of a Module that has backward hooks.

    Attributes:
        types: of each, if it is a tensor that requires grad.
        shown: the positions of the tensors; None if no gradient goes back to them.
    """

    types: tuple[TensorType | None, ...]
    shown: tuple[int, ...] | None


@dataclass
class Foresight:
    """Kept from one attempt to the next. Tracing repeats itself, so calls are known by their number.

    Attributes:
        runs: whether the call runs once it is captured; for one that is only looked at nothing may be changed.
        is_stale: whether this attempt has found other than was foreseen.
    """

    runs: bool = False
    is_stale: bool = False
    _calls: int = 0
    _results: dict[int, ModuleResults] = field(default_factory=dict)
    #: numbers of the leaves that the trace makes and results depend on
    _leaves: set[int] = field(default_factory=set)
    #: tensors whose sizes are not to vary
    _fixed: set[Source] = field(default_factory=set)

    def begin(self) -> None:
        """A new attempt."""
        self._calls, self.is_stale = 0, False

    def is_given(self, leaf: int) -> bool:
        """Whether the leaf with this number is to be made before the graph runs."""
        return leaf in self._leaves

    def give(self, leaf: int) -> bool:
        """Let it be made before from the next attempt on; False if that makes no difference, or is too much."""
        if leaf in self._leaves or len(self._leaves) == MAX_LEAVES:
            return False
        self._leaves.add(leaf)
        return True

    def is_fixed(self, tensor: Source) -> bool:
        """Whether the sizes of the tensor there are to be constants."""
        return tensor in self._fixed

    def fix(self, tensors: Iterable[Source]) -> bool:
        """Let the sizes of these tensors be constants from the next attempt on; whether there is one that is new."""
        known = len(self._fixed)
        self._fixed.update(tensors)
        return len(self._fixed) > known

    def enter(self) -> tuple[int, ModuleResults | None]:
        """The number of a call that begins, and what it will return."""
        self._calls += 1
        return self._calls, self._results.get(self._calls)

    def found(self, number: int, results: ModuleResults) -> bool:
        """Note what a call has returned; whether that was foreseen."""
        if self._results.get(number) == results:
            return True
        self._results[number] = results
        self.is_stale = True
        return False
