"""Tiling: one loop into a loop over tiles and a loop inside a tile."""

from __future__ import annotations

from dataclasses import replace

from tracegraph.codegen.loops.loop_index import index, minimum
from tracegraph.codegen.loops.loop_ir import For, Kernel, Mark
from tracegraph.codegen.loops.loop_rewrite import Body, fresh_name, replace_loop
from tracegraph.errors import IRError


def tile(kernel: Kernel, variable: str, size: int) -> Kernel:
    """Split a loop; the one inside a tile keeps the name and the marks, the outer one is named after it.

    for i in 0..n { ... }
    -->
    for i_tile in 0..n step 64 { for i in i_tile..min(i_tile + 64, n) { ... } }

    Raises:
        IRError: the size is not a positive multiple of the loop's step.
    """
    outer = tile_variable(kernel, variable)

    def rewrite(loop: For) -> Body:
        if size < 1 or size % loop.step:
            raise IRError(f"cannot tile {variable} by {size}: not a positive multiple of its step {loop.step}")
        stop = minimum(index(outer) + size, loop.stop)
        inner = replace(loop, start=index(outer), stop=stop, marks=loop.marks - {Mark.PARALLEL})
        marks = loop.marks & {Mark.PARALLEL, Mark.REDUCE}
        return (For(outer, loop.start, loop.stop, (inner,), size, marks),)

    return replace_loop(kernel, variable, rewrite)


def tile_variable(kernel: Kernel, variable: str) -> str:
    """The name `tile` gives to the loop over tiles."""
    return fresh_name(kernel, f"{variable}_tile")
