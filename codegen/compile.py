"""From a planned graph to an executable: one call per stage, each product reported as text or object.

    lower      steps of the plan, kernels in loop IR
    schedule   kernels tiled, vectorised, marked parallel
    emit       LLVM text of the driver; that of the kernels when it is needed
    load       machine code in this process: kernels not met before, and the driver

Each stage is a function here or in the module of its name, to be run and tested alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tracegraph.codegen.llvm import jit
from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.loop_text import print_kernel
from tracegraph.codegen.native.compiled_body import CompiledBody
from tracegraph.codegen.native.executable import Executable
from tracegraph.codegen.native.kernel_store import STORE
from tracegraph.codegen.native.program import ENTRY, Program, emit_program
from tracegraph.codegen.native.steps import KernelStep, Step, steps_of
from tracegraph.codegen.schedule import schedule
from tracegraph.ir.fused import free_symbols
from tracegraph.ir.graph import Graph
from tracegraph.ir.memory_plan import MemoryPlan

T = TypeVar("T")


class RunStage(Protocol):
    """Runs `function(*args)` as the stage `stage` of the graph `title`; `shown` makes the text of its product."""

    def __call__(
        self, stage: str, title: str, function: Callable[..., T], /, *args: Any, shown: Callable[[T], str]
    ) -> T: ...


def run_unwatched(stage: str, title: str, function: Callable[..., T], /, *args: Any, shown: Callable[[T], str]) -> T:
    """Just run the stage."""
    return function(*args)


def compile_program(plan: MemoryPlan, run_stage: RunStage = run_unwatched) -> Executable:
    """Compile a planned graph to native code; `run_stage` runs each stage, and may time it and report its product.

    The graphs that nodes hold are compiled first, each to an executable of its own.
    """
    name = plan.graph.name
    bodies = {body: CompiledBody(body, compile_program(held, run_stage)) for body, held in plan.bodies.items()}
    steps = run_stage("lower", name, steps_of, plan, shown=_listed)
    scheduled = run_stage("schedule", name, schedule_all, kernels_of(steps), shown=_printed)
    program = run_stage("emit", name, emit, plan, steps, scheduled, shown=lambda found: found.text)
    return run_stage("load", name, load, program, bodies, shown=str)


def kernels_of(steps: Sequence[Step]) -> list[Kernel]:
    """The kernels of a program, each once, in the order of their first use."""
    return list({s.kernel.name: s.kernel for s in steps if isinstance(s, KernelStep)}.values())


def schedule_all(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Every kernel as the default schedule has it."""
    return [schedule(kernel) for kernel in kernels]


def emit(plan: MemoryPlan, steps: Sequence[Step], scheduled: Sequence[Kernel]) -> Program:
    """The program of a plan with its scheduled kernels."""
    by_name = {kernel.name: kernel for kernel in scheduled}
    updated = [replace(s, kernel=by_name[s.kernel.name]) if isinstance(s, KernelStep) else s for s in steps]
    return emit_program(plan, updated, scheduled, free_symbols(plan.graph))


def load(program: Program, bodies: Mapping[Graph, CompiledBody]) -> Executable:
    """Compile what is not in a cache, and link it."""
    imports = STORE.load(program.kernels) | program.imports
    return Executable(program, jit.load(program.driver, [ENTRY], imports, jit.Effort.DRIVER), bodies)


def _printed(kernels: Sequence[Kernel]) -> str:
    return "\n\n".join(map(print_kernel, kernels))


def _listed(steps: Sequence[Step]) -> str:
    """The steps in order, then their kernels."""
    return "\n\n".join(["\n".join(map(str, steps)), *map(print_kernel, kernels_of(steps))])
