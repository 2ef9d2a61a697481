"""The cache behind a compiled function: specialisations of each unit, guarded, made on a miss.

A `Family` holds what belongs to one `compile` call: options, backend, and the cache of every unit reached from it
(the function, its resumed parts, callees compiled on their own). A `CompiledUnit` is the cache of one unit.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracegraph.capture.bytecode.decode import is_supported
from tracegraph.capture.callees import CalleeCompiler
from tracegraph.capture.drivers.driver import Tail
from tracegraph.capture.drivers.driver_code import make_driver
from tracegraph.capture.drivers.native_ops import CALL_COMPILED
from tracegraph.capture.drivers.result import CaptureResult
from tracegraph.capture.drivers.resume import run_resumed
from tracegraph.capture.drivers.units import Unit, about, entry, forward_on_stack, known_as, spread
from tracegraph.capture.guards.checker import Checker
from tracegraph.capture.guards.failures import Failure, find_failure
from tracegraph.capture.guards.guard import Guard
from tracegraph.capture.guards.sources import Local
from tracegraph.capture.guards.user_terms import full_place
from tracegraph.capture.recompiles import Recompile, definition_of, failed_guard
from tracegraph.capture.reporting import logs
from tracegraph.capture.reporting.break_reasons import USER_EXCEPTION
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.reporting.tracebacks import hide_machinery, is_of_an_op
from tracegraph.capture.reporting.user_frame import warn_user
from tracegraph.capture.session import COMPILING, Call, RunEagerly, capture
from tracegraph.capture.stance import STANCE, config
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.functions import make_binder
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.capture.undo import atomic
from tracegraph.errors import CaptureError, RecompileError
from tracegraph.ir import Graph
from tracegraph.ops.core.autocast import not_casting
from tracegraph.ops.graphs.batched import LEVELS
from tracegraph.settings import preserved

#: of a resumed part: a list, which it empties
Args = Sequence[Any]
Cells = tuple[Any, ...]
#: the backend: (graph, example inputs) -> callable from a list of tensors to its results; the callable has a true
#: attribute `is_atomic` if a call that raises has had no effects
CompileGraph = Callable[[Graph, list[Any]], Callable[[list[Any]], Sequence[Any]]]


@dataclass(frozen=True)
class CaptureOptions:
    """How functions are captured.

    Attributes:
        fullgraph: raise CaptureError instead of breaking the graph.
        dynamic: sizes symbolic from the start (True), never (False), or once they vary (None).
        recompile_limit: specialisations of one unit before it runs eagerly; None: as `stance.config` says.
        error_on_recompile: raise instead of making a second specialisation; None: as `stance.config` says.
    """

    fullgraph: bool = False
    dynamic: bool | None = None
    recompile_limit: int | None = None
    error_on_recompile: bool | None = None

    def limit(self) -> int:
        """The number of specialisations of one unit."""
        return config.recompile_limit if self.recompile_limit is None else self.recompile_limit

    def forbids_recompiles(self) -> bool:
        """Whether a second specialisation is an error."""
        return config.error_on_recompile if self.error_on_recompile is None else self.error_on_recompile


@dataclass
class Specialisation:
    """One captured call, ready to run again while its guards hold."""

    checker: Checker
    run: Callable[[Args, Cells], Any]
    graph: Graph | None
    #: the backend's callable for the graph
    compiled: Callable[[list[Any]], Sequence[Any]] | None
    #: the graph break it ends at
    stop: Break | None
    #: `checker.holds`, once a call has asked: a look-up less in every call
    holds: Callable[[Args, Cells], bool] | None = field(default=None, init=False)

    def asked(self) -> Callable[[Args, Cells], bool]:
        """`holds`, from now on."""
        self.holds = self.checker.holds
        return self.holds

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Its guards, in the order in which they are checked."""
        return self.checker.guards


class Observer:
    """Told what a family does; `explain` and the log of stages derive from it."""

    def captured(self, unit: Unit, graph: Graph | None, seconds: float) -> None:
        """A call was captured."""

    def specialised(self, unit: Unit, made: Specialisation, call: Call, inputs: list[Any]) -> None:
        """A specialisation is about to run for the first time: `call` has its arguments, `inputs` its graph's."""


#: families alive, for `reset`
FAMILIES: weakref.WeakSet[Family] = weakref.WeakSet()


@dataclass(eq=False)
class Family:
    """See the module docstring."""

    options: CaptureOptions
    compile_graph: CompileGraph
    observer: Observer = field(default_factory=Observer)
    units: dict[tuple[Unit, bool], CompiledUnit] = field(default_factory=dict)
    #: graph breaks and recompiles so far, for `explain`
    breaks: list[tuple[Unit, Break]] = field(default_factory=list)
    recompiles: list[tuple[Unit, Recompile]] = field(default_factory=list)
    #: units that run eagerly from some point on, and why
    given_up: list[tuple[Unit, str]] = field(default_factory=list)
    _entries: dict[tuple[int, int], EntryPoint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        FAMILIES.add(self)

    def unit(self, unit: Unit, namespace: dict[str, Any], is_native: bool = False) -> CompiledUnit:
        """The cache of `unit`, made on first use."""
        with COMPILING:
            found = self.units.get((unit, is_native))
            if found is None:
                found = self.units[unit, is_native] = CompiledUnit(self, unit, namespace, is_native)
            return found

    def entry_point(self, function: types.FunctionType, args: Args = ()) -> EntryPoint:
        """How calls of a Python function enter the cache; functions that share code and globals share it, but for calls
        of Modules of several kinds, and functions with a decorator of this package.
        """
        subject = about(function, args)
        key = id(function.__code__), id(subject)
        found = self._entries.get(key)
        if found is None or found.namespace is not function.__globals__:
            unit = self.unit(entry(function, subject), function.__globals__)
            found = self._entries[key] = EntryPoint(function, unit)
        return found

    def clear(self) -> None:
        """Forget everything that was captured; calls under way end with what they have."""
        with COMPILING:
            for entry_point in self._entries.values():
                entry_point.code = None
            for record in (self._entries, self.units, self.breaks, self.recompiles, self.given_up):
                record.clear()


class EntryPoint:
    """Binds the arguments of a call, runs the unit, and follows its continuations."""

    def __init__(self, function: types.FunctionType, unit: CompiledUnit) -> None:
        self.namespace = function.__globals__
        self.unit = unit
        #: the code it enters; None once the family was cleared
        self.code: types.CodeType | None = function.__code__
        self._defaults = function.__defaults__
        self._keyword_defaults = function.__kwdefaults__
        self._binder = make_binder(function, self._defaults, self._keyword_defaults)

    def call(self, function: types.FunctionType, args: Args, kwargs: dict[str, Any]) -> Any:
        """`function(*args, **kwargs)`, compiled.

        Raises:
            TypeError: the arguments do not fit, exactly as in a plain call.
        """
        binder = self._binder
        if function.__defaults__ is not self._defaults or function.__kwdefaults__ is not self._keyword_defaults:
            binder = make_binder(function, function.__defaults__, function.__kwdefaults__)
        bound = binder(*args, **kwargs) if kwargs else binder(*args)
        try:
            result = self.unit.step(bound, function.__closure__ or ())
            # a trampoline: breaks in a loop need no recursion
            while type(result) is Tail:
                result = result.target.step(result.args, result.cells)
        except BaseException as error:
            hide_machinery(error)
            raise
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
        #: of a resumed part: its caches by what lies on the stack, the ids of code that those keep
        self._kinds: dict[int, CompiledUnit] = {}
        self._attempts = 0
        self._has_waited = False

    def step(self, args: Args, cells: Cells) -> Any:
        """Run up to the end or the next continuation; the result or a Tail."""
        if not self.unit.is_entry and self.unit.about is None and not self.is_native:
            forward = forward_on_stack(self.unit, args)
            if forward is not None:
                return self._about(forward).step(args, cells)
        for specialisation in self.specialisations:
            holds = specialisation.holds or specialisation.asked()
            if holds(args, cells):
                return specialisation.run(args, cells)
        # inside a trace that calls this natively, the original joins that trace; inside `vmap`, what that maps
        if self.is_native or STANCE.name == "eager_on_recompile" or is_tracing() or LEVELS.stack or self._waits(args):
            return self.eager(args, cells)
        with COMPILING, preserved():
            fitting = (s for s in self.specialisations if s.checker.holds(args, cells))
            found: Specialisation | Break | None = next(fitting, None)
            if found is None:
                found = self._specialise(args, cells)
        if isinstance(found, Break):
            return self._expecting(found, args, cells)
        return self.eager(args, cells) if found is None else found.run(args, cells)

    def _about(self, forward: types.CodeType) -> CompiledUnit:
        """The cache of this resumed part for Modules of one kind."""
        found = self._kinds.get(id(forward))
        if found is None:
            unit = dataclasses.replace(self.unit, about=forward)
            found = self._kinds[id(forward)] = self.family.unit(unit, self.namespace)
        return found

    def _expecting(self, exception: Break, args: Args, cells: Cells) -> Any:
        """Run eagerly what raised an exception when it was traced, so that it is raised as in eager execution.

        Raises:
            CaptureError: `fullgraph` is set and it raises none.
        """
        result = self.eager(args, cells)
        why = f"only its trace raises an exception ({exception.detail}). Please report this"
        if self.family.options.fullgraph:
            raise CaptureError(f"fullgraph=True, but {known_as(self.unit, args)[0]} cannot be captured: {why}")
        self._give_up(why, args)
        return result

    def _waits(self, args: Args) -> bool:
        """Whether the stance has this call run eagerly, to learn from it what varies."""
        if STANCE.name != "eager_then_compile" or not self.unit.is_entry or self._has_waited:
            return False
        self._has_waited = True
        for i, (name, value) in enumerate(zip(self.unit.names, args, strict=True)):
            self._dynamism.learn(Local(i, name), value)
        return True

    def eager(self, args: Args, cells: Cells) -> Any:
        """Run the unit without capturing."""
        if not self.unit.is_entry:
            assert isinstance(args, list)
            return run_resumed(self.unit, self.namespace, args, cells)
        code = self.unit.code
        function = types.FunctionType(code, self.namespace, code.co_name, None, cells)
        positional, keywords = spread(code, args)
        return function(*positional, **keywords)

    # ------------------------------------------------------------------------------ misses

    def _specialise(self, args: Args, cells: Cells) -> Specialisation | Break | None:
        """Capture and compile; None if this call is to run eagerly, the break if an exception is to be expected.

        Raises:
            CaptureError: `fullgraph` is set and the graph breaks, or a setting forbids to compile again.
        """
        if not is_supported():
            self._give_up("the bytecode of this Python version is not known", args)
            return None
        failures = self._failures(args, cells)
        recompile = self._recompile(failures, args)
        self._check_permission(recompile, args)
        if self._attempts >= self.family.options.limit():
            self._stop_compiling(recompile, args)
            return None
        if recompile is not None:
            self.family.recompiles.append((self.unit, recompile))
            logs.RECOMPILES.info("%s", recompile)
        return self._attempt(Call(self.unit, self.namespace, args, cells, runs=True))

    def _attempt(self, call: Call) -> Specialisation | Break | None:
        """Capture and compile one call; an interrupt leaves everything as it was."""
        try:
            specialisation = self._captured(call)
        except RunEagerly as e:
            stop = e.stop
        except CaptureError:
            raise
        except (RecursionError, MemoryError) as e:
            # the room left where the call came from: another call may have more
            self._attempts += 1
            if self.family.options.fullgraph:
                raise
            if self._attempts >= self.family.options.limit():
                self._give_up(f"compiling it ended in {type(e).__name__} {self._attempts} times", call.args)
            return None
        except Exception as e:
            if self.family.options.fullgraph:
                raise
            self._give_up(f"{type(e).__name__}: {e}. Please report this", call.args)
            return None
        else:
            self._attempts += 1
            self.specialisations.append(specialisation)
            self._note_break(specialisation.stop, call)
            self._log_guards(specialisation, call)
            return specialisation
        self._attempts += 1
        self._refuse_break(stop, call)
        self._note_break(stop, call)
        if stop.reason.id == USER_EXCEPTION:
            return stop
        self.is_native = True
        return None

    def _log_guards(self, specialisation: Specialisation, call: Call) -> None:
        if logs.GUARDS.isEnabledFor(logging.INFO):
            guards = "\n".join(f"  {g}  [{full_place(g.location)}]" for g in specialisation.guards)
            logs.GUARDS.info("%s is used again while:\n%s", known_as(self.unit, call.args)[0], guards)

    def _captured(self, call: Call) -> Specialisation:
        start = time.perf_counter()
        result = capture(call, self._dynamism)
        self.family.observer.captured(self.unit, result.graph, time.perf_counter() - start)
        self._refuse_break(result.stop, call)
        made = self._build(result)
        self.family.observer.specialised(self.unit, made, call, result.example_inputs)
        return made

    def _refuse_break(self, stop: Break | None, call: Call) -> None:
        if stop is not None and self.family.options.fullgraph and stop.reason.id != USER_EXCEPTION:
            name, _ = known_as(self.unit, call.args)
            raise CaptureError(f"fullgraph=True, but {name} does not make one graph. {stop.describe_refused()}")

    def _note_break(self, stop: Break | None, call: Call) -> None:
        if stop is None:
            return
        # the frames of the trace hold the call's arguments
        stop.__traceback__ = stop.__context__ = stop.__cause__ = None
        # a break in a callee ends the graph of every frame around it: one line tells of it
        is_known = any(stop.is_same(other) for _, other in self.family.breaks)
        self.family.breaks.append((self.unit, stop))
        if not is_known:
            logs.GRAPH_BREAKS.info(
                "graph of %s ends: %s", known_as(self.unit, call.args)[0], logs.LazyText(stop.describe)
            )

    def _build(self, result: CaptureResult) -> Specialisation:
        names: dict[str, Any] = dict(result.names)
        compiled = None
        if result.graph is not None:
            result.sizes.begin_compiling()
            with result.sizes.env.active(), not_casting():
                compiled = self.family.compile_graph(result.graph, result.example_inputs)
            names["graph"], names["is_of_an_op"] = atomic(result.graph, compiled), is_of_an_op
        names["eagerly"] = CompiledUnit(self.family, self.unit, self.namespace, is_native=True)
        result.sizes.check_marks()
        for name, value in result.names.items():
            if value is CALL_COMPILED:
                names[name] = CalleeCompiler(self.family)
        for way in result.continuations:
            names[way.name] = self.family.unit(way.unit, self.namespace, way.is_native)
        run = make_driver(result, names, self.namespace)
        return Specialisation(Checker(result.all_guards()), run, result.graph, compiled, result.stop)

    # ------------------------------------------------------------------------------ recompiles

    def _failures(self, args: Args, cells: Cells) -> list[Failure]:
        """Why no specialisation fits: the failed guard of each, newest first."""
        failures = (find_failure(s.checker, args, cells) for s in reversed(self.specialisations))
        return [f for f in failures if f is not None]

    def _recompile(self, failures: list[Failure], args: Args) -> Recompile | None:
        if not failures:
            return None
        name, code = known_as(self.unit, args)
        return Recompile(name, definition_of(code), tuple(map(failed_guard, failures)))

    def _check_permission(self, recompile: Recompile | None, args: Args) -> None:
        """Raise if a setting forbids to compile.

        Raises:
            RecompileError: names the setting and the guards that failed.
        """
        if STANCE.name == "fail_on_recompile":
            name, code = known_as(self.unit, args)
            missing = f"{name} ({full_place(definition_of(code))}) is not compiled yet"
            which = missing if recompile is None else recompile.told("would be")
            raise RecompileError(f'the stance is "fail_on_recompile". {which}')
        if recompile is not None and self.family.options.forbids_recompiles():
            raise RecompileError(f"error_on_recompile is set. {recompile.told('would be')}")

    def _stop_compiling(self, recompile: Recompile | None, args: Args) -> None:
        if recompile is None:
            # every attempt ended in an exception of the function itself: nothing to report
            self.is_native = True
        else:
            limit = f"it was captured {self._attempts} times (recompile_limit). This call did not fit because"
            self._give_up(f"{limit}\n{recompile.failures()}", args)

    def _give_up(self, why: str, args: Args) -> None:
        self.is_native = True
        self.family.given_up.append((self.unit, why))
        name, code = known_as(self.unit, args)
        warn_user(
            f"tracegraph: {name} ({full_place(definition_of(code))}) runs eagerly from now on "
            f"for new kinds of arguments: {why}"
        )
