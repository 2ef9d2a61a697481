"""Interchange: swap two perfectly nested loops."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from tracegraph.codegen.loops.loop_index import Index
from tracegraph.codegen.loops.loop_ir import Acc, Check, For, Kernel, Let, Load, Local, Mark, Set, Store, Update, walk
from tracegraph.codegen.loops.loop_rewrite import Body, replace_loop
from tracegraph.errors import IRError


def interchange(kernel: Kernel, variable: str) -> Kernel:
    """Swap the loop over `variable` with the only loop inside it.

    for i in 0..n { for j in 0..m { ... } }  -->  for j in 0..m { for i in 0..n { ... } }

    Raises:
        IRError: the loops are not perfectly nested, or the order of their iterations may matter.
    """

    def rewrite(outer: For) -> Body:
        if len(outer.body) != 1 or not isinstance(outer.body[0], For):
            raise IRError(f"cannot interchange {variable}: its body is not exactly one loop")
        inner = outer.body[0]
        if outer.variable in inner.start.names() | inner.stop.names():
            raise IRError(f"cannot interchange {variable}: the bounds of {inner.variable} depend on it")
        _require_order_free(outer, inner)
        return (replace(inner, body=(replace(outer, body=inner.body),)),)

    return replace_loop(kernel, variable, rewrite)


def _require_order_free(outer: For, inner: For) -> None:
    """Refuse a body whose iterations may depend on each other in a way that swapping turns around."""

    def refuse(why: str) -> NoReturn:
        raise IRError(f"cannot interchange {outer.variable} and {inner.variable}: {why}")

    own = {stmt.name for stmt in walk(inner.body) if isinstance(stmt, Acc)}
    local = {stmt.buffer.name for stmt in walk(inner.body) if isinstance(stmt, Local)}
    loaded = {s.rhs.buffer for s in walk(inner.body) if isinstance(s, Let) and isinstance(s.rhs, Load)}
    for stmt in walk(inner.body):
        match stmt:
            case Set(acc=acc) if acc not in own:
                refuse(f"%{acc} is set in order")
            case Update(acc=acc) if acc not in own and Mark.REDUCE not in (outer.marks & inner.marks):
                refuse(f"%{acc} is updated, and not both loops are marked reduce")
            case Check():
                refuse("a check would fail at another place")
            case Store(buffer=buffer) if buffer not in local:
                if buffer in loaded:
                    refuse(f"{buffer} is read and written")
                problem = _store_problem(stmt, (outer.variable, inner.variable))
                if problem:
                    refuse(problem)
            case _:
                pass


def _store_problem(stmt: Store, variables: tuple[str, str]) -> str | None:
    """Each index may move with one of the two loops only: then no two iterations meet across both."""
    seen: set[str] = set()
    for position in stmt.indices:
        moving = _moves_with(position, variables)
        if moving is None or position.values():
            return f"the place of a store to {stmt.buffer} is not linear in one of the loops"
        seen |= moving
    if stmt.accumulate and not seen:
        return f"all iterations add to one place of {stmt.buffer}"
    return None


def _moves_with(position: Index, variables: tuple[str, str]) -> set[str] | None:
    """Which of the two variables the position moves with, None if not exactly linearly with at most one."""
    moving = set()
    for variable in variables:
        stride = position.stride_of(variable)
        if stride is None or stride.constant is None:
            return None
        if stride.constant != 0:
            moving.add(variable)
    return moving if len(moving) <= 1 else None
