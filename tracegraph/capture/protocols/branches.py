"""Branches on truth. Where a tensor decides whether the program raises, the graph checks that it does not.

    assert (x > 0).all()              %1: bool[] = all(%0)
    return x.log()               -->  %2: bool[] = assert_true(%1)
                                      %3: f32[4] = log(%x)

The trace goes on where nothing is raised. A call in which the check fails starts over eagerly, as it does where any
operation fails, and the program raises what it raises.
"""

from __future__ import annotations

import itertools
from typing import Any

from tracegraph.capture.bytecode.decode import Instruction, Program
from tracegraph.capture.protocols.special_methods import truth
from tracegraph.capture.trace.frame import Frame
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.recording import Traced, recorder_of

_ENDS = frozenset({"RETURN_VALUE", "RERAISE", "YIELD_VALUE", "RAISE_VARARGS"})
#: what the handlers consist of that restore the stack and the variables of a comprehension, and raise again
_CLEAN_UP = frozenset({"SWAP", "COPY", "POP_TOP", "POP_EXCEPT", "STORE_FAST"})


def is_taken(frame: Frame, jump: int, condition: Any) -> bool:
    """The truth of `condition`, on which the conditional jump at index `jump` is about to decide.

    Raises:
        Break: a tensor decides, and neither way raises.
    """
    answer = _asserted(frame, jump, condition) if type(condition) is Traced else None
    return truth(frame.tracer, condition) if answer is None else answer


def _asserted(frame: Frame, jump: int, condition: Traced) -> bool | None:
    """The truth of a tensor for which the program does not raise, which the graph is made to check; None: unknown."""
    tracer = frame.tracer
    is_one = all(isinstance(n, int) and n == 1 for n in condition.shape)
    if not is_one or recorder_of((condition,)) is not tracer.recorder:
        return None
    answer = _truth_that_does_not_raise(frame.program, jump)
    if answer is None or any(_handles(f.program, f.current) for f in tracer.frames[:-1]):
        return None
    F.assert_true(condition if answer else F.logical_not(condition))
    return answer


def _truth_that_does_not_raise(program: Program, jump: int) -> bool | None:
    instruction = program.instructions[jump]
    if instruction.op not in ("POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE"):
        return None
    assert instruction.target is not None
    jumps, falls = _always_raises(program, instruction.target), _always_raises(program, jump + 1)
    return None if jumps == falls else falls is (instruction.op == "POP_JUMP_IF_TRUE")


def _always_raises(program: Program, index: int) -> bool:
    """Whether all ways from here end in a `raise` that leaves the function."""
    seen: set[int] = set()
    ahead = [index]
    while ahead:
        index = ahead.pop()
        if index in seen:
            continue
        seen.add(index)
        instruction = program.instructions[index]
        if instruction.op in _ENDS:
            if instruction.op != "RAISE_VARARGS" or _handles(program, index):
                return False
            continue
        ahead += _next(instruction, index)
    return True


def _next(instruction: Instruction, index: int) -> list[int]:
    found = [] if instruction.op == "JUMP" else [index + 1]
    return found if instruction.target is None else [*found, instruction.target]


def _handles(program: Program, index: int) -> bool:
    """Whether the function does something about an exception raised at `index`, beyond leaving `with` statements."""
    region = program.region_at(program.instructions[index].offset)
    while region is not None:
        if not _only_cleans_up(program, region.target):
            return True
        region = program.region_at(program.instructions[region.target].offset)
    return False


def _only_cleans_up(program: Program, handler: int) -> bool:
    if [i.op for i in program.instructions[handler : handler + 2]] == ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]:
        return True
    rest = itertools.dropwhile(lambda i: i.op in _CLEAN_UP, program.instructions[handler:])
    return next(rest).op == "RERAISE"
