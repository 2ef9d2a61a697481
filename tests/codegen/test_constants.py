"""Constants in kernels: every scalar operation with constants for some or all of its operands."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from tracegraph import dtypes
from tracegraph.codegen.emission.emit import emit_entry, emit_kernel, entry_symbol
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm.llvm_text import ModuleText
from tracegraph.codegen.loops.loop_interpret import interpret_kernel
from tracegraph.codegen.loops.loop_ir import Kernel, Mark, Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.loops.loop_verify import verify_kernel
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS, infer
from tracegraph.dtypes import DType, bool_

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
DTYPES = (dtypes.float32, dtypes.int64, bool_)
VALUES: dict[str, tuple[Any, ...]] = {"float": (0.5, 2.0, -1.5), "integer": (3, 2, 1), "bool": (True, False, True)}
#: its operands are numbers of random streams, never constants
EXCLUDED = {"const", "cast", "philox"}


def values_of(dtype: DType) -> tuple[Any, ...]:
    return VALUES["float" if dtype.is_floating else "bool" if dtype.is_bool else "integer"]


def kinds_of(op: str, dtype: DType) -> list[DType]:
    return [bool_, dtype, dtype] if op == "where" else [dtype] * SCALAR_OPS[op].arity


def record(op: str, dtype: DType, constant: tuple[bool, ...], first: bool = True) -> Kernel:
    """`y[i] = op(...)` of loaded elements and, where `constant`, of the same values as constants."""
    kinds = kinds_of(op, dtype)
    result = infer(SCALAR_OPS[op], tuple(kinds), None)
    k = LoopRecorder(f"{op}_{dtype.name}_{''.join('lc'[c] for c in constant)}{'' if first else '_not'}")
    n = k.size("n")
    inputs = [k.buffer(f"x{i}", kind, (n,), Mode.IN) for i, kind in enumerate(kinds)]
    out = k.buffer("y", result, (n,), Mode.OUT)
    numbers = operand_values(op, dtype, first)
    with k.loop("i", n) as i:
        loaded = [k.load(x, (i,)) for x in inputs]
        operands = [
            k.const(v, kind) if c else x for x, v, kind, c in zip(loaded, numbers, kinds, constant, strict=True)
        ]
        k.store(out, (i,), k.apply(op, *operands))
    return k.kernel()


def operand_values(op: str, dtype: DType, first: bool) -> list[Any]:
    values = list(values_of(dtype)[: SCALAR_OPS[op].arity])
    if op == "where":
        values[0] = first
    return values


def _one_of(arity: int) -> set[tuple[bool, ...]]:
    return {tuple(i == position for i in range(arity)) for position in range(arity)}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_constants_may_stand_for_any_operand(dtype: DType) -> None:
    module, kernels = ModuleText(), []
    for op in SCALAR_OPS.values():
        if op.name in EXCLUDED or not op.domain.admits(dtype):
            continue
        for constant in sorted({(False,) * op.arity, *_one_of(op.arity), (True,) * op.arity}):
            for first in (True, False) if op.name == "where" else (True,):
                kernel = record(op.name, dtype, constant, first)
                verify_kernel(kernel)
                emit_kernel(module, kernel)
                emit_entry(module, kernel)
                kernels.append((op.name, constant, first, kernel))
    library = jit.load(module.render(), [entry_symbol(kernel) for *_, kernel in kernels])
    wanted: dict[tuple[str, bool], np.ndarray] = {}  # without constants, which come first
    for op_name, constant, first, kernel in kernels:
        kinds = kinds_of(op_name, dtype)
        numbers = operand_values(op_name, dtype, first)
        arrays = [np.full(3, v, kind.np) for v, kind in zip(numbers, kinds, strict=True)]
        result = infer(SCALAR_OPS[op_name], tuple(kinds), None)
        found, interpreted = np.zeros(3, result.np), np.zeros(3, result.np)
        pointers = np.array([a.ctypes.data for a in (*arrays, found)], np.uint64)
        sizes = np.array([3], np.int64)
        entry = ENTRY(library.address(entry_symbol(kernel)))
        assert entry(pointers.ctypes.data, sizes.ctypes.data, None) == 0
        named = {f"x{i}": a for i, a in enumerate(arrays)}
        assert interpret_kernel(kernel, {**named, "y": interpreted}, {"n": 3}, {}) == 0
        want = wanted.setdefault((op_name, first), found)
        for values in (found, interpreted):
            np.testing.assert_allclose(
                values.astype(np.float64), want.astype(np.float64), rtol=1e-6, err_msg=f"{op_name} {constant}"
            )


def test_python_numbers_are_conditions_too() -> None:
    k = LoopRecorder("k")
    y = k.buffer("y", dtypes.float32, (2,), Mode.OUT)
    k.store(y, (0,), k.where(True, k.const(1.0, dtypes.float32), 2.0))
    k.store(y, (1,), k.where(0, k.const(1.0, dtypes.float32), 2.0))
    verify_kernel(k.kernel())
    out = np.zeros(2, np.float32)
    interpret_kernel(k.kernel(), {"y": out}, {}, {})
    assert out.tolist() == [1, 2]


def test_a_constant_condition_takes_an_accumulator_as_it_is() -> None:
    k = LoopRecorder("k")
    n = k.size("n")
    y = k.buffer("y", dtypes.float32, (1,), Mode.OUT)
    total = k.acc(dtypes.float32, 1.0)
    before = k.where(k.const(True, bool_), total, 5.0)
    with k.loop("i", n, marks=[Mark.REDUCE]):
        k.update(total, "add", 1.0)
    k.store(y, (0,), before)
    verify_kernel(k.kernel())
    out = np.zeros(1, np.float32)
    interpret_kernel(k.kernel(), {"y": out}, {"n": 3}, {})
    assert out.tolist() == [1]
