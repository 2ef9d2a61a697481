"""Symbols of one trace: sizes of tensors and ints that vary, each with the Source its value is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tracegraph.capture.guards.sources import Computed, Reference, Source, above_zero, below_zero
from tracegraph.capture.guards.user_terms import full_place, size_condition, source_text
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.errors import CaptureError, ConstraintViolationError
from tracegraph.ir import Location, ShapeEnv, SizeGuard, SymExpr
from tracegraph.ir import dim as dims


@dataclass(frozen=True)
class SizeCondition:
    """A guard on symbols: `text` is a Python condition over the symbols' names.

    `examples` are the values the symbols had when the trace was made, `location` the user's line that asked.
    """

    text: str
    symbols: tuple[tuple[str, Source], ...]
    examples: tuple[int, ...] = field(default=(), compare=False)
    location: Location | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return size_condition(self)


class Sizes:
    """The symbols of a trace and the conditions under which it may be reused."""

    def __init__(self) -> None:
        self.env = ShapeEnv(refuse=self._refuse_drawn)
        #: symbols of ints that each call draws at random: nothing is known of them when guards are checked
        self.drawn: set[str] = set()
        self.sources: dict[str, Source] = {}
        #: ints that differences of symbols stand for, by their texts
        self.differences: dict[str, Source] = {}
        self._sizes: dict[int, str] = {}
        self._equal: list[tuple[str, Source, Location | None]] = []
        #: symbols of sizes that the user marked, with their ranges
        self._marked: dict[str, tuple[int, int | None]] = {}

    def shared(self, size: int, source: Source) -> SymExpr:
        """The symbol of a tensor size. Sizes that are equal now share one, guarded to stay equal."""
        name = self._sizes.get(size)
        if name is not None:
            self._equal.append((name, source, self.env.location))
            return dims.sym(name)
        symbol = self.symbol(size, source)
        self._sizes[size] = str(symbol)
        return symbol

    def symbol(self, size: int, source: Source) -> SymExpr:
        """The symbol of a tensor size that has been seen to vary: it is shared with no other size."""
        symbol = self.env.fresh(size)
        self.sources[str(symbol)] = source
        return symbol

    def marked(self, size: int, source: Source, low: int, high: int | None) -> SymExpr:
        """The symbol of a tensor size that the user marked: it is shared with no other size."""
        symbol = self.env.fresh(size, low, high)
        self.sources[str(symbol)] = source
        self._marked[str(symbol)] = (low, high)
        return symbol

    def check_marks(self) -> None:
        """Require that sizes marked as dynamic are not fixed by what was asked of them.

        Raises:
            ConstraintViolationError: names the size, the value it is fixed to, and the user's line.
        """
        for guard in self.env.guards:
            names = dims.symbols(guard.left) | dims.symbols(guard.right)
            name = next(iter(names))
            if len(names) == 1 and name in self._marked and self._fixes(guard, name):
                place = f" at {full_place(guard.location)}" if guard.location is not None else ""
                raise ConstraintViolationError(
                    f"{source_text(self.sources[name])} was marked as dynamic, but the program fixes it to "
                    f"{self.env.examples[name]}{place}; remove mark_dynamic, or what asks for one size"
                )

    def _fixes(self, guard: SizeGuard, name: str) -> bool:
        """Whether a guard on one symbol holds for no size near the one it has, of those it may have."""
        size, (low, high) = self.env.examples[name], self._marked[name]
        near = range(max(low, size - 64), size + 65 if high is None else min(high, size + 64) + 1)
        return len(near) > 1 and not any(n != size and guard.holds({name: n}) for n in near)

    def integer(self, value: int, source: Source, high: int | None = None) -> SymExpr:
        """The symbol of an int that varies, at least 0."""
        symbol = self.env.fresh(value, low=0, high=high)
        self.sources[str(symbol)] = source
        return symbol

    def of_any_sign(self, value: int, source: Source) -> tuple[SymExpr, SymExpr]:
        """The symbols of how far an int that varies is above 0, and below."""
        above = self.integer(max(value, 0), above_zero(source))
        below = self.integer(max(-value, 0), below_zero(source))
        self.differences[str(above - below)] = source
        return above, below

    def _refuse_drawn(self, symbols: set[str]) -> None:
        """Refuse to decide by ints drawn at random.

        Raises:
            Break: one of the symbols stands for such.
        """
        if symbols & self.drawn:
            raise Break(reasons.SIDE_EFFECT_CALL, "a decision by a random number")

    def begin_compiling(self) -> None:
        """What is asked from now on is no line of the user's, nor a number of the trace, and nothing can break."""
        self.env.location = self.env.varying_float = None
        self.env.refuse = self._refuse_when_compiling

    def _refuse_when_compiling(self, symbols: set[str]) -> None:
        if symbols & self.drawn:
            raise CaptureError("compiling asks for the value of an int that each call draws at random")

    def source(self, expression: SymExpr) -> Source:
        """Where later calls find the value of an expression over the symbols."""
        source = self.sources.get(str(expression)) or self.differences.get(str(expression))
        if source is not None:
            return source
        names = sorted(dims.symbols(expression))
        function = eval(f"lambda {', '.join(names)}: {expression}", dict(dims.FUNCTIONS))
        function.__name__ = str(expression)
        return Computed(Reference(function), tuple(self.sources[n] for n in names))

    def in_users_terms(self, text: str) -> str:
        """A message with what the user's program has for the symbols in it."""

        def term(name: re.Match[str]) -> str:
            source = self.sources.get(name[0])
            return name[0] if source is None else source_text(source)

        for difference, source in self.differences.items():
            text = re.sub(rf"(?<![-*/%] )\b{difference}\b", source_text(source), text)
        return re.sub(r"\bs\d+\b", term, text)

    def _condition(self, guard: SizeGuard) -> SizeCondition:
        names = sorted(set().union(*map(dims.symbols, (guard.left, guard.right))))
        symbols = tuple((n, self.sources[n]) for n in names)
        return SizeCondition(str(guard), symbols, tuple(self.env.examples[n] for n in names), guard.location)

    def conditions(self) -> list[SizeCondition]:
        """What was asked of the symbols during the trace, and what is known of them."""
        found = [self._condition(g) for g in self.env.guards]
        for name, (low, high) in self._marked.items():
            bounds = [f"{low} <= {name}"] if low > 2 else []
            bounds += [f"{name} <= {high}"] if high is not None else []
            symbols, examples = ((name, self.sources[name]),), (self.env.examples[name],)
            found += [SizeCondition(text, symbols, examples) for text in bounds]
        for position, (name, source, location) in enumerate(self._equal):
            other, size = f"other{position}", self.env.examples[name]
            pair = ((other, source), (name, self.sources[name]))
            found.append(SizeCondition(f"{other} == {name}", pair, (size, size), location))
        return found
