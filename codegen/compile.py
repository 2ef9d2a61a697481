"""From a planned graph to an executable: one call per stage, each product reported as text or object.

    lower      steps of the plan, kernels in loop IR
    schedule   kernels tiled, vectorised, marked parallel
    emit       LLVM text of the driver; that of the kernels when it is needed
    load       machine code in this process: kernels not met before, and the driver

Each stage is a function here or in the module of its name, to be run and tested alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from tracegraph.codegen import jit
from tracegraph.codegen.executable import Executable
from tracegraph.codegen.kernel_store import STORE
from tracegraph.codegen.loop_ir import Kernel
from tracegraph.codegen.loop_text import print_kernel
from tracegraph.codegen.program import ENTRY, Program, emit_program
from tracegraph.codegen.schedule import schedule
from tracegraph.codegen.steps import KernelStep, Step, steps_of
from tracegraph.errors import CompileError, TracegraphError
from tracegraph.ir.fused import free_symbols
from tracegraph.ir.memory_plan import MemoryPlan

#: told of every product: (stage, title, product, seconds)
Report: TypeAlias = Callable[[str, str, Any, float], None]
T = TypeVar("T")


def compile_program(plan: MemoryPlan, report: Report | None = None) -> Executable:
    """Compile a planned graph to native code.

    Raises:
        CompileError: a stage failed; names the stage and the graph.
    """

    def run(stage: str, function: Callable[[], T], shown: Callable[[T], str]) -> T:
        start = time.perf_counter()
        try:
            product = function()
        except TracegraphError:
            raise
        except Exception as e:
            raise CompileError(f"stage {stage} failed on {plan.graph.name}: {type(e).__name__}: {e}") from e
        if report is not None:
            report(stage, plan.graph.name, _Shown(partial(shown, product)), time.perf_counter() - start)
        return product

    steps = run("lower", lambda: steps_of(plan), lambda found: "\n\n".join(_listed(found, kernels_of(found))))
    scheduled = run("schedule", lambda: schedule_all(kernels_of(steps)), lambda k: "\n\n".join(map(print_kernel, k)))
    program = run("emit", lambda: emit(plan, steps, scheduled), lambda found: found.text)
    return run("load", lambda: load(program), str)


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


def load(program: Program) -> Executable:
    """Compile what is not in a cache, and link it."""
    imports = STORE.load(program.kernels) | program.imports
    return Executable(program, jit.load(program.driver, [ENTRY], imports, jit.Effort.DRIVER))


@dataclass(frozen=True)
class _Shown:
    """The text of a product, made when somebody reads it."""

    text: Callable[[], str]

    def __str__(self) -> str:
        return self.text()


def _listed(steps: Sequence[Step], kernels: Sequence[Kernel]) -> list[str]:
    """The steps in order, then the kernels."""
    return ["\n".join(map(str, steps)), *map(print_kernel, kernels)]
