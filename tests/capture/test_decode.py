"""Canonical instructions: the standard library decodes, and every handler stands for a real instruction."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracegraph.capture import opcodes
from tracegraph.capture.bytecode.decode import decode, is_supported
from tracegraph.capture.bytecode.liveness import live_names
from tracegraph.capture.trace.frame import HANDLERS

opcodes.install()

_MODULES = ("dataclasses", "contextlib", "functools", "inspect", "argparse", "random", "statistics", "traceback")
#: what ends in a graph break on purpose: classes, coroutines, module level, exception groups
_BREAKING = {
    "LOAD_NAME", "STORE_NAME", "DELETE_NAME", "SETUP_ANNOTATIONS", "LOAD_CLASSDEREF", "LOAD_LOCALS",
    "LOAD_FROM_DICT_OR_DEREF", "LOAD_FROM_DICT_OR_GLOBALS", "GET_AWAITABLE", "GET_AITER", "GET_ANEXT",
    "BEFORE_ASYNC_WITH", "END_ASYNC_FOR", "CHECK_EG_MATCH", "PREP_RERAISE_STAR", "CALL_INTRINSIC_2", "IMPORT_STAR",
    "CLEANUP_THROW",
}  # fmt: skip


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def library_codes() -> list[types.CodeType]:
    folder = Path(dis.__file__).parent
    sources = [folder / f"{name}.py" for name in _MODULES]
    return [c for s in sources for c in codes(compile(s.read_text(), str(s), "exec"))]


def test_this_python_is_supported() -> None:
    assert is_supported()


def test_library_decodes_to_known_instructions() -> None:
    unknown = {
        i.op
        for code in library_codes()
        for i in decode(code).instructions
        if i.op not in HANDLERS and i.op not in _BREAKING and not i.op.startswith("CALL_INTRINSIC_1")
    }
    assert not unknown


def test_targets_and_regions_lie_within() -> None:
    for code in library_codes():
        program = decode(code)
        count = len(program.instructions)
        assert all(i.target is None or 0 <= i.target <= count for i in program.instructions)
        assert all(r.start < r.end and 0 <= r.target < count for r in program.regions)


def test_offsets_are_those_of_real_instructions() -> None:
    for code in library_codes():
        real = {i.offset for i in dis.get_instructions(code)}
        assert {i.offset for i in decode(code).instructions} <= real


def test_variables_read_are_live() -> None:
    for code in library_codes():
        program = decode(code)
        for index, instruction in enumerate(program.instructions):
            if instruction.op == "LOAD_FAST":
                assert instruction.arg in live_names(program, index)


def test_dead_variables_are_not_live() -> None:
    def f(a, b):
        c = a + 1
        a = c * 2
        del c
        return a

    program = decode(f.__code__)
    last = len(program.instructions) - 1
    assert live_names(program, 0) == {"a"}
    assert live_names(program, last) == frozenset()


def test_a_handler_keeps_its_variables_alive() -> None:
    def f(a, b):
        try:
            a()
        except ValueError:
            return b
        return None

    program = decode(f.__code__)
    call = next(i for i, ins in enumerate(program.instructions) if ins.op == "CALL")
    assert "b" in live_names(program, call)


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_handlers_are_named_for_their_instruction(name: str) -> None:
    assert HANDLERS[name].__name__ == f"op_{name}"
