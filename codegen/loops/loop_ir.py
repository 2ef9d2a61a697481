"""The loop IR: kernels as loops over scalar statements on dense buffers.

Grammar (text form in `loop_text`):

    kernel  ::= kernel NAME(param,...) { stmt* }
    param   ::= in|out|inout NAME: DTYPE[dim,...] (strides [index,...])?
              | size NAME                       an i64, at least 0
              | scalar %NAME: DTYPE
    stmt    ::= for NAME in index..index (step INT)? mark* { stmt* }
              | let %NAME: DTYPE = rhs
              | acc %NAME: DTYPE = operand      a mutable scalar, living to the end of the enclosing block
              | update %ACC = OP(%ACC, operand) an associative step; a `reduce` loop may reorder these
              | set %ACC = operand              any other new value; never reordered
              | local NAME: DTYPE[INT,...]      scratch of constant size, uninitialised
              | store NAME[index,...] = operand
              | store NAME[index,...] += operand
              | if %NAME { stmt* }
              | check FAULT %NAME, "message"    stops the kernel with an error status if false
    rhs     ::= OP(operand,...) | load NAME[index,...] (where %NAME else literal)? | index(index)
    operand ::= %NAME | literal
    mark    ::= reduce | vector | parallel | unroll
    FAULT   ::= index | value                 what is wrong then: an index out of range, any other value

Meaning. Buffers are row-major unless strides are given (in elements). Two buffer parameters never overlap,
unless both are `in`; whoever wants to write in place passes one `inout` buffer. A masked load touches no
memory where its condition is false. A literal takes the dtype of the operation's other operands, or of the
statement when there is none. f16 and bf16 compute in f32 and round after each operation. `reduce` permits
reordering the `update`s of accumulators defined outside the loop, and of zeros of both signs to take either
for the extreme; without it a loop runs strictly in order (scans). `vector` says that a loop is meant for
vector lanes (LLVM's cost model has the last word), `parallel` that iterations are independent, `unroll` that
a short loop of constant length should vanish. No statement reads out of bounds on its own: the lowering
guards data-dependent indices with `check`, `where` or a mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from tracegraph.codegen.loops.loop_index import Index, ValueRef, index
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS
from tracegraph.dtypes import DType
from tracegraph.errors import IRError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Mode(Enum):
    """How a kernel uses a buffer parameter."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


class Mark(Enum):
    """What may be done with a loop; see the module's docstring."""

    REDUCE = "reduce"
    VECTOR = "vector"
    PARALLEL = "parallel"
    UNROLL = "unroll"


class Fault(Enum):
    """What is wrong where a check fails, which decides the error that callers of the kernel raise."""

    INDEX = "index"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer parameter or a local scratch array. `strides` are in elements; None means dense row-major."""

    name: str
    dtype: DType
    shape: tuple[Index, ...]
    mode: Mode = Mode.INOUT
    strides: tuple[Index, ...] | None = None

    def __post_init__(self) -> None:
        _check_identifier(self.name, "buffer")
        if self.strides is not None and len(self.strides) != len(self.shape):
            raise IRError(f"buffer {self.name}: {len(self.shape)} dims but {len(self.strides)} strides")

    @property
    def effective_strides(self) -> tuple[Index, ...]:
        """The strides in elements, computed from the shape if not given."""
        if self.strides is not None:
            return self.strides
        strides: list[Index] = []
        step = index(1)
        for dim in reversed(self.shape):
            strides.append(step)
            step = step * dim
        return tuple(reversed(strides))


@dataclass(frozen=True, slots=True)
class SizeParam:
    """A symbolic size: an i64 parameter, at least 0, usable in every index expression."""

    name: str

    def __post_init__(self) -> None:
        _check_identifier(self.name, "size")


@dataclass(frozen=True, slots=True)
class ScalarParam:
    """A scalar parameter, usable as a value `%name`."""

    name: str
    dtype: DType

    def __post_init__(self) -> None:
        _check_identifier(self.name, "scalar parameter")


@dataclass(frozen=True, slots=True)
class Literal:
    """A Python scalar operand; its dtype comes from the statement it stands in."""

    value: int | float | bool

    def __post_init__(self) -> None:
        if not isinstance(self.value, bool | int | float):
            raise IRError(f"literal {self.value!r}: expected a Python bool, int or float")

    def __eq__(self, other: object) -> bool:
        # -0.0 and 0.0 differ, nan equals nan: literals compare by what they print
        return isinstance(other, Literal) and repr(other.value) == repr(self.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


Operand = ValueRef | Literal


@dataclass(frozen=True, slots=True)
class Apply:
    """`op(operands)`: one of SCALAR_OPS."""

    op: str
    operands: tuple[Operand, ...]

    def __post_init__(self) -> None:
        definition = SCALAR_OPS.get(self.op)
        if definition is None:
            raise IRError(f"unknown scalar operation {self.op!r}; one of {', '.join(sorted(SCALAR_OPS))}")
        if len(self.operands) != definition.arity:
            raise IRError(f"{self.op} takes {definition.arity} operands, got {len(self.operands)}")


@dataclass(frozen=True, slots=True)
class Load:
    """`load buffer[indices]`, or the fill value where `mask` (a bool value) is false."""

    buffer: str
    indices: tuple[Index, ...]
    mask: ValueRef | None = None
    fill: Literal | None = None

    def __post_init__(self) -> None:
        if (self.mask is None) != (self.fill is None):
            raise IRError(f"load {self.buffer}: a mask and a fill value come together")


@dataclass(frozen=True, slots=True)
class IndexOf:
    """`index(expression)`: an index expression as an i64 value."""

    expression: Index


Rhs = Apply | Load | IndexOf


@dataclass(frozen=True, slots=True)
class Let:
    """`let %name: dtype = rhs`, an immutable value visible to the end of its block."""

    name: str
    dtype: DType
    rhs: Rhs

    def __post_init__(self) -> None:
        _check_identifier(self.name, "value")


@dataclass(frozen=True, slots=True)
class Acc:
    """`acc %name: dtype = init`, a mutable scalar visible to the end of its block."""

    name: str
    dtype: DType
    init: Operand

    def __post_init__(self) -> None:
        _check_identifier(self.name, "accumulator")


@dataclass(frozen=True, slots=True)
class Update:
    """`update %acc = op(%acc, operand)` with an associative op."""

    acc: str
    op: str
    operand: Operand

    def __post_init__(self) -> None:
        if self.op not in SCALAR_OPS or not SCALAR_OPS[self.op].is_associative:
            known = ", ".join(sorted(op.name for op in SCALAR_OPS.values() if op.is_associative))
            raise IRError(f"update %{self.acc}: {self.op} is not one of {known}; use `set`")


@dataclass(frozen=True, slots=True)
class Set:
    """`set %acc = operand`."""

    acc: str
    operand: Operand


@dataclass(frozen=True, slots=True)
class Local:
    """`local name: dtype[shape]`: scratch of constant shape, uninitialised, visible to the end of its
    block.
    """

    buffer: Buffer

    def __post_init__(self) -> None:
        if any(dim.constant is None or dim.constant <= 0 for dim in self.buffer.shape) or self.buffer.strides:
            raise IRError(f"local {self.buffer.name}: needs a constant, non-empty, dense shape")


@dataclass(frozen=True, slots=True)
class Store:
    """`store buffer[indices] = operand`, or `+=` with `accumulate`."""

    buffer: str
    indices: tuple[Index, ...]
    operand: Operand
    accumulate: bool = False


@dataclass(frozen=True, slots=True)
class If:
    """`if %condition { body }`."""

    condition: ValueRef
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed check means."""

    fault: Fault
    message: str

    def __post_init__(self) -> None:
        if not self.message or not self.message.isprintable():
            raise IRError(f"check: the message {self.message!r} must be printable text on one line")


@dataclass(frozen=True, slots=True)
class Check:
    """`check fault %condition, "message"`: a false condition ends the kernel with the status of this failure."""

    condition: ValueRef
    failure: Failure


@dataclass(frozen=True, slots=True)
class For:
    """`for variable in start..stop step n marks { body }`; runs while variable < stop."""

    variable: str
    start: Index
    stop: Index
    body: tuple[Stmt, ...]
    step: int = 1
    marks: frozenset[Mark] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        _check_identifier(self.variable, "loop variable")
        if self.step < 1:
            raise IRError(f"loop {self.variable}: the step must be at least 1, got {self.step}")


Stmt = For | Let | Acc | Update | Set | Local | Store | If | Check
Param = Buffer | SizeParam | ScalarParam


@dataclass(frozen=True, slots=True)
class Kernel:
    """A named function over buffers; see the module's docstring."""

    name: str
    params: tuple[Param, ...]
    body: tuple[Stmt, ...]

    def __post_init__(self) -> None:
        _check_identifier(self.name, "kernel")

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The buffer parameters, in order."""
        return tuple(p for p in self.params if isinstance(p, Buffer))

    @property
    def sizes(self) -> tuple[SizeParam, ...]:
        """The size parameters, in order."""
        return tuple(p for p in self.params if isinstance(p, SizeParam))

    @property
    def scalars(self) -> tuple[ScalarParam, ...]:
        """The scalar parameters, in order."""
        return tuple(p for p in self.params if isinstance(p, ScalarParam))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The distinct failures of the kernel's checks; status `i + 1` stands for failure `i`."""
        failures = (stmt.failure for stmt in walk(self.body) if isinstance(stmt, Check))
        return tuple(dict.fromkeys(failures))


def walk(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement of `body`, outer before inner, in order."""
    for stmt in body:
        yield stmt
        if isinstance(stmt, For | If):
            yield from walk(stmt.body)


def _check_identifier(name: str, what: str) -> None:
    if not _IDENTIFIER.match(name):
        raise IRError(f"{what} name {name!r} is not an identifier")
