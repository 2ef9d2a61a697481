"""The callable that a user gets: a function, method or Module with its cache of specialisations.

A `Family` holds what belongs to one `compile` call: the options, the backend, and the cache of every unit reached
from it (the function, its resumed parts, callees compiled on their own). A `CompiledUnit` is the cache of one unit.
"""

from __future__ import annotations

import functools
import threading
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracegraph.capture.break_reasons import Break
from tracegraph.capture.checker import Check, Failure, compile_guards, find_failure
from tracegraph.capture.decode import is_supported
from tracegraph.capture.driver import Tail
from tracegraph.capture.dynamism import Dynamism
from tracegraph.capture.functions import make_binder
from tracegraph.capture.guards import Guard, GuardKind, TensorFacts
from tracegraph.capture.native_calls import may_inline
from tracegraph.capture.native_ops import CALL_COMPILED
from tracegraph.capture.result import CaptureResult
from tracegraph.capture.resume import run_resumed
from tracegraph.capture.session import Call, RunEagerly, capture
from tracegraph.capture.units import Unit, entry, spread
from tracegraph.errors import CaptureError
from tracegraph.ir import Graph

CompileGraph = Callable[[Graph, list[Any]], Callable[[list[Any]], list[Any]]]


@dataclass(frozen=True)
class CaptureOptions:
    """How functions are captured.

    Attributes:
        fullgraph: raise CaptureError instead of breaking the graph.
        dynamic: sizes symbolic from the start (True), never (False), or once they vary (None).
        recompile_limit: specialisations of one unit before it runs eagerly.
    """

    fullgraph: bool = False
    dynamic: bool | None = None
    recompile_limit: int = 8


@dataclass
class Specialisation:
    """One captured call, ready to run again while its guards hold."""

    guards: tuple[Guard, ...]
    check: Check
    run: Callable[[tuple[Any, ...], tuple[Any, ...]], Any]
    graph: Graph | None
    #: source texts, for dumps
    guard_text: str
    driver_text: str
    stop: Break | None


@dataclass
class Family:
    """See the module docstring.

    Args:
        compile_graph: the backend: (graph, example inputs) -> callable from tensors to tensors.
    """

    options: CaptureOptions
    compile_graph: CompileGraph
    units: dict[tuple[Unit, int], CompiledUnit] = field(default_factory=dict)
    #: graph breaks and recompilations so far, for `explain`
    breaks: list[tuple[Unit, Break]] = field(default_factory=list)
    recompiles: list[tuple[Unit, Failure]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def unit(self, unit: Unit, namespace: dict[str, Any], is_native: bool = False) -> CompiledUnit:
        """The cache of `unit`, made on first use."""
        with self.lock:
            found = self.units.get((unit, int(is_native)))
            if found is None:
                found = self.units[unit, int(is_native)] = CompiledUnit(self, unit, namespace, is_native)
            return found

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a Python callee through the compiler; anything else as it is."""
        if isinstance(function, types.MethodType):
            return self.call(function.__func__, function.__self__, *args, **kwargs)
        if isinstance(function, types.FunctionType):
            if not may_inline(function) or getattr(function, "_tracegraph_disabled", False):
                return function(*args, **kwargs)
            return self.call_function(function, args, kwargs)
        method = getattr(type(function), "__call__", None)
        if not isinstance(function, type) and isinstance(method, types.FunctionType):
            return self.call(method, function, *args, **kwargs)
        return function(*args, **kwargs)

    def call_function(self, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Bind, find a specialisation, run, follow continuations."""
        binder = make_binder(function, function.__defaults__, function.__kwdefaults__)
        bound = binder(*args, **kwargs)
        result = self.unit(entry(function), function.__globals__).step(bound, function.__closure__ or ())
        while type(result) is Tail:
            result = result.target.step(result.args, result.cells)
        return result


class CompiledUnit:
    """The specialisations of one unit, and what to do when none fits."""

    def __init__(self, family: Family, unit: Unit, namespace: dict[str, Any], is_native: bool) -> None:
        self.family = family
        self.unit = unit
        self.namespace = namespace
        self.is_native = is_native
        self.specialisations: list[Specialisation] = []
        self._dynamism = Dynamism(family.options.dynamic)
        self._attempts = 0

    def step(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> Any:
        """Run up to the end or the next continuation; returns the result or a Tail."""
        for specialisation in self.specialisations:
            if specialisation.check(args, cells):
                return specialisation.run(args, cells)
        if self.is_native:
            return self.eager(args, cells)
        return self._miss(args, cells)

    def eager(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> Any:
        """Run the unit without capturing."""
        if not self.unit.is_entry:
            return run_resumed(self.unit, self.namespace, args, cells)
        code = self.unit.code
        function = types.FunctionType(code, self.namespace, code.co_name, None, cells)
        positional, keywords = spread(code, args)
        return function(*positional, **keywords)

    def _miss(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> Any:
        with self.family.lock:
            found = next((s for s in self.specialisations if s.check(args, cells)), None)
            if found is None:
                found = self._specialise(args, cells)
        return self.eager(args, cells) if found is None else found.run(args, cells)

    def _specialise(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> Specialisation | None:
        """Capture and compile; None if this call is to run eagerly."""
        if not is_supported():
            self._give_up("this Python version's bytecode is not known")
            return None
        if self._attempts >= self.family.options.recompile_limit:
            self._give_up(f"it was compiled {self._attempts} times; last: {self._last_failure(args, cells)}")
            return None
        self._learn(args, cells)
        self._attempts += 1
        try:
            result = capture(Call(self.unit, self.namespace, args, cells), self._dynamism)
        except RunEagerly as e:
            self._note_break(e.stop)
            return None
        if result.stop is not None:
            self._note_break(result.stop)
        specialisation = self._build(result)
        self.specialisations.append(specialisation)
        return specialisation

    def _note_break(self, stop: Break) -> None:
        if self.family.options.fullgraph and stop.reason.id != "exception":
            raise CaptureError(f"fullgraph=True, but {self.unit.code.co_qualname} does not make one graph: {stop.describe()}")
        self.family.breaks.append((self.unit, stop))

    def _build(self, result: CaptureResult) -> Specialisation:
        names: dict[str, Any] = dict(result.names)
        if result.graph is not None:
            names["graph"] = self.family.compile_graph(result.graph, result.example_inputs)
        for key, value in result.names.items():
            if value is CALL_COMPILED:
                names[key] = self.family.call
        for way in result.continuations:
            names[way.name] = self.family.unit(way.unit, self.namespace, way.is_native)
        exec(compile(result.driver, f"<driver of {self.unit.label}>", "exec"), names)  # noqa: S102
        check, text = compile_guards(result.guards)
        return Specialisation(result.guards, check, names["run"], result.graph, text, result.driver, result.stop)

    def _learn(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> None:
        """Note why the specialisations do not fit, and let what varies become symbolic."""
        for specialisation in self.specialisations[-1:]:
            failure = find_failure(specialisation.guards, args, cells)
            if failure is None or failure.guard.source is None:
                continue
            self.family.recompiles.append((self.unit, failure))
            expected, actual = failure.guard.expected, failure.actual
            if isinstance(expected, TensorFacts) and hasattr(actual, "shape"):
                self._dynamism.note_sizes(failure.guard.source, expected, actual)
            elif failure.guard.kind is GuardKind.CONSTANT and type(expected) is type(actual) is int:
                self._dynamism.note_integer(failure.guard.source)

    def _last_failure(self, args: tuple[Any, ...], cells: tuple[Any, ...]) -> str:
        for specialisation in self.specialisations[-1:]:
            failure = find_failure(specialisation.guards, args, cells)
            if failure is not None:
                return str(failure)
        return "the function could not be captured"

    def _give_up(self, why: str) -> None:
        self.is_native = True
        code = self.unit.code
        warnings.warn(
            f"tracegraph: {code.co_qualname} ({code.co_filename}:{code.co_firstlineno}) runs eagerly from now on: {why}",
            RuntimeWarning,
            stacklevel=2,
        )


class CompiledFunction:
    """A compiled function: call it, use it as a method, or look at `_tracegraph_original`."""

    def __init__(self, function: types.FunctionType, family: Family) -> None:
        self._tracegraph_original = function
        self.family = family
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.family.call_function(self._tracegraph_original, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self._tracegraph_original!r}>"


def compiled(target: Any, compile_graph: CompileGraph, options: CaptureOptions) -> Any:
    """Wrap a function, method or callable object; see `CompiledFunction`."""
    family = Family(options, compile_graph)
    if isinstance(target, types.MethodType):
        return types.MethodType(CompiledFunction(target.__func__, family), target.__self__)
    return CompiledFunction(target, family)
