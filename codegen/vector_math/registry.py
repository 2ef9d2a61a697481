"""The table of math functions, and how a kernel calls one.

Each function is defined once per module, internal and always inlined, so that text stays small and the loop
vectoriser sees plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register

Builder = Callable[..., Register]


@dataclass(frozen=True, slots=True)
class MathFunction:
    """One function in one precision: `build(*registers)` emits it; `ulp` bounds its error.

    Where a function of a negative argument crosses zero, its error is relative to `magnitude_from` instead.
    """

    name: str
    llvm_type: str
    arity: int
    ulp: float
    build: Builder
    magnitude_from: float = 0.0

    @property
    def symbol(self) -> str:
        """The name of the function in a module."""
        return f"tg.{self.name}.{'f32' if self.llvm_type == 'float' else 'f64'}"


MATH_FUNCTIONS: dict[tuple[str, str], MathFunction] = {}


def math_function(
    name: str, llvm_type: str, *, ulp: float, arity: int = 1, magnitude_from: float = 0.0
) -> Callable[[Builder], Builder]:
    """Register a builder as `name` for `float` or `double`."""

    def register(build: Builder) -> Builder:
        MATH_FUNCTIONS[name, llvm_type] = MathFunction(name, llvm_type, arity, ulp, build, magnitude_from)
        return build

    return register


def register_through_double(name: str, *, arity: int = 1, magnitude_from: float = 0.0) -> None:
    """Register the f32 function as the f64 one, rounded: at most 0.51 ulp."""

    def build(*operands: Register) -> Register:
        wide = [ops.convert("fpext", x, "double") for x in operands]
        return ops.convert("fptrunc", call_math(name, *wide), "float")

    MATH_FUNCTIONS[name, "float"] = MathFunction(name, "float", arity, 0.51, build, magnitude_from)


def call_math(name: str, *operands: Register) -> Register:
    """Call a math function, defining it in the module first if need be.

    Raises:
        KeyError: there is no such function for the operands' type.
    """
    first = operands[0]
    function = MATH_FUNCTIONS[name, first.type]
    define(first.function.module, function)
    return first.function.call(function.symbol, function.llvm_type, operands)


def define(module: ModuleText, function: MathFunction) -> None:
    """Define the function in the module unless it is there."""
    if module.has_function(function.symbol):
        return
    module.reserve(function.symbol)
    names = [f"%x{i}" for i in range(function.arity)]
    parameters = ", ".join(f"{function.llvm_type} {name}" for name in names)
    header = (
        f"internal {function.llvm_type} @{function.symbol}({parameters}) "
        "alwaysinline nounwind willreturn nosync memory(none)"
    )
    text = FunctionText(module, header)
    result = function.build(*(Register(text, name, function.llvm_type) for name in names))
    text.line(f"ret {result.type} {result.text}")
    module.fill(function.symbol, text.render())
