"""Pieces that kernel-to-kernel transformations are built from: find a loop, rename, substitute in indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tracegraph.codegen.loops.loop_index import Atom, Index
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Load,
    Local,
    Rhs,
    Stmt,
    Store,
    walk,
)
from tracegraph.errors import IRError

Body = tuple[Stmt, ...]


def find_loop(kernel: Kernel, variable: str) -> For:
    """The loop over `variable`.

    Raises:
        IRError: the kernel has no such loop.
    """
    for stmt in walk(kernel.body):
        if isinstance(stmt, For) and stmt.variable == variable:
            return stmt
    loops = [stmt.variable for stmt in walk(kernel.body) if isinstance(stmt, For)]
    raise IRError(f"kernel {kernel.name} has no loop {variable}; its loops are {', '.join(loops) or 'none'}")


def replace_loop(kernel: Kernel, variable: str, rewrite: Callable[[For], Body]) -> Kernel:
    """The kernel with the loop over `variable` replaced by what `rewrite` makes of it."""
    find_loop(kernel, variable)

    def visit(body: Body) -> Body:
        result: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, For) and stmt.variable == variable:
                result.extend(rewrite(stmt))
            elif isinstance(stmt, For | If):
                result.append(replace(stmt, body=visit(stmt.body)))
            else:
                result.append(stmt)
        return tuple(result)

    return replace(kernel, body=visit(kernel.body))


def fresh_name(kernel: Kernel, base: str) -> str:
    """A name that the kernel does not use: `base`, or `base` with a number."""
    taken = {param.name for param in kernel.params}
    for stmt in walk(kernel.body):
        match stmt:
            case For(variable=name) | Let(name=name) | Acc(name=name):
                taken.add(name)
            case Local(buffer=buffer):
                taken.add(buffer.name)
            case _:
                pass
    name, count = base, 0
    while name in taken:
        count += 1
        name = f"{base}{count}"
    return name


def substitute(body: Body, replacements: Mapping[Atom, Index]) -> Body:
    """`body` with atoms replaced in every index expression."""

    def fix(index: Index) -> Index:
        return index.substitute(replacements)

    def fix_rhs(rhs: Rhs) -> Rhs:
        match rhs:
            case Load():
                return replace(rhs, indices=tuple(fix(i) for i in rhs.indices))
            case IndexOf():
                return IndexOf(fix(rhs.expression))
            case _:
                return rhs

    def fix_stmt(stmt: Stmt) -> Stmt:
        match stmt:
            case For():
                inner = tuple(fix_stmt(s) for s in stmt.body)
                return replace(stmt, start=fix(stmt.start), stop=fix(stmt.stop), body=inner)
            case If():
                return replace(stmt, body=tuple(fix_stmt(s) for s in stmt.body))
            case Let():
                return replace(stmt, rhs=fix_rhs(stmt.rhs))
            case Store():
                return replace(stmt, indices=tuple(fix(i) for i in stmt.indices))
            case _:
                return stmt

    return tuple(fix_stmt(stmt) for stmt in body)
