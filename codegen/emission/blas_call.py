"""The call of BLAS in LLVM text: c = a @ b for row-major matrices."""

from __future__ import annotations

from tracegraph.codegen.emission import blas
from tracegraph.codegen.llvm.llvm_text import FunctionText, Register
from tracegraph.dtypes import DType

#: symbols that native code calls BLAS by, and LLVM's name of the element type
_SYMBOLS = {"f32": ("tracegraph_sgemm", "float"), "f64": ("tracegraph_dgemm", "double")}


def is_available() -> bool:
    """Whether this process has a BLAS to call."""
    return blas.find() is not None


def emit_gemm(
    function: FunctionText,
    dtype: DType,
    transposed: tuple[bool, bool],
    sizes: tuple[Register, Register, Register],
    matrices: tuple[Register, Register, Register],
    leading: tuple[Register, Register, Register],
) -> dict[str, int]:
    """Append c = a @ b.

    Args:
        transposed: whether a and b are stored transposed.
        sizes: m, n, k as i64.
        matrices: the addresses of a, b, c.
        leading: their distances between rows in elements, as i64.

    Returns:
        the address behind the external symbol.
    """
    found = blas.find()
    assert found is not None, "lowering asks is_available() first"
    symbol, element = _SYMBOLS[dtype.name]
    integer = f"i{found.integer_bits}"
    flags = ", ".join(f"i32 {blas.TRANSPOSE if t else blas.NO_TRANSPOSE}" for t in transposed)
    m, n, k = (_narrowed(function, x, integer) for x in sizes)
    # an empty matrix still needs a leading dimension of 1
    lda, ldb, ldc = (_narrowed(function, _at_least_one(function, x), integer) for x in leading)
    a, b, c = matrices
    one, zero = function.const(1.0, element).text, function.const(0.0, element).text
    function.line(
        f"call void @{symbol}(i32 {blas.ROW_MAJOR}, {flags}, {m}, {n}, {k}, {element} {one}, "
        f"ptr {a.text}, {lda}, ptr {b.text}, {ldb}, {element} {zero}, ptr {c.text}, {ldc})"
    )
    parameters = (
        f"i32, i32, i32, {integer}, {integer}, {integer}, {element}, "
        f"ptr, {integer}, ptr, {integer}, {element}, ptr, {integer}"
    )
    function.module.declare(symbol, f"void @{symbol}({parameters})")
    return {symbol: found.sgemm if dtype.name == "f32" else found.dgemm}


def _narrowed(function: FunctionText, x: Register, integer: str) -> str:
    """A size as an argument of BLAS's integer type."""
    if integer == "i64":
        return f"i64 {x.text}"
    return f"{integer} {function.instruction(f'trunc i64 {x.text} to {integer}', integer).text}"


def _at_least_one(function: FunctionText, x: Register) -> Register:
    function.module.declare("llvm.smax.i64", "i64 @llvm.smax.i64(i64, i64)")
    return function.call("llvm.smax.i64", "i64", (x, function.const(1, "i64")))
