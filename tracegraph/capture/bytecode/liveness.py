"""Which local variables a resumed function still needs: backward liveness over canonical instructions.

Values that nothing reads again must not cross a graph break: they would become graph outputs, be kept alive and
recompile the continuation when they change.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from tracegraph.capture.bytecode.decode import Instruction, Program

_READS = frozenset({
    "LOAD_FAST", "DELETE_FAST", "LOAD_FAST_AND_CLEAR", "LOAD_CLOSURE", "MAKE_CELL",
    "LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF", "LOAD_CLASSDEREF",
})  # fmt: skip
_NO_FALL_THROUGH = frozenset({"RETURN_VALUE", "RAISE_VARARGS", "RERAISE", "JUMP"})

Names = frozenset[str]


def live_names(program: Program, index: int) -> Names:
    """Names of the locals and cells that are read at or after instruction `index`, before being written."""
    solved = _SOLVED.get(program)
    if solved is None:
        solved = _SOLVED[program] = _solve(program)
    return solved[index]


_SOLVED: WeakKeyDictionary[Program, tuple[Names, ...]] = WeakKeyDictionary()


def _solve(program: Program) -> tuple[Names, ...]:
    """Live-in sets of all instructions, by iteration to the fixed point."""
    count = len(program.instructions)
    live: list[Names] = [frozenset()] * (count + 1)
    successors = [_successors(program, i) for i in range(count)]
    always = program.implicit_reads
    changed = True
    while changed:
        changed = False
        for i in reversed(range(count)):
            after = always.union(*(live[s] for s in successors[i]))
            before = _before(program.instructions[i], after)
            if before != live[i]:
                live[i] = before
                changed = True
    return tuple(live)


def _successors(program: Program, index: int) -> tuple[int, ...]:
    instruction = program.instructions[index]
    found = [] if instruction.op in _NO_FALL_THROUGH else [index + 1]
    if instruction.target is not None:
        found.append(instruction.target)
    region = program.region_at(instruction.offset)
    if region is not None:
        found.append(region.target)
    return tuple(found)


def _before(instruction: Instruction, after: Names) -> Names:
    if instruction.op in _READS:
        return after | {instruction.arg}
    if instruction.op == "STORE_FAST":
        return after - {instruction.arg}
    return after
