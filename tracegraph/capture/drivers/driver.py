"""The driver: a Python function, written once as source, that runs a captured call.

def run(args, cells):
    v0 = args[0]                               # inputs, read before anything changes
    try: (t0, t1,) = graph([v0])               # the compiled graph
    except BaseException as error:
        if not is_of_an_op(error): raise
        return Tail(eagerly, args, cells)      # an operation failed: as if nothing had been captured
    c0 = [t0, v0]                              # values rebuilt
    v1.extend([t1])                            # side effects replayed
    r0 = print(c0)                             # the operation that broke the graph
    return Tail(resume0, [r0, t1], ())         # continuation, for the trampoline
"""

from __future__ import annotations

import ast
import itertools
import textwrap
import types
from collections.abc import Sequence
from typing import Any

from tracegraph.capture.bytecode.decode import Program
from tracegraph.capture.bytecode.liveness import live_names
from tracegraph.capture.drivers import native_ops
from tracegraph.capture.drivers.effect_replay import write_effects
from tracegraph.capture.drivers.native_ops import Exit, NativeStep
from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor
from tracegraph.capture.drivers.rebuilding.tensors import history_from
from tracegraph.capture.drivers.result import CaptureResult, Continuation
from tracegraph.capture.drivers.units import CALLS_OF_MODULES, Unit, is_wrapper
from tracegraph.capture.guards.checker import CHECKS
from tracegraph.capture.guards.eager import set_grad_enabled
from tracegraph.capture.guards.sources import Pool, SourceWriter
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.values import NULL
from tracegraph.capture.trace.finalizers import guard_answer, is_noticed, may_be_watched
from tracegraph.capture.trace.frame import Frame, Unread
from tracegraph.capture.trace.mutation_watch import reachable
from tracegraph.capture.trace.native_draws import Snapshot
from tracegraph.capture.trace.tracer import Input, Tracer
from tracegraph.ir import Graph, Node, Rebuilder, rebuild
from tracegraph.ir.fused import node_symbols
from tracegraph.ir.substitution import with_symbols_replaced

#: globals and attributes that see the variables of their caller
_FRAME_READERS = frozenset({
    ("LOAD_GLOBAL", "locals"), ("LOAD_GLOBAL", "eval"), ("LOAD_GLOBAL", "exec"), ("LOAD_ATTR", "_getframe"),
    ("LOAD_METHOD", "_getframe"), ("LOAD_ATTR", "currentframe"), ("LOAD_METHOD", "currentframe"),
})  # fmt: skip
#: builtins that do so if they are given no object to look at
_READERS_WITHOUT_ARGUMENT = frozenset({"dir", "vars"})
#: functions that look at the frame that calls them: module and name
_READ_BY = frozenset({
    ("builtins", "breakpoint"), ("pdb", "set_trace"), ("inspect", "stack"), ("inspect", "currentframe"),
    ("sys", "_getframe"),
})  # fmt: skip


def may_read_frame(program: Program) -> bool:
    """Whether the function calls something that would see that it has been split."""
    names = [(i.op, i.arg[0] if i.op == "LOAD_GLOBAL" else i.arg) for i in program.instructions]
    if any(type(name) is str and (op, name) in _FRAME_READERS for op, name in names):
        return True
    return any(
        op == "LOAD_GLOBAL" and name in _READERS_WITHOUT_ARGUMENT and following.startswith(("CALL", "STORE"))
        for (op, name), (following, _) in itertools.pairwise(names)
    )


def _reads_frame(value: Any) -> bool:
    is_function = isinstance(value, types.FunctionType | types.BuiltinFunctionType)
    return is_function and (value.__module__, value.__name__) in _READ_BY


def _names(code: str, context: type[ast.expr_context]) -> set[str]:
    """The variables that statements read or write."""
    nodes = ast.walk(ast.parse(f"def run():\n{textwrap.indent(code, ' ')}"))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


class Tail:
    """A call left to the trampoline: run `target` on these arguments and cells.

    The arguments of a resumed part are a list, which the part empties once it has taken them over, so that they die
    where it drops them.
    """

    __slots__ = ("args", "cells", "target")

    def __init__(self, target: Any, args: Sequence[Any], cells: tuple[Any, ...]) -> None:
        self.target = target
        self.args = args
        self.cells = cells


class DriverWriter:
    """Collects the sections of one driver.

    Raises (all methods):
        NotReconstructible: a value must outlive the trace and cannot be rebuilt.
    """

    def __init__(self, tracer: Tracer, unit: Unit, frame: Frame) -> None:
        self.tracer = tracer
        self.unit = unit
        self.frame = frame
        self.sources = SourceWriter(Pool())
        self.values = Reconstructor(tracer, self.sources)
        self.effects: list[str] = []
        self.tail: list[str] = []
        self.continuations: list[Continuation] = []
        self.stop: Break | None = None
        #: whether the driver runs an operation of the program after the graph
        self.runs_natively = False

    def release(self) -> None:
        """Let go of the program's objects."""
        self.values.release()

    # ------------------------------------------------------------------------------ ways to end

    def end_with_return(self, value: Any) -> None:
        """The trace reached the end of the function."""
        self._draw()
        result = self.values.expression(value)
        self._finish_state()
        self.tail.append(f"return {result}")

    def end_with_break(self, stop: Break) -> None:
        """The trace stops before the current instruction, which the driver runs natively.

        Raises:
            Break: the function may look at its frame, which would show the split.
        """
        if may_read_frame(self.frame.program) or any(map(_reads_frame, self.frame.stack)):
            raise Break(reasons.FRAME_ACCESS, "the function may inspect its own frame", Extent.FRAME)
        self.stop = stop
        self._draw()
        index = self.frame.current
        step = self._native_step(index, stop)
        if step is None:
            exits = [Exit(None, index, tuple(self.frame.stack))]
            calls = [self._tail_call(exits[0], is_native=True)]
            lines: list[str] = []
        else:
            exits, lines = step.exits, step.lines
            calls = [self._tail_call(e, step=step) for e in exits]
        region = self.frame.program.region_at(self.frame.program.instructions[index].offset)
        if region is not None and lines:
            handler = self._raise_call(index, region.depth)
            lines = ["try:", *(f"    {line}" for line in lines), "except BaseException as error:", f"    {handler}"]
        self._finish_state()
        self.runs_natively = bool(lines)
        self.tail += lines
        for way, call in zip(exits, calls, strict=True):
            self.tail += [call] if way.condition is None else [f"if {way.condition}:", f"    {call}"]

    def _native_step(self, index: int, stop: Break) -> NativeStep | None:
        """The broken instruction as source; None if the rest of the function has to run natively."""
        if stop.extent is Extent.REST:
            return None
        stack = list(self.frame.stack)
        step = NativeStep(self.values, self.frame.program, index, stack, self.frame.namespace, stop.is_inside_callee)
        return step if native_ops.write(step) else None

    def _finish_state(self) -> None:
        leaf = self.tracer.tensors.check_arguments()
        if leaf is not None:
            raise history_from(leaf)
        self.values.finish()
        write_effects(self.tracer, self.values, self.effects)
        self._leave_random_streams()
        self.values.finish()
        recorder = self.tracer.recorder
        if recorder.grad_enabled != (recorder.needs_grad_mode or self.tracer.initial_grad_mode):
            self.effects.append(self._set_grad_mode(recorder.grad_enabled))
        for settings, name, value in self.tracer.settings.changed():
            self.effects.append(f"{self.sources.pool.name(settings)}.{name} = {self.values.expression(value)}")
        outside = self.tracer.backward_reads.finish(self.values.name_of)
        if outside is not None:
            source, made = outside
            self.effects.append(f"{self.sources.name(source)}.remember({', '.join(made)})")

    def _leave_random_streams(self) -> None:
        """Generators from outside go on: those set in the trace after the graph, others before it."""
        for stream in self.tracer.random:
            if stream.is_set and not self.tracer.is_fresh(stream.generator):
                state = self.values.expression(stream.state)
                self.effects.append(f"{self.values.expression(stream.generator)}.set_state({state})")
        for stream, _ in self.tracer.random.taken():
            self.sources.name(stream.found)

    def _draw(self) -> None:
        """Random numbers of Python and numpy, in the order of the program."""
        for drawn in self.tracer.draws.draws:
            self.sources.name(drawn)

    def _set_grad_mode(self, mode: bool) -> str:
        return f"{self.sources.pool.name(set_grad_enabled)}({mode})"

    # ------------------------------------------------------------------------------ continuations

    def _tail_call(self, way: Exit, step: NativeStep | None = None, is_native: bool = False) -> str:
        """`return Tail(...)` into the instruction at `way.index`."""
        way = self._without_discarded(way)
        names, cells = self._live_state(way.index)
        unit = self._resumed(way.index, names, tuple(v is not NULL for v in way.stack))
        values = [self.frame.slots[n] for n in names] + [v for v in way.stack if v is not NULL]
        express = step.expression if step is not None else self.values.expression
        return self._call(unit, [express(v) for v in values], cells, is_native)

    def _without_discarded(self, way: Exit) -> Exit:
        """A result that is dropped at once is not handed on, so that it dies before the next statement."""
        instructions = self.frame.program.instructions
        is_discarded = instructions[way.index].op == "POP_TOP" and instructions[way.index + 1].is_entry
        return Exit(way.condition, way.index + 1, way.stack[:-1]) if is_discarded else way

    def _raise_call(self, index: int, depth: int) -> str:
        """Let the function's own handler see an exception of the native operation."""
        names, cells = self._live_state(index)
        stack = self.frame.stack[:depth]
        unit = self._resumed(index, names, tuple(v is not NULL for v in stack), raises=True)
        values = [self.frame.slots[n] for n in names] + [v for v in stack if v is not NULL]
        return self._call(unit, [*map(self.values.expression, values), "error"], cells, True)

    def _live_state(self, index: int) -> tuple[tuple[str, ...], str]:
        """Variables and cells that the continuation needs: names, and the expression of the cell tuple."""
        code, slots = self.frame.code, self.frame.slots
        live = live_names(self.frame.program, index)
        cell_names = code.co_cellvars + code.co_freevars
        names = tuple(
            n
            for n in dict.fromkeys(code.co_varnames)
            if n not in cell_names and slots.get(n, NULL) is not NULL and (n in live or self._is_carried(slots[n]))
        )
        empty = f"{self.sources.pool.name(types.CellType)}()"
        cells = [self.values.expression(slots[n]) if n in live and n in slots else empty for n in cell_names]
        return names, f"({''.join(c + ', ' for c in cells)})"

    def _is_carried(self, value: Any) -> bool:
        """Whether what nothing reads again lives on, to die where the program drops it."""
        if type(value) is not Unread:
            # the operation that breaks the graph may come to refer weakly to its operands, and what they lead to
            is_operand = may_be_watched(value) and any(value is v for v in reachable(self.tracer, self.frame.stack))
            return is_noticed(value) or is_operand
        if self.unit.is_entry:
            return False  # the caller holds it
        is_carried = is_noticed(value.value)
        guard_answer(self.tracer, is_noticed, value.source, is_carried)
        return is_carried

    def _resumed(self, index: int, names: tuple[str, ...], stack: tuple[bool, ...], raises: bool = False) -> Unit:
        code = self.frame.code
        cells = code.co_cellvars + code.co_freevars
        unit = self.unit
        about = unit.about if code in CALLS_OF_MODULES or is_wrapper(code) else None
        return Unit(code, unit.namespace_id, index, names, stack, cells, False, raises, about)

    def _call(self, unit: Unit, values: list[str], cells: str, is_native: bool) -> str:
        name = f"resume{len(self.continuations)}"
        self.continuations.append(Continuation(name, unit, is_native))
        return f"return Tail({name}, [{', '.join(values)}], {cells})"

    # ------------------------------------------------------------------------------ assembly

    def result(self) -> CaptureResult:
        """The finished capture."""
        graph = self._graph()
        inputs = [i for i in self.tracer.inputs if graph is not None and i.value in self._kept]
        lines = self._graph_call(inputs) if graph is not None else []
        if self.tracer.recorder.needs_grad_mode and not self.tracer.initial_grad_mode:
            lines.insert(0, self._set_grad_mode(True))
        lines = [*self._reads(), *lines, *self.values.lines, *self.effects]
        if self.runs_natively and not self.unit.is_entry:
            lines += self._releases(lines)
        text = "def run(args, cells):\n" + "".join(f"    {line}\n" for line in [*lines, *self.tail])
        return CaptureResult(
            unit=self.unit,
            graph=graph,
            input_sources=tuple(i.source for i in inputs),
            guards=tuple(self.tracer.guards),
            driver=text,
            names={**self.sources.pool.names, "Tail": Tail},
            continuations=tuple(self.continuations),
            stop=self.stop,
            broken_at=self.frame.current if self.stop is not None else None,
            native_line=len(lines) + 2 if self.stop is not None else None,
            example_inputs=[i.tensor for i in inputs],
            sizes=self.tracer.sizes,
        )

    def _reads(self) -> list[str]:
        """What is read, and drawn, before anything changes."""
        if not self.tracer.draws.draws:
            return self.sources.lines
        pool = self.sources.pool
        writer = SourceWriter(pool)
        generators = [writer.name(source) for source in self.tracer.draws.generators]
        saved = [f"{name} = {pool.name(Snapshot)}({g})" for name, g in zip(self._saved(), generators, strict=True)]
        late = [c for guard in self.tracer.guards.late for c in CHECKS[guard.kind](self.sources, guard)]
        streams = ((s.found, n) for s, n in self.tracer.random.taken())
        taken = [(self.sources.name(f.parents[0]), self.sources.name(f), n) for f, n in streams]
        fallback = [
            *(f"{name}.put_back()" for name in self._saved()),
            *(f"if {state} is not None: {generator}.give_back({state}, {n})" for generator, state, n in taken),
            "return Tail(eagerly, args, cells)",
        ]
        return [
            *writer.lines,
            *saved,
            *(f"{state} = None" for _, state, _ in taken),
            "try:",
            *(f"    {line}" for line in self.sources.lines),
            *(f"    {name}.end()" for name in self._saved()),
            f"    is_as_traced = {' and '.join(late) or True}",
            "except Exception: is_as_traced = False",
            "if not is_as_traced:",
            *(f"    {line}" for line in fallback),
        ]

    def _saved(self) -> list[str]:
        """Names of the states of the generators before the call."""
        return [f"before{i}" for i in range(len(self.tracer.draws.generators))]

    def _releases(self, lines: list[str]) -> list[str]:
        """What the operation behind the graph does not use does not live on while it runs."""
        needed = _names("\n".join(self.tail), ast.Load)
        unneeded = sorted(_names("\n".join(lines), ast.Store) - needed)
        return ["args.clear()", *([f"del {', '.join(unneeded)}"] if unneeded else [])]

    def _graph_call(self, inputs: list[Input]) -> list[str]:
        """The graph comes before all effects, so where one of its operations fails, the call can begin anew."""
        arguments = ", ".join(map(self._argument, inputs))
        targets = "".join(f"t{i}, " for i in range(len(self.values.outputs)))
        is_switched = self.tracer.recorder.needs_grad_mode and not self.tracer.initial_grad_mode
        return [
            f"try: {f'({targets}) = ' if targets else ''}graph([{arguments}])",
            "except BaseException as error:",
            *([f"    {self._set_grad_mode(False)}"] if is_switched else ()),
            *(f"    {line}" for line in self._returned_draws()),
            "    if not is_of_an_op(error): raise",
            "    return Tail(eagerly, args, cells)",
        ]

    def _returned_draws(self) -> list[str]:
        """Undo what was drawn before the graph."""
        taken = (
            (self.values.expression(s.generator), self.sources.name(s.found), n) for s, n in self.tracer.random.taken()
        )
        given_back = [f"{generator}.give_back({state}, {count})" for generator, state, count in taken]
        return [*given_back, *(f"{name}.put_back()" for name in self._saved())]

    def _argument(self, graph_input: Input) -> str:
        name = self.sources.name(graph_input.source)
        return name if graph_input.convert is None else f"{self.sources.pool.name(graph_input.convert)}({name})"

    def _graph(self) -> Graph | None:
        """The recorded graph without unused inputs; None if it computes nothing."""
        recorded = self.tracer.builder.graph
        outputs = self.values.outputs
        has_effects = any(not n.is_pure or n.may_raise for n in recorded.calls)
        if not outputs and not has_effects:
            return None
        self.tracer.builder.output(*outputs)
        self._kept = {p for p in recorded.placeholders if p.users}
        mentioned = {s for n in recorded.nodes if n.op != "placeholder" for s in node_symbols(n)}
        for p in recorded.placeholders:
            shown = {s for kept in self._kept for s in node_symbols(kept.node)}
            if node_symbols(p.node) & mentioned - shown:
                self._kept.add(p)  # its elements are not read, its sizes are

        unneeded = {v.node for v in self.tracer.tensors.kept.values() if not v.users}

        def visit(rebuilder: Rebuilder, node: Node) -> bool:
            return (node.op == "placeholder" and node.value not in self._kept) or node in unneeded

        env = self.tracer.sizes.env
        env.location = None  # what inference asks of the sizes again is no line of the user's
        return with_symbols_replaced(rebuild(recorded, visit), env.equal)
