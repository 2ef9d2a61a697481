"""LLVM assembly as text: modules, functions, and registers with operators.

Building text is three times faster than building llvmlite.ir objects, and the text is what dumps show. A
`Register` knows its LLVM type and its function, so arithmetic on registers appends instructions. Float
instructions carry no fast-math flags unless asked for by `FunctionText.fp`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

FLOAT_TYPES = frozenset({"half", "float", "double"})
_FLOAT_OPS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
_INT_OPS = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "ashr"}

INT_OF_FLOAT = {"float": "i32", "double": "i64"}


def float_text(value: float, llvm_type: str) -> str:
    """A float constant in LLVM's exact hexadecimal form, rounded to the type."""
    if llvm_type == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Register:
    """An SSA value or a constant of one function."""

    __slots__ = ("function", "text", "type")

    def __init__(self, function: FunctionText, text: str, llvm_type: str) -> None:
        self.function = function
        self.text = text
        self.type = llvm_type

    def __repr__(self) -> str:
        return f"{self.type} {self.text}"

    @property
    def is_float(self) -> bool:
        """Whether the type is a floating one."""
        return self.type in FLOAT_TYPES

    def like(self, value: RegisterLike) -> Register:
        """`value` as an operand next to this register: constants take its type."""
        return value if isinstance(value, Register) else self.function.const(value, self.type)

    def _binary(self, symbol: str, left: RegisterLike, right: RegisterLike) -> Register:
        operation = (_FLOAT_OPS if self.is_float else _INT_OPS)[symbol]
        return self.function.binary(operation, self.like(left), self.like(right))

    def __add__(self, other: RegisterLike) -> Register:
        return self._binary("+", self, other)

    def __radd__(self, other: RegisterLike) -> Register:
        return self._binary("+", other, self)

    def __sub__(self, other: RegisterLike) -> Register:
        return self._binary("-", self, other)

    def __rsub__(self, other: RegisterLike) -> Register:
        return self._binary("-", other, self)

    def __mul__(self, other: RegisterLike) -> Register:
        return self._binary("*", self, other)

    def __rmul__(self, other: RegisterLike) -> Register:
        return self._binary("*", other, self)

    def __truediv__(self, other: RegisterLike) -> Register:
        return self._binary("/", self, other)

    def __rtruediv__(self, other: RegisterLike) -> Register:
        return self._binary("/", other, self)

    def __and__(self, other: RegisterLike) -> Register:
        return self._binary("&", self, other)

    def __or__(self, other: RegisterLike) -> Register:
        return self._binary("|", self, other)

    def __xor__(self, other: RegisterLike) -> Register:
        return self._binary("^", self, other)

    def __lshift__(self, other: RegisterLike) -> Register:
        return self._binary("<<", self, other)

    def __rshift__(self, other: RegisterLike) -> Register:
        """Arithmetic shift; see `llvm_ops.logical_shift_right` for the other one."""
        return self._binary(">>", self, other)

    def __neg__(self) -> Register:
        if self.is_float:
            return self.function.instruction(f"fneg {self.type} {self.text}", self.type)
        return 0 - self


RegisterLike = Register | int | float


class FunctionText:
    """The body of one LLVM function being written, block by block."""

    def __init__(self, module: ModuleText, header: str) -> None:
        self.module = module
        self.header = header
        self.block = "entry"
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def fresh(self, hint: str = "t") -> str:
        """A register or label name not used before in this function, without its sigil."""
        self._count += 1
        return f"{hint}.{self._count}"

    def line(self, text: str) -> None:
        """Append an instruction that gives no value."""
        self._lines.append(f"  {text}")

    def entry_line(self, text: str) -> None:
        """Append to the head of the entry block (allocas)."""
        self._entry.append(f"  {text}")

    def placeholder(self) -> int:
        """Leave room for a line that is known later; see `fill`."""
        self._lines.append("")
        return len(self._lines) - 1

    def fill(self, position: int, text: str) -> None:
        """Write the line of a placeholder."""
        self._lines[position] = f"  {text}"

    def label(self, name: str) -> None:
        """Start the block `name`."""
        self._lines.append(f"{name}:")
        self.block = name

    def branch_to(self, name: str) -> None:
        """Jump to `name` and start it."""
        self.line(f"br label %{name}")
        self.label(name)

    def instruction(self, text: str, llvm_type: str, hint: str = "t") -> Register:
        """Append an instruction and give its result."""
        name = self.fresh(hint)
        self._lines.append(f"  %{name} = {text}")
        return Register(self, f"%{name}", llvm_type)

    def const(self, value: float | int | bool, llvm_type: str) -> Register:
        """A constant of a scalar type."""
        if llvm_type in FLOAT_TYPES:
            return Register(self, float_text(float(value), llvm_type), llvm_type)
        if llvm_type == "i1":
            return Register(self, "true" if value else "false", llvm_type)
        return Register(self, str(int(value)), llvm_type)

    def binary(self, operation: str, left: Register, right: Register, flags: str = "") -> Register:
        """`operation flags left, right`."""
        if left.type != right.type:
            raise TypeError(f"{operation} of {left.type} and {right.type}")
        spaced = f"{flags} " if flags else ""
        return self.instruction(f"{operation} {spaced}{left.type} {left.text}, {right.text}", left.type)

    def call(self, symbol: str, llvm_type: str, arguments: Iterable[Register], flags: str = "") -> Register:
        """Call a declared or defined function that returns a value."""
        spaced = f"{flags} " if flags else ""
        text = ", ".join(f"{a.type} {a.text}" for a in arguments)
        return self.instruction(f"call {spaced}{llvm_type} @{symbol}({text})", llvm_type)

    def render(self) -> str:
        """The whole definition."""
        return "\n".join([f"define {self.header} {{", "entry:", *self._entry, *self._lines, "}"])


class ModuleText:
    """One LLVM module: declarations, constants, functions and metadata, each added once.

    Several kernels and a driver share a module; everything is addressed by symbol name.
    """

    def __init__(self) -> None:
        self._declarations: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        self._functions: dict[str, str] = {}
        self._metadata: list[str] = []

    def declare(self, symbol: str, text: str) -> None:
        """Add `declare ...` for a symbol unless it is there."""
        self._declarations.setdefault(symbol, f"declare {text}")

    def constant(self, symbol: str, text: str) -> None:
        """Add `@symbol = private unnamed_addr constant ...` unless it is there."""
        self._constants.setdefault(symbol, f"@{symbol} = private unnamed_addr constant {text}")

    def has_function(self, symbol: str) -> bool:
        """Whether a definition of `symbol` was added."""
        return symbol in self._functions

    def define(self, symbol: str, text: str) -> None:
        """Add the definition of a function.

        Raises:
            ValueError: the module defines this symbol already.
        """
        if symbol in self._functions:
            raise ValueError(f"the module already defines @{symbol}; rename the kernel")
        self._functions[symbol] = text

    def reserve(self, symbol: str) -> None:
        """Claim a symbol before its text is ready, so that it keeps its place in the module."""
        self._functions.setdefault(symbol, "")

    def fill(self, symbol: str, text: str) -> None:
        """Give the text of a reserved symbol."""
        self._functions[symbol] = text

    def loop_metadata(self, properties: Iterable[str]) -> str:
        """A fresh loop identifier carrying these property nodes, as `!N`."""
        identifier = len(self._metadata)
        nodes = [f"!{identifier + 1 + i}" for i, _ in enumerate(tuple(properties))]
        self._metadata.append(f"!{identifier} = distinct !{{{', '.join([f'!{identifier}', *nodes])}}}")
        self._metadata.extend(f"!{identifier + 1 + i} = !{{{text}}}" for i, text in enumerate(tuple(properties)))
        return f"!{identifier}"

    def render(self) -> str:
        """The module's text, without target triple and data layout (the JIT adds them)."""
        parts = [*self._constants.values(), *self._declarations.values(), *self._functions.values()]
        return "\n".join([*parts, *self._metadata]) + "\n"
