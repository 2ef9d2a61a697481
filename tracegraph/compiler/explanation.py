"""`explain(fn)(*args)`: what capture makes of a function, as an object that prints.

The names of the counts are those of `torch._dynamo.explain`.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tracegraph.capture.bytecode.decode import decode
from tracegraph.capture.compiled_function import CompiledFunction, CompiledModule, compiled, family_of
from tracegraph.capture.drivers.units import Unit, known_as
from tracegraph.capture.guards.definitions import defined_by
from tracegraph.capture.guards.user_terms import full_place
from tracegraph.capture.recompiles import Recompile, definition_of
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.session import Call
from tracegraph.capture.specialisations import Family, Specialisation
from tracegraph.capture.trace.numbers import symbol_of_int
from tracegraph.compiler import stages
from tracegraph.compiler.api import OpByOp, StageReports, capture_options, check_model, check_switches, graph_compiler
from tracegraph.compiler.backends import Backend, resolve
from tracegraph.compiler.options import Options
from tracegraph.errors import ArgumentError, TracegraphError
from tracegraph.ir import Graph, Location, TensorType
from tracegraph.ops.random.generator import get_rng_state, set_rng_state
from tracegraph.tensor import Tensor

#: a measurement repeats until this many seconds are over, at most so often
_BUDGET, _REPEATS = 0.02, 100
#: which guards are listed, see `Explanation.text`
GuardListing = Literal["main", "all", "none"]
#: so many definitions are named
_NAMED = 8


@dataclass(frozen=True)
class BreakReason:
    """A place where a graph ends.

    Attributes:
        id: stable name of the kind of reason, see docs/compiler.md.
        location: the user's line.
        detail: what exactly was met there.
        explanation: why that ends a graph.
        hint: how to remove the break.
    """

    id: str
    location: Location | None
    detail: str
    explanation: str
    hint: str

    def __str__(self) -> str:
        head = f"{full_place(self.location)}: {self.detail} [{self.id}]"
        return f"{head}\n  why: {self.explanation}\n  try: {self.hint}"


@dataclass(frozen=True)
class GuardText:
    """A condition under which compiled code is used again.

    Attributes:
        condition: in the terms of the program.
        location: the user's line that it comes from.
        definition: the class, module or object whose definition it is about; None if it is about data.
    """

    condition: str
    location: Location | None
    definition: str | None = None

    def __str__(self) -> str:
        return f"{self.condition}  ({full_place(self.location)})" if self.location is not None else self.condition


@dataclass(frozen=True)
class CallCost:
    """Microseconds of a call when everything is compiled, the best of several; None: not measured."""

    guards: float
    graph: float | None

    def __str__(self) -> str:
        graph = "" if self.graph is None else f", graph {self.graph:.1f} us"
        return f"checks {self.guards:.1f} us{graph}"


@dataclass(frozen=True)
class Part:
    """A part of the program that was captured: a function, or the rest of one behind a graph break.

    Attributes:
        name: of the function, with the line it is resumed at.
        location: where the function is defined.
        graph: its tensor operations; None if there are none.
        guards: when it is used again.
        ends_at: the break it ends at; None if it reaches the end of the function.
        compile_times: seconds by stage; `backend` is all that follows capture.
        call_cost: see CallCost.
        fallback: why the graph runs op by op, if its backend failed.
    """

    name: str
    location: Location
    graph: Graph | None
    guards: tuple[GuardText, ...]
    ends_at: BreakReason | None
    compile_times: Mapping[str, float]
    call_cost: CallCost
    fallback: str | None = None

    def text(self, guards: GuardListing = "main") -> str:
        """What it prints as; see `Explanation.text`."""
        return "\n".join(_part_lines(self, guards))

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Explanation:
    """What was captured in the calls so far.

    Attributes:
        function: name of the function.
        parts: every part that was captured, in order.
        breaks: every graph break, each once.
        recompiles: every recompile, with the guards that failed.
        eager: what runs eagerly from some point on, or op by op, and why.
        compile_times: seconds by stage; `backend` is all that follows capture.
    """

    function: str
    parts: tuple[Part, ...]
    breaks: tuple[BreakReason, ...]
    recompiles: tuple[Recompile, ...]
    eager: tuple[str, ...]
    compile_times: Mapping[str, float]

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return tuple(p.graph for p in self.parts if p.graph is not None)

    @property
    def graph_count(self) -> int:
        return len(self.graphs)

    @property
    def graph_break_count(self) -> int:
        return len(self.breaks)

    @property
    def break_reasons(self) -> tuple[BreakReason, ...]:
        return self.breaks

    @property
    def ops_per_graph(self) -> tuple[tuple[str, ...], ...]:
        """Names of the operations of each graph, in order."""
        return tuple(tuple(node.call_op.name for node in graph.calls) for graph in self.graphs)

    @property
    def op_count(self) -> int:
        return sum(map(len, self.ops_per_graph))

    @property
    def guards(self) -> tuple[GuardText, ...]:
        """The guards of all parts."""
        return tuple(g for p in self.parts for g in p.guards)

    out_guards = guards

    @property
    def compile_seconds(self) -> float:
        """Seconds in the compiler."""
        return sum(self.compile_times.get(stage, 0.0) for stage in ("capture", "backend"))

    def text(self, guards: GuardListing = "main") -> str:
        """What it prints as.

        Args:
            guards: "main" lists those on data and counts those on definitions (classes, functions, modules, hooks),
                "all" lists them all, "none" lists none.
        """
        return "\n".join(_lines(self, guards))

    def __str__(self) -> str:
        return self.text()


# ------------------------------------------------------------------------------------------ text


def _lines(explanation: Explanation, guards: GuardListing) -> Iterator[str]:
    counts = (
        _count(explanation.graph_count, "graph"),
        _count(explanation.op_count, "operation"),
        _count(explanation.graph_break_count, "break"),
        _count(len(explanation.recompiles), "recompile"),
    )
    yield f"{explanation.function}: {', '.join(counts)}, {explanation.compile_seconds:.2f} s in the compiler"
    for part in explanation.parts:
        yield ""
        yield part.text(guards)
    for title, entries in (
        ("breaks", explanation.breaks),
        ("recompiles", explanation.recompiles),
        ("runs eagerly", explanation.eager),
    ):
        if entries:
            yield f"\n{title}"
            yield from (_indented(str(e)) for e in entries)
    yield "\ncompile times"
    yield from (f"  {stage:<13} {seconds:.4f} s" for stage, seconds in explanation.compile_times.items())


def _part_lines(part: Part, guards: GuardListing) -> Iterator[str]:
    yield f"{part.name} ({full_place(part.location)})"
    if part.graph is None:
        yield "  no tensor operations: runs as ordinary Python"
    else:
        inputs = [f"%{value.node.name}: {_input_text(value.type)}" for value in part.graph.placeholders]
        yield f"  inputs: {', '.join(inputs) or 'none'}"
        yield f"  operations: {operations_text(part.graph)}"
    if part.fallback is not None:
        yield f"  runs op by op: {part.fallback}"
    yield f"  call: {part.call_cost}"
    if guards != "none":
        yield f"  guards: {len(part.guards)}"
        yield from (f"    {guard}" for guard in _guard_lines(part.guards, guards))
    if part.ends_at is not None:
        yield f"  ends at {full_place(part.ends_at.location)}: {part.ends_at.detail}"


def _guard_lines(guards: Sequence[GuardText], listing: GuardListing) -> Iterator[object]:
    """The guards on data one by one; those on definitions too, or how many there are and of what."""
    folded = [g for g in guards if g.definition is not None] if listing == "main" else []
    yield from (g for g in guards if g not in folded)
    if folded:
        names = list(dict.fromkeys(str(g.definition) for g in folded))
        more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"and {len(folded)} on definitions: {', '.join(names[:_NAMED])}{more}"


def _input_text(type: TensorType) -> str:
    """The type of an input; of what only tells an int (u8[s0, 0]), that it is one."""
    symbol = symbol_of_int(type)
    return str(type) if symbol is None else f"int {symbol}"


def operations_text(graph: Graph) -> str:
    """`matmul, 2 x add`, the most frequent first."""
    counts = Counter(node.call_op.name for node in graph.calls)
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in counts.most_common()) or "none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


# ------------------------------------------------------------------------------------------ making one


@dataclass
class Recording(StageReports):
    """Takes down what a family makes, and measures it."""

    parts: list[Part] = field(default_factory=list)
    products: list[stages.Product] = field(default_factory=list)
    _first: int = 0

    def captured(self, unit: Unit, graph: Graph | None, seconds: float) -> None:
        self._first = len(self.products)
        super().captured(unit, graph, seconds)

    def specialised(self, unit: Unit, made: Specialisation, call: Call, inputs: list[Any]) -> None:
        times = _seconds_by_stage(self.products[self._first :])
        cost = CallCost(_best_of(lambda: made.checker.holds(call.args, call.cells)), _cost_of_graph(made, inputs))
        guards = tuple(GuardText(str(g), g.location, defined_by(g)) for g in made.guards)
        stop = _reason(made.stop) if made.stop is not None else None
        name, code = known_as(unit, call.args) if unit.is_entry else (title(unit), unit.users_code)
        fallback = made.compiled.why if isinstance(made.compiled, OpByOp) else None
        self.parts.append(Part(name, definition_of(code), made.graph, guards, stop, times, cost, fallback))


class Explainer:
    """What `explain` returns: call it with the arguments to explain a call with; further calls add to the picture."""

    def __init__(self, name: str, function: Any, recording: Recording) -> None:
        self._name = name
        self._function = function
        self._recording = recording
        #: the result of the last call
        self.result: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Explanation:
        with stages.recorded() as log:
            self._recording.products = log
            self._recording._first = 0
            self.result = self._function(*args, **kwargs)
        return self._explanation()

    def _explanation(self) -> Explanation:
        family = family_of(self._function)
        return Explanation(
            function=self._name,
            parts=tuple(self._recording.parts),
            breaks=tuple(dict.fromkeys(_reason(stop) for _, stop in family.breaks)),
            recompiles=tuple(recompile for _, recompile in family.recompiles),
            eager=(
                *(f"{p.name}: {p.fallback}" for p in self._recording.parts if p.fallback is not None),
                *(f"{title(unit)}: {why}" for unit, why in family.given_up),
                *(() if family.units else (f"{self._name}: it is no Python function, so there is nothing to capture",)),
            ),
            compile_times=_sum_of(p.compile_times for p in self._recording.parts),
        )


def explain(
    fn: Any,
    *,
    dynamic: bool | None = None,
    backend: str | Backend | None = None,
    options: Mapping[str, Any] | None = None,
) -> Explainer:
    """Explain how `fn` is captured and compiled: `print(explain(fn)(x, y))`.

    The function is called once with the arguments, compiled anew, so its side effects happen. Each of its graphs is
    run a few times more, on copies of its inputs, to measure it. What is called may be called again, with other
    arguments: the explanation then includes the recompiles.

    Args:
        fn: a function, method or Module, compiled or not; a compiled one keeps its own options.
        dynamic, backend, options: as for `tracegraph.compile`.

    Raises:
        ArgumentError: `fn` is not callable.
        OptionError: unknown backend or option.
    """
    check_model("explain", fn)
    if isinstance(fn, type):
        raise ArgumentError(f"explain() of class {fn.__qualname__}: pass an object of it, or a function or method")
    check_switches("explain", dynamic=dynamic)
    recording = Recording()
    settings = Options().updated(options)
    known = _family_or_none(fn)
    if known is not None:
        function = compiled(fn, known.compile_graph, known.options, recording)
    else:
        compiler = graph_compiler(resolve(backend), settings)
        function = compiled(fn, compiler, capture_options(settings, False, dynamic), recording)
    if _family_or_none(function) is None:
        raise ArgumentError(f"explain(): {_name_of(fn)} is excluded from compilation by disable()")
    return Explainer(_name_of(fn), function, recording)


def _family_or_none(target: Any) -> Family | None:
    function = getattr(target, "__func__", target)
    return family_of(function) if isinstance(function, CompiledFunction | CompiledModule) else None


def _name_of(target: Any) -> str:
    return getattr(target, "__qualname__", None) or type(target).__qualname__


def title(unit: Unit) -> str:
    """`f`, or `f from line 12` for the rest of a function behind a break."""
    name: str = unit.users_code.co_qualname
    if unit.is_entry or unit.users_code is not unit.code:
        return name
    return f"{name} from line {decode(unit.code).instructions[unit.index].line or '?'}"


def _reason(stop: Break) -> BreakReason:
    return BreakReason(stop.reason.id, stop.location, stop.detail, stop.reason.explanation, stop.reason.hint)


def _seconds_by_stage(products: Sequence[stages.Product]) -> dict[str, float]:
    return _sum_of({p.stage: p.seconds} for p in products)


def _sum_of(times: Any) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in times:
        for stage, seconds in one.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


# ------------------------------------------------------------------------------------------ measuring


def _best_of(call: Callable[[], Any]) -> float:
    """Microseconds of the fastest of several calls."""
    best, end = float("inf"), time.perf_counter() + _BUDGET
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            break
    return best * 1e6


def _cost_of_graph(made: Specialisation, inputs: list[Any]) -> float | None:
    """Cost of the graph on copies of its inputs; None where copies cannot stand for them."""
    if made.compiled is None or not all(t.is_contiguous() for t in inputs):
        return None
    copies = [_copy(t) for t in inputs]
    state = get_rng_state()
    try:
        made.compiled(copies)
        return _best_of(functools.partial(made.compiled, copies))
    except TracegraphError:
        # what a copy does not allow, such as a write to what is no leaf in the program; the call itself will tell
        return None
    finally:
        set_rng_state(state)


def _copy(tensor: Tensor) -> Tensor:
    copy: Tensor = tensor.detach().clone()
    copy.requires_grad = tensor.requires_grad
    return copy
