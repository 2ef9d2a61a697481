"""Elementary functions as scalar LLVM IR that the loop vectoriser can widen.

One file per family. Every function is branch-free (selects only), exact about nan, infinities and signed
zeros, carries no fast-math flags, and states its error bound in its docstring and in `MATH_FUNCTIONS`,
where the tests read it. Bounds hold for normal results; subnormal results are within one subnormal step
more. The polynomials are minimax fits (Remez, then one coefficient after the other rounded to the format
and the rest refitted) made with 60-digit arithmetic, unless a source is named.
"""

from tracegraph.codegen.vector_math import (
    error_function,
    exponential,
    gamma,
    hyperbolic,
    inverse_error_function,
    inverse_hyperbolic,
    inverse_trigonometric,
    logarithm,
    power,
    roots,
    trigonometric,
)
from tracegraph.codegen.vector_math.registry import MATH_FUNCTIONS, MathFunction, call_math

FAMILIES = (
    exponential,
    logarithm,
    power,
    roots,
    hyperbolic,
    inverse_hyperbolic,
    trigonometric,
    inverse_trigonometric,
    error_function,
    inverse_error_function,
    gamma,
)

__all__ = ["FAMILIES", "MATH_FUNCTIONS", "MathFunction", "call_math"]
