"""CPython bytecode to canonical instructions: the only file that knows how 3.11, 3.12 and 3.13 differ.

A canonical instruction names one action of the virtual machine with a readable argument: superinstructions are
split, caches and prefixes dropped, jump directions merged, keyword names attached to their call. Everything the
symbolic machine executes goes through `decode`; an interpreter version that is not listed is refused, and the
function runs eagerly.
"""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.bytecode.per_code import PerCode

VERSION = sys.version_info[:2]
SUPPORTED = ((3, 11), (3, 12), (3, 13))

#: 3.13 pushes a call as [callable, NULL | self, ...]; before it was [NULL | callable, callable | self, ...]
NULL_AFTER_CALLABLE = VERSION >= (3, 13)
#: 3.12 leaves the receiver of a finished SEND for END_SEND to pop; 3.11 pops it at once
SEND_KEEPS_RECEIVER = VERSION >= (3, 12)

#: what the intrinsic functions of 3.12 and later do, by their number; the others make type parameters
INTRINSICS_1 = {3: "STOPITERATION_ERROR", 5: "UNARY_POSITIVE", 6: "LIST_TO_TUPLE"}
INTRINSICS_2 = {1: "PREP_RERAISE_STAR"}

_BINARY_SYMBOLS = tuple(symbol for _, symbol in dis._nb_ops)  # type: ignore[attr-defined]
_COMPARE_SHIFT = {(3, 11): 0, (3, 12): 4, (3, 13): 5}.get(VERSION, 0)
_COMPARE_TO_BOOL = 16 if VERSION >= (3, 13) else 0


@dataclass(slots=True)
class Instruction:
    """One canonical instruction.

    `offset` is where a resumed function enters to execute it; several instructions share the offset of the
    superinstruction they come from, and only the first has `is_entry`.
    """

    op: str
    arg: Any = None
    target: int | None = None
    offset: int = 0
    line: int | None = None
    is_entry: bool = True


@dataclass(frozen=True, slots=True)
class Region:
    """An entry of the exception table: offsets [start, end) unwind to `depth` and jump to index `target`."""

    start: int
    end: int
    target: int
    depth: int
    push_offset: bool


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Program:
    """A decoded code object; identity is equality.

    Attributes:
        implicit_reads: variables that `super()` reads without naming them (until 3.11).
    """

    implicit_reads: frozenset[str]
    instructions: tuple[Instruction, ...]
    regions: tuple[Region, ...]

    def region_at(self, offset: int) -> Region | None:
        """The innermost handler that covers `offset`."""
        for region in self.regions:
            if region.start <= offset < region.end:
                return region
        return None


def is_supported() -> bool:
    """Whether this interpreter's bytecode is known."""
    return VERSION in SUPPORTED and sys.implementation.name == "cpython"


Expansion = Iterator[tuple[str, Any]]


def _split_pair(first: str, second: str) -> Callable[[dis.Instruction], Expansion]:
    def expand(raw: dis.Instruction) -> Expansion:
        yield first, raw.argval[0]
        yield second, raw.argval[1]

    return expand


def _load_attr(raw: dis.Instruction) -> Expansion:
    is_method = VERSION >= (3, 12) and bool(_arg(raw) & 1)
    yield ("LOAD_METHOD" if is_method else "LOAD_ATTR"), raw.argval


def _load_super(raw: dis.Instruction) -> Expansion:
    yield "LOAD_SUPER_ATTR", (raw.argval, bool(_arg(raw) & 1))


def _compare(raw: dis.Instruction) -> Expansion:
    yield "COMPARE_OP", dis.cmp_op[_arg(raw) >> _COMPARE_SHIFT]
    if _arg(raw) & _COMPARE_TO_BOOL:
        yield "TO_BOOL", None


def _intrinsic_1(raw: dis.Instruction) -> Expansion:
    yield INTRINSICS_1.get(_arg(raw), "TYPE_PARAMETERS"), None


def _intrinsic_2(raw: dis.Instruction) -> Expansion:
    yield INTRINSICS_2.get(_arg(raw), "TYPE_PARAMETERS"), None


def _return_const(raw: dis.Instruction) -> Expansion:
    yield "LOAD_CONST", raw.argval
    yield "RETURN_VALUE", None


#: opcodes that become something else, or several instructions
_EXPAND: dict[str, Callable[[dis.Instruction], Expansion]] = {
    "LOAD_FAST_LOAD_FAST": _split_pair("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": _split_pair("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": _split_pair("STORE_FAST", "STORE_FAST"),
    "LOAD_FAST_CHECK": lambda raw: iter([("LOAD_FAST", raw.argval)]),
    "LOAD_GLOBAL": lambda raw: iter([("LOAD_GLOBAL", (raw.argval, bool(_arg(raw) & 1)))]),
    "LOAD_ATTR": _load_attr,
    "LOAD_SUPER_ATTR": _load_super,
    "LOAD_CLASSDEREF": lambda raw: iter([("LOAD_CLASSDEREF", raw.argval)]),
    "LOAD_ASSERTION_ERROR": lambda raw: iter([("LOAD_CONST", AssertionError)]),
    "COMPARE_OP": _compare,
    "BINARY_OP": lambda raw: iter([("BINARY_OP", _BINARY_SYMBOLS[_arg(raw)])]),
    "IS_OP": lambda raw: iter([("IS_OP", bool(_arg(raw)))]),
    "CONTAINS_OP": lambda raw: iter([("CONTAINS_OP", bool(_arg(raw)))]),
    "FORMAT_VALUE": lambda raw: iter([("FORMAT_VALUE", (_arg(raw) & 3, bool(_arg(raw) & 4)))]),
    "FORMAT_SIMPLE": lambda raw: iter([("FORMAT_VALUE", (0, False))]),
    "FORMAT_WITH_SPEC": lambda raw: iter([("FORMAT_VALUE", (0, True))]),
    "CONVERT_VALUE": lambda raw: iter([("CONVERT_VALUE", _arg(raw))]),
    "CALL_INTRINSIC_1": _intrinsic_1,
    "CALL_INTRINSIC_2": _intrinsic_2,
    "RETURN_CONST": _return_const,
}

_DROPPED = frozenset({"RESUME", "NOP", "CACHE", "ASYNC_GEN_WRAP"})
#: prefixes of an instruction; a function resumes at the prefix, so the instruction takes its offset
_PREFIXES = frozenset({"EXTENDED_ARG", "KW_NAMES", "PRECALL"})
_JUMPS = {f"POP_JUMP_{d}_IF_{c}": f"POP_JUMP_IF_{c}" for d in ("FORWARD", "BACKWARD")
          for c in ("TRUE", "FALSE", "NONE", "NOT_NONE")} | dict.fromkeys(
    ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"), "JUMP"
)  # fmt: skip
_BY_NUMBER = frozenset({
    "BUILD_LIST", "BUILD_TUPLE", "BUILD_SET", "BUILD_MAP", "BUILD_STRING", "BUILD_CONST_KEY_MAP", "BUILD_SLICE",
    "LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE", "MAP_ADD", "DICT_UPDATE", "DICT_MERGE", "COPY", "SWAP",
    "UNPACK_SEQUENCE", "UNPACK_EX", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "RAISE_VARARGS", "RERAISE",
    "MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE", "MATCH_CLASS", "COPY_FREE_VARS", "GET_AWAITABLE",
})  # fmt: skip


def _arg(raw: dis.Instruction) -> int:
    return raw.arg or 0


@PerCode
def decode(code: types.CodeType) -> Program:
    """The canonical form of `code`."""
    out: list[Instruction] = []
    index_at: dict[int, int] = {}
    jumps: list[tuple[int, int]] = []
    names: tuple[str, ...] = ()
    prefix: int | None = None
    after_loop = False
    line = code.co_firstlineno
    for raw in dis.get_instructions(code):
        line = (raw.positions.lineno if raw.positions else None) or line
        index_at[raw.offset] = len(out)
        if raw.opname in _DROPPED:
            continue
        if raw.opname in _PREFIXES:
            prefix = raw.offset if prefix is None else prefix
            names = code.co_consts[_arg(raw)] if raw.opname == "KW_NAMES" else names
            continue
        if raw.opname == "END_FOR" or (after_loop and raw.opname == "POP_TOP" and NULL_AFTER_CALLABLE):
            # FOR_ITER leaves an exhausted loop behind these, with its iterator popped
            after_loop = raw.opname == "END_FOR"
            continue
        after_loop = False
        offset, prefix = (raw.offset if prefix is None else prefix), None
        for position, (op, arg) in enumerate(_expand(raw, names)):
            if raw.opcode in dis.hasjrel or raw.opcode in dis.hasjabs:
                jumps.append((len(out), raw.argval))
            out.append(Instruction(op, arg, None, offset, line, position == 0))
        names = () if raw.opname == "CALL" else names
    for index, offset in jumps:
        out[index].target = index_at[offset]
    return Program(_implicit_reads(code), tuple(out), tuple(_regions(code, index_at)))


def _expand(raw: dis.Instruction, names: tuple[str, ...]) -> Expansion:
    if raw.opname in _EXPAND:
        return _EXPAND[raw.opname](raw)
    if raw.opname == "CALL":
        return iter([("CALL", (_arg(raw), names))])
    op = _JUMPS.get(raw.opname, raw.opname)
    return iter([(op, raw.arg if op in _BY_NUMBER else raw.argval)])


def _implicit_reads(code: types.CodeType) -> frozenset[str]:
    if "__class__" in code.co_freevars and code.co_varnames:
        return frozenset({code.co_varnames[0], "__class__"})
    return frozenset()


def _regions(code: types.CodeType, index_at: dict[int, int]) -> Iterator[Region]:
    for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
        yield Region(entry.start, entry.end, index_at[entry.target], entry.depth, entry.lasti)


# ------------------------------------------------------------------------------------------ what is known of each


#: instructions that are in `dis.opmap` and yet in no function: why
_NEVER_SEEN = {
    "INTERPRETER_EXIT": "the interpreter's own",
    "EXIT_INIT_CHECK": "the interpreter's own",
    "ENTER_EXECUTOR": "the interpreter's own",
    "RESERVED": "the interpreter's own",
    "PRINT_EXPR": "interactive statements only",
    "IMPORT_STAR": "module level only",
}
_PSEUDO = frozenset({
    "SETUP_FINALLY", "SETUP_CLEANUP", "SETUP_WITH", "POP_BLOCK", "JUMP_NO_INTERRUPT", "LOAD_SUPER_METHOD",
    "LOAD_ZERO_SUPER_METHOD", "LOAD_ZERO_SUPER_ATTR", "STORE_FAST_MAYBE_NULL", "JUMP",
})  # fmt: skip


def canonical_names(opname: str) -> tuple[str, ...]:
    """The canonical instructions that an instruction of this interpreter may become; none if it is only dropped."""
    if opname in _DROPPED or opname in _PREFIXES or opname == "END_FOR":
        return ()
    intrinsics = {"CALL_INTRINSIC_1": INTRINSICS_1, "CALL_INTRINSIC_2": INTRINSICS_2}
    if opname in intrinsics:
        return (*intrinsics[opname].values(), "TYPE_PARAMETERS")
    expanded = {
        "LOAD_FAST_LOAD_FAST": ("LOAD_FAST",),
        "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
        "STORE_FAST_STORE_FAST": ("STORE_FAST",),
        "LOAD_FAST_CHECK": ("LOAD_FAST",),
        "LOAD_ASSERTION_ERROR": ("LOAD_CONST",),
        "FORMAT_SIMPLE": ("FORMAT_VALUE",),
        "FORMAT_WITH_SPEC": ("FORMAT_VALUE",),
        "RETURN_CONST": ("LOAD_CONST", "RETURN_VALUE"),
        "LOAD_ATTR": ("LOAD_ATTR", "LOAD_METHOD") if VERSION >= (3, 12) else ("LOAD_ATTR",),
    }
    return expanded.get(opname, (_JUMPS.get(opname, opname),))


def why_never_seen(opname: str) -> str | None:
    """Why an instruction occurs in no function, None if it may."""
    if opname.startswith("INSTRUMENTED_"):
        return "stands in for another while a debugger or profiler watches; `dis` shows the original"
    return "the compiler's own" if opname in _PSEUDO else _NEVER_SEEN.get(opname)
