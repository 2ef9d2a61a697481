"""Splitting a long reduction into partial ones."""

from __future__ import annotations

from dataclasses import replace

from tracegraph.codegen.loops.loop_index import ValueRef
from tracegraph.codegen.loops.loop_ir import Acc, For, Kernel, Literal, Mark, Stmt, Update, walk
from tracegraph.codegen.loops.loop_rewrite import Body, find_loop, fresh_name, replace_loop
from tracegraph.codegen.loops.scalar_ops import identity
from tracegraph.codegen.transforms.tiling import tile, tile_variable
from tracegraph.errors import IRError


def split_reduction(kernel: Kernel, variable: str, size: int) -> Kernel:
    """Reduce blocks of a long loop into accumulators of their own: rounding errors of a sum grow more slowly.

    for j in 0..n reduce { ...; update %s = add(%s, %v) }
    -->
    for j_tile in 0..n step 4096 reduce {
      acc %s_part: f32 = 0.0
      for j in j_tile..min(j_tile + 4096, n) reduce { ...; update %s_part = add(%s_part, %v) }
      update %s = add(%s, %s_part)
    }

    Raises:
        IRError: the loop is not a reduction of accumulators from outside.
    """
    loop = find_loop(kernel, variable)
    accs = {s.name: s for s in walk(kernel.body) if isinstance(s, Acc)}
    own = {s.name for s in walk(loop.body) if isinstance(s, Acc)}
    ops = {s.acc: s.op for s in walk(loop.body) if isinstance(s, Update) and s.acc not in own}
    if Mark.REDUCE not in loop.marks or not ops:
        raise IRError(f"cannot split {variable}: it is not a reduce loop that updates an accumulator")
    parts = {acc: fresh_name(kernel, f"{acc}_part") for acc in ops}
    starts = tuple(Acc(parts[acc], accs[acc].dtype, Literal(identity(op, accs[acc].dtype))) for acc, op in ops.items())
    finishes = tuple(Update(acc, op, ValueRef(parts[acc])) for acc, op in ops.items())
    outer = tile_variable(kernel, variable)

    def rewrite(tiles: For) -> Body:
        inner = tiles.body[0]
        assert isinstance(inner, For)
        inside = replace(inner, body=_redirected(inner.body, parts))
        return (replace(tiles, body=(*starts, inside, *finishes)),)

    return replace_loop(tile(kernel, variable, size), outer, rewrite)


def _redirected(body: Body, parts: dict[str, str]) -> Body:
    """`body` with updates going to the partial accumulators."""
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Update(acc=acc) if acc in parts:
                result.append(replace(stmt, acc=parts[acc]))
            case For():
                result.append(replace(stmt, body=_redirected(stmt.body, parts)))
            case _:
                result.append(stmt)
    return tuple(result)
