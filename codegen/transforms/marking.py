"""Marks on loops: vector, parallel, reduce, unroll."""

from __future__ import annotations

from dataclasses import replace

from tracegraph.codegen.loops.loop_ir import Kernel, Mark
from tracegraph.codegen.loops.loop_rewrite import replace_loop
from tracegraph.codegen.loops.loop_verify import verify_kernel


def mark(kernel: Kernel, variable: str, *marks: Mark) -> Kernel:
    """Add marks to a loop.

    for i in 0..n { ... }  -->  for i in 0..n vector { ... }

    Raises:
        VerifyError: `parallel` on a loop whose iterations share what they write, `reduce` on one that looks at its
            accumulator on the way.
    """
    marked = replace_loop(kernel, variable, lambda loop: (replace(loop, marks=loop.marks | set(marks)),))
    verify_kernel(marked)
    return marked
