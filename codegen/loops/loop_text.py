"""Text form of the loop IR: `print_kernel` and `parse_kernel`, with `print_kernel(parse_kernel(t)) == t`
for printed t.

The grammar stands in `loop_ir`. Two spaces indent a block; `// ...` comments are read and dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tracegraph.codegen.loops.loop_index import ValueRef
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Buffer,
    Check,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Local,
    Mark,
    Operand,
    Param,
    Rhs,
    ScalarParam,
    Set,
    SizeParam,
    Stmt,
    Store,
    Update,
)
from tracegraph.codegen.loops.loop_parser import parse_kernel

__all__ = ["parse_kernel", "print_kernel", "print_statements"]


def print_kernel(kernel: Kernel) -> str:
    """The kernel as text, ending in a newline."""
    lines = [f"kernel {kernel.name}("]
    lines += [
        f"  {_param_text(param)}{',' if i + 1 < len(kernel.params) else ''}" for i, param in enumerate(kernel.params)
    ]
    lines.append(") {")
    lines.extend(_block_lines(kernel.body, "  "))
    lines.append("}")
    return "\n".join(lines) + "\n"


def print_statements(body: tuple[Stmt, ...]) -> str:
    """Statements as text, for messages and dumps of a part."""
    return "\n".join(_block_lines(body, ""))


def _param_text(param: Param) -> str:
    if isinstance(param, SizeParam):
        return f"size {param.name}"
    if isinstance(param, ScalarParam):
        return f"scalar %{param.name}: {param.dtype.name}"
    return f"{param.mode.value} {_buffer_text(param)}"


def _buffer_text(buffer: Buffer) -> str:
    text = f"{buffer.name}: {buffer.dtype.name}[{_join(buffer.shape)}]"
    if buffer.strides is not None:
        text += f" strides [{_join(buffer.strides)}]"
    return text


def _join(parts: tuple[object, ...]) -> str:
    return ", ".join(str(part) for part in parts)


def _block_lines(body: tuple[Stmt, ...], indent: str) -> Iterator[str]:
    for stmt in body:
        if isinstance(stmt, For | If):
            yield f"{indent}{_header_text(stmt)} {{"
            yield from _block_lines(stmt.body, indent + "  ")
            yield f"{indent}}}"
        else:
            yield indent + _LINE_TEXT[type(stmt)](stmt)


def _header_text(stmt: For | If) -> str:
    if isinstance(stmt, If):
        return f"if {stmt.condition}"
    text = f"for {stmt.variable} in {stmt.start}..{stmt.stop}"
    if stmt.step != 1:
        text += f" step {stmt.step}"
    return text + "".join(f" {mark.value}" for mark in Mark if mark in stmt.marks)


def _operand_text(operand: Operand) -> str:
    if isinstance(operand, ValueRef):
        return str(operand)
    value = operand.value
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _rhs_text(rhs: Rhs) -> str:
    if isinstance(rhs, Apply):
        return f"{rhs.op}({', '.join(_operand_text(operand) for operand in rhs.operands)})"
    if isinstance(rhs, IndexOf):
        return f"index({rhs.expression})"
    text = f"load {rhs.buffer}[{_join(rhs.indices)}]"
    if rhs.mask is not None and rhs.fill is not None:
        text += f" where {rhs.mask} else {_operand_text(rhs.fill)}"
    return text


def _store_text(stmt: Store) -> str:
    operator = "+=" if stmt.accumulate else "="
    return f"store {stmt.buffer}[{_join(stmt.indices)}] {operator} {_operand_text(stmt.operand)}"


def _check_text(stmt: Check) -> str:
    message = json.dumps(stmt.failure.message, ensure_ascii=False)
    return f"check {stmt.failure.fault.value} {stmt.condition}, {message}"


_LINE_TEXT: dict[type, Callable[..., str]] = {
    Let: lambda s: f"let %{s.name}: {s.dtype.name} = {_rhs_text(s.rhs)}",
    Acc: lambda s: f"acc %{s.name}: {s.dtype.name} = {_operand_text(s.init)}",
    Update: lambda s: f"update %{s.acc} = {s.op}(%{s.acc}, {_operand_text(s.operand)})",
    Set: lambda s: f"set %{s.acc} = {_operand_text(s.operand)}",
    Local: lambda s: f"local {_buffer_text(s.buffer)}",
    Store: _store_text,
    Check: _check_text,
}
