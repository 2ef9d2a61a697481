"""hypot. Square roots themselves are machine instructions."""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.registry import math_function, register_through_double

_SCALE = 2.0**600


@math_function("hypot", "double", ulp=1.5, arity=2)
def hypot_f64(x: Register, y: Register) -> Register:
    """sqrt(x**2 + y**2) in f64 without overflow on the way, at most 1.5 ulp; infinite if either is."""
    x, y = ops.fabs(x), ops.fabs(y)
    is_large = ops.compare("ogt", ops.intrinsic("maxnum", x, y), 2.0**500)
    is_small = ops.compare("olt", ops.intrinsic("maxnum", x, y), 2.0**-400)
    down = ops.select(is_large, x.like(1 / _SCALE), ops.select(is_small, x.like(_SCALE), 1.0))
    up = ops.select(is_large, x.like(_SCALE), ops.select(is_small, x.like(1 / _SCALE), 1.0))
    a, b = x * down, y * down
    result = ops.sqrt(ops.fma(a, a, b * b)) * up
    infinite = ops.compare("oeq", x, math.inf) | ops.compare("oeq", y, math.inf)
    return ops.select(infinite, math.inf, result)


register_through_double("hypot", arity=2)
