"""Sweeps every f32 bit pattern through the compiled math functions and reports the largest error of each.

    python benchmarks/accuracy.py [--stride N] [name ...]

`--stride 1` (the default) takes all 2**32 patterns, some minutes a function; a larger odd stride samples them evenly.
The reference is numpy's and scipy's f64. Fails if a function breaks the bound it states.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from tracegraph.codegen.loops.loop_ir import Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.native.native_kernel import NativeKernel
from tracegraph.codegen.vector_math import MATH_FUNCTIONS, MathFunction
from tracegraph.dtypes import float32

CHUNK = 1 << 22
REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": lambda x: np.where(np.isneginf(x), np.inf, special.gammaln(x)),  # scipy has -inf there
}


def compiled(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function as a vectorised kernel over arrays."""
    k = LoopRecorder(f"sweep_{name}")
    n = k.size("n")
    x, y = k.buffer("x", float32, (n,), Mode.IN), k.buffer("y", float32, (n,), Mode.OUT)
    with k.loop("i", n) as i:
        k.store(y, (i,), k.apply(name, k.load(x, (i,))))
    kernel = NativeKernel(k.kernel())

    def run(values: np.ndarray) -> np.ndarray:
        result = np.empty_like(values)
        kernel({"x": values, "y": result}, {"n": values.size})
        return result

    return run


def patterns(stride: int) -> Iterator[np.ndarray]:
    """All f32 values whose pattern is a multiple of the stride, in chunks."""
    for start in range(0, 2**32, CHUNK * stride):
        stop = min(start + CHUNK * stride, 2**32)
        yield np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def errors_in_ulp(got: np.ndarray, exact: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """The error of each element in units of the last place of the rounded exact result, or of `floor` if that is
    larger; inf where nan or inf differ.
    """
    want = exact.astype(np.float32)
    finite = np.isfinite(want)
    agree = np.where(np.isnan(want), np.isnan(got), got == want)
    size = np.maximum(np.abs(want), floor)
    spacing = np.spacing(np.minimum(size, np.nextafter(np.finfo(np.float32).max, np.float32(0))))
    error = np.abs(got.astype(np.float64) - exact) / spacing
    error = np.where(finite, np.where(np.isfinite(got), error, np.inf), np.where(agree, 0.0, np.inf))
    # a subnormal result may be one more step away
    return np.where(np.abs(want) < np.finfo(np.float32).tiny, np.maximum(error - 1, 0), error)


def sweep(function: MathFunction, stride: int) -> tuple[float, float]:
    """(largest error, where)."""
    run = compiled(function.name)
    reference = REFERENCES.get(function.name) or getattr(np, function.name)
    worst, place = 0.0, 0.0
    for values in patterns(stride):
        with np.errstate(all="ignore"):
            floor = np.where(values < 0, np.float32(function.magnitude_from), np.float32(0))
            error = errors_in_ulp(run(values), reference(values.astype(np.float64)), floor)
        at = int(np.argmax(error))
        if error[at] > worst:
            worst, place = float(error[at]), float(values[at])
    return worst, place


def main() -> int:
    """Run the sweeps asked for; the exit status tells whether all bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    failed = False
    for function in MATH_FUNCTIONS.values():
        chosen = not arguments.names or function.name in arguments.names
        if function.llvm_type != "float" or function.arity != 1 or not chosen:
            continue
        worst, place = sweep(function, arguments.stride)
        verdict = "ok" if worst <= function.ulp else "BROKEN"
        failed |= worst > function.ulp
        print(f"{function.name:6} {worst:6.3f} ulp at {place:<24.9g} bound {function.ulp:5.2f}  {verdict}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
