"""The facts about size symbols, and the guards that undecidable comparisons leave behind.

A `ShapeEnv` is active while a function is captured with dynamic sizes. It knows the example value of every symbol
and a range for each; a comparison the ranges decide costs nothing, any other is answered by the example values and
recorded in `guards`, so that the graph is only reused for sizes that would have answered alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracegraph.ir import dim as dims
from tracegraph.ir.bounds import bounds_decide
from tracegraph.ir.dim import Dim, SymExpr
from tracegraph.ir.graph import Location
from tracegraph.settings import pushed


@dataclass(frozen=True)
class SizeGuard:
    """`left relation right` must evaluate to `expected` for the graph to be valid.

    `location` is the user's line that asked, if it was the user's program.
    """

    relation: str
    left: Dim
    right: Dim
    expected: bool
    location: Location | None = None

    def holds(self, binding: dict[str, int]) -> bool:
        """Whether the guard holds for these sizes."""
        a, b = dims.evaluate(self.left, binding), dims.evaluate(self.right, binding)
        return dims.decide(self.relation, a, b) is self.expected

    def __str__(self) -> str:
        negated = {"==": "!=", "<": ">=", "<=": ">"}
        relation = self.relation if self.expected else negated[self.relation]
        return f"{self.left} {relation} {self.right}"


@dataclass
class ShapeEnv:
    """Symbols with their example values and ranges, and the guards recorded so far."""

    examples: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    guards: list[SizeGuard] = field(default_factory=list)
    #: symbols that a guard made equal to another, and that other
    equal: dict[str, Dim] = field(default_factory=dict)
    #: the user's line being traced, for the guards that it asks for
    location: Location | None = None
    #: makes a float that varies of a size, if what traces has such
    varying_float: Callable[[SymExpr], Any] | None = None
    #: refuses, by an exception, to decide by these symbols, whose values are known only when the graph runs
    refuse: Callable[[set[str]], None] | None = None

    def fresh(self, example: int, low: int = 2, high: int | None = None) -> SymExpr:
        """A new symbol whose example value is `example`.

        The default lower bound is 2: sizes 0 and 1 behave differently under broadcasting and get graphs of
        their own, as in PyTorch.
        """
        name = f"s{len(self.examples)}"
        self.examples[name] = example
        self.ranges[name] = (low, high)
        return dims.sym(name)

    def decide(self, relation: str, a: object, b: object) -> bool:
        """The truth of `a relation b`, guarded unless the ranges decide it for all sizes."""
        if self.equal:
            a, b = dims.evaluate(a, self.equal), dims.evaluate(b, self.equal)  # type: ignore[arg-type]
        known = self.known(relation, a, b)
        if known is not None:
            return known
        answer = dims.decide(relation, self.example(a), self.example(b))
        self._record(SizeGuard(relation, a, b, answer, self.location))  # type: ignore[arg-type]
        if answer and relation == "==" and self.examples.keys() >= {str(a), str(b)}:
            self._note_equal(str(a), str(b))
        return answer

    def _note_equal(self, a: str, b: str) -> None:
        """Let one symbol stand for both, the one that more is known of."""
        kept, dropped = (a, b) if self._bound(a)[0] >= self._bound(b)[0] else (b, a)
        self.equal = {name: dims.evaluate(other, {dropped: dims.sym(kept)}) for name, other in self.equal.items()}
        self.equal[dropped] = dims.sym(kept)

    def known(self, relation: str, a: object, b: object) -> bool | None:
        """The truth of `a relation b` if it is the same for all sizes that the graph may be used for, else None."""
        difference = a - b  # type: ignore[operator]
        if not isinstance(difference, SymExpr):
            return dims.decide(relation, a, b)
        return bounds_decide(relation, difference, self._bound)

    def specialise(self, dim: SymExpr) -> int:
        """The example value of `dim`; the graph becomes valid for that value only."""
        value = self.example(dim)
        known = dims.evaluate(dim, self.equal)
        self._record(SizeGuard("==", known, value, True, self.location))
        return value

    def as_float(self, dim: SymExpr) -> Any:
        """`dim` as a float that varies with it, or as the float it is here; then the graph is valid for that only."""
        return float(self.specialise(dim)) if self.varying_float is None else self.varying_float(dim)

    def example(self, dim: object) -> int:
        """`dim` with every symbol at its example value."""
        return dims.evaluate(dim, self.examples)  # type: ignore[arg-type,return-value]

    def _bound(self, name: str) -> tuple[int, int | None]:
        return self.ranges.get(name, (0, None))

    def _record(self, guard: SizeGuard) -> None:
        if self.refuse is not None:
            self.refuse(dims.symbols(guard.left) | dims.symbols(guard.right))
        if guard not in _GuardTexts(self.guards):
            self.guards.append(guard)

    def active(self) -> pushed:
        """Answer size comparisons inside the block."""
        return dims.ACTIVE.pushed(self)


class _GuardTexts:
    """Membership by text: comparing guards with `==` would compare sizes, and so record guards."""

    def __init__(self, guards: list[SizeGuard]) -> None:
        self._texts = {(str(g), g.expected) for g in guards}

    def __contains__(self, guard: SizeGuard) -> bool:
        return (str(guard), guard.expected) in self._texts
