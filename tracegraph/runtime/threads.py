"""How many threads a matrix product may use: those of the BLAS library, the only ones that compute."""

from __future__ import annotations

import ctypes
import os

from tracegraph.codegen.emission.blas import find
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described

_chosen: list[int] = []


def set_num_threads(num: int) -> None:
    """Let matrix products, eager and compiled, use up to `num` threads; everything else uses the caller's.

    The number is the BLAS library's, so it holds for numpy in the whole process too. It has no effect if the library
    cannot be told.

    Raises:
        ArgumentError: `num` is no int.
        ValueRangeError: it is not positive.
    """
    if not isinstance(num, int) or isinstance(num, bool):
        raise ArgumentError(f"set_num_threads: argument 'num' must be an int, got {described(num)}")
    if num < 1:
        raise ValueRangeError(f"set_num_threads: num={num} must be at least 1")
    blas = find()
    if blas is not None and blas.set_threads is not None:
        ctypes.CFUNCTYPE(None, ctypes.c_int)(blas.set_threads)(num)
    _chosen[:] = [num]


def get_num_threads() -> int:
    """The number given to `set_num_threads`; at first OPENBLAS_NUM_THREADS or OMP_NUM_THREADS, else the CPUs that
    this process may use.
    """
    if _chosen:
        return _chosen[0]
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "")
        if text.isdecimal() and int(text):
            return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
