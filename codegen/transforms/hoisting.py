"""Moving out of loops what is the same in every iteration, and loops of one iteration out of the way.

LLVM moves arithmetic by itself, but no check: a loop that may stop in the middle is never vectorised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tracegraph.codegen.loops.loop_index import Name, ValueRef
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Check,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Load,
    Local,
    Set,
    Stmt,
    Store,
    Update,
    walk,
)
from tracegraph.codegen.loops.loop_rewrite import Body, substitute


def hoist_invariants(kernel: Kernel) -> Kernel:
    """Compute values, and check conditions, before the loops that do not change them.

    for j in 0..64 {                                   let %n: i64 = load numbers[i]
      let %n: i64 = load numbers[i]                    let %fits: bool = lt(%n, 80)
      let %fits: bool = lt(%n, 80)                     check index %fits, "..."
      check index %fits, "..."                  -->    for j in 0..64 {
      let %x: f32 = load rows[%n*64 + j]                 let %x: f32 = load rows[%n*64 + j]
      ...                                                ...
    }                                                  }

    Only out of loops that are known to run at least once.
    """
    return replace(kernel, body=_hoisted(kernel.body))


def _hoisted(body: Body) -> Body:
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            stmt = replace(stmt, body=_hoisted(stmt.body))
            before, stmt = _split(stmt)
            result += before
        elif isinstance(stmt, If):
            stmt = replace(stmt, body=_hoisted(stmt.body))
        result.append(stmt)
    return tuple(result)


def _split(loop: For) -> tuple[Body, For]:
    """The invariant statements of a loop, and the loop without them."""
    trips = (loop.stop - loop.start).constant
    if trips is None or trips < 1:
        return (), loop
    changing = {stmt.name for stmt in loop.body if isinstance(stmt, Let | Acc)} | _changed(walk(loop.body))
    before: list[Stmt] = []
    kept: list[Stmt] = []
    guarded = False  # by a check that stays: what it protects stays too
    for stmt in loop.body:
        if _is_invariant(stmt, loop.variable, changing, guarded):
            before.append(stmt)
            if isinstance(stmt, Let):
                changing.discard(stmt.name)
        else:
            kept.append(stmt)
            guarded = guarded or isinstance(stmt, Check)
    return tuple(before), replace(loop, body=tuple(kept))


def _changed(stmts: Iterable[Stmt]) -> set[str]:
    """Accumulators and buffers that statements write or declare."""
    found = set()
    for stmt in stmts:
        match stmt:
            case Update(acc=name) | Set(acc=name) | Store(buffer=name):
                found.add(name)
            case Local(buffer=buffer):
                found.add(buffer.name)
            case _:
                pass
    return found


def _is_invariant(stmt: Stmt, variable: str, changing: set[str], guarded: bool) -> bool:
    match stmt:
        case Let(rhs=Apply(operands=operands)):
            return not any(isinstance(x, ValueRef) and x.name in changing for x in operands)
        case Let(rhs=IndexOf(expression=position)):
            return variable not in position.names() and not position.values() & changing
        case Let(rhs=Load(buffer=buffer, indices=indices, mask=mask)):
            moves = any(variable in i.names() or i.values() & changing for i in indices)
            return not (guarded or moves or buffer in changing or (mask is not None and mask.name in changing))
        case Check(condition=condition):
            return not guarded and condition.name not in changing
        case _:
            return False


def drop_single_loops(kernel: Kernel) -> Kernel:
    """Loops of one iteration become their body.

    for i in 0..1 { store x[i] = 0.0 }  -->  store x[0] = 0.0
    """

    def visit(body: Body) -> Body:
        result: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, For):
                stmt = replace(stmt, body=visit(stmt.body))
                trips = (stmt.stop - stmt.start).constant
                if trips is not None and 0 < trips <= stmt.step:
                    result += substitute(stmt.body, {Name(stmt.variable): stmt.start})
                    continue
            elif isinstance(stmt, If):
                stmt = replace(stmt, body=visit(stmt.body))
            result.append(stmt)
        return tuple(result)

    return replace(kernel, body=visit(kernel.body))
