"""Compiling graphs in tests, and comparing with the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from agreement import assert_agree
from golden import random_inputs

from tracegraph import ir
from tracegraph.codegen.compile import compile_program
from tracegraph.codegen.native.executable import Executable
from tracegraph.codegen.native.steps import GemmStep, KernelStep
from tracegraph.ir import Graph
from tracegraph.passes import fuse, plan_memory


def compiled(graph: Graph | str, fused: bool = True) -> Executable:
    """The native executable of a graph or its text."""
    graph = ir.parse(graph) if isinstance(graph, str) else graph
    return compile_program(plan_memory(ir.verify(fuse(graph)) if fused else graph))


def check(
    graph: Graph | str, *inputs: np.ndarray, sizes: dict[str, int] | None = None, fused: bool = True
) -> Executable:
    """Compile, run on `inputs` (random ones by default), compare with the interpreter."""
    graph = ir.parse(graph) if isinstance(graph, str) else graph
    executable = compiled(graph, fused)
    compare(executable, graph, inputs or random_inputs(graph, sizes or {}))
    return executable


def compare(executable: Executable, graph: Graph, inputs: Sequence[np.ndarray]) -> list[Any]:
    """Run and compare with the interpreter; the results."""
    with np.errstate(all="ignore"):
        wanted = ir.interpret(graph, *(a.copy() for a in inputs))
    found = executable(inputs)
    assert len(found) == len(wanted)
    for position, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert_agree(np.asarray(a), np.asarray(b), f"output {position}")
    return found


def kernel_texts(executable: Executable) -> list[str]:
    """The scheduled kernels of an executable, in the order of its steps."""
    from tracegraph.codegen.loops.loop_text import print_kernel

    return [print_kernel(s.kernel) for s in executable.program.steps if isinstance(s, KernelStep)]


def products(executable: Executable) -> list[str]:
    """The calls of BLAS of an executable."""
    return [str(s.gemm) for s in executable.program.steps if isinstance(s, GemmStep)]
