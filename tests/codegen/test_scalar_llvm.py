"""Every scalar operation in every dtype it takes: compiled = the numpy reference."""

import ctypes
import functools

import numpy as np
import pytest
from folded import folded

from tracegraph import dtypes
from tracegraph.codegen.emission.emit import emit_entry, emit_kernel, entry_symbol
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm.llvm_text import ModuleText
from tracegraph.codegen.loops.loop_ir import Kernel, Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.loops.scalar_numpy import apply_scalar
from tracegraph.codegen.loops.scalar_ops import SCALAR_OPS, infer
from tracegraph.codegen.native.native_kernel import NativeKernel
from tracegraph.codegen.vector_math import MATH_FUNCTIONS

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
SPECIAL_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.0, 1e-3, 7.25, np.inf, -np.inf, np.nan]
SPECIAL_INTS = [0, 1, -1, 2, -2, 3, 5, -5, 7, 8, 15, 31, 33, 64, 100, -100, 127]
COUNT = 331  # not a multiple of any vector width

EXCLUDED = {"const", "cast", "philox"}  # tested below, or in test_philox


def values_of(dtype: dtypes.DType, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.is_bool:
        return rng.integers(0, 2, COUNT).astype(np.bool_)
    if dtype.is_floating:
        pool = np.array(SPECIAL_FLOATS)
        mixed = np.where(rng.random(COUNT) < 0.5, rng.choice(pool, COUNT), rng.normal(size=COUNT) * 4)
        return mixed.astype(dtype.np)
    info = np.iinfo(dtype.np)
    pool = np.array([v for v in SPECIAL_INTS if info.min <= v <= info.max] + [info.min, info.max], dtype.np)
    return rng.choice(pool, COUNT).astype(dtype.np)


def record(op: str, dtype: dtypes.DType, name: str) -> tuple[LoopRecorder, dtypes.DType]:
    definition = SCALAR_OPS[op]
    k = LoopRecorder(name)
    n = k.size("n")
    kinds = [dtypes.bool_, dtype, dtype] if op == "where" else [dtype] * definition.arity
    result = infer(definition, tuple(kinds), None)
    inputs = [k.buffer(f"x{i}", kind, (n,), Mode.IN) for i, kind in enumerate(kinds)]
    out = k.buffer("y", result, (n,), Mode.OUT)
    with k.loop("i", n) as i:
        k.store(out, (i,), k.apply(op, *(k.load(x, (i,)) for x in inputs)))
    return k, result


def ops_of(dtype: dtypes.DType) -> list[str]:
    return [op.name for op in SCALAR_OPS.values() if op.name not in EXCLUDED and op.domain.admits(dtype)]


def call(library: jit.Library, symbol: str, arrays: list[np.ndarray]) -> int:
    pointers = np.array([a.ctypes.data for a in arrays], np.uint64)
    sizes = np.array([COUNT], np.int64)
    return int(ENTRY(library.address(symbol))(pointers.ctypes.data, sizes.ctypes.data, None))


def assert_matches(op: str, dtype: dtypes.DType, got: np.ndarray, want: np.ndarray, inputs: list[np.ndarray]) -> None:
    """Equal bits, nan for nan; math functions within their bound of the rounded exact value."""
    if not np.issubdtype(want.dtype, np.floating) and got.dtype != dtypes.bfloat16.np:
        bad = got != want
    else:
        wide_got, wide_want = got.astype(np.float64), want.astype(np.float64)
        same = (wide_got == wide_want) & (np.signbit(wide_got) == np.signbit(wide_want))
        bad = ~(same | (np.isnan(wide_got) & np.isnan(wide_want)))
        llvm_type = {"f64": "double"}.get(dtype.name, "float")
        if (op, llvm_type) in MATH_FUNCTIONS or op == "fma":
            function = MATH_FUNCTIONS.get((op, llvm_type))
            bound, floor = (0.51, 0.0) if function is None else (function.ulp + 0.5, function.magnitude_from)
            bound = 1.0 if dtype.itemsize == 2 else bound
            with np.errstate(invalid="ignore"):
                spacing = np.spacing(np.maximum(np.abs(want), want.dtype.type(floor))).astype(np.float64)
                bad &= ~(np.abs(wide_got - wide_want) <= bound * spacing)
    first = np.flatnonzero(bad)[:3]
    assert not bad.any(), [(*(x[i] for x in inputs), "got", got[i], "want", want[i]) for i in first]


def loaded(kernels: list[Kernel]) -> jit.Library:
    """All kernels in one module."""
    module = ModuleText()
    for kernel in kernels:
        emit_kernel(module, kernel)
        emit_entry(module, kernel)
    return jit.load(module.render(), [entry_symbol(kernel) for kernel in kernels])


@functools.cache
def library(dtype: dtypes.DType) -> jit.Library:
    """The kernels of all operations that take the dtype."""
    return loaded([record(op, dtype, f"{op}_{dtype.name}")[0].kernel() for op in ops_of(dtype)])


CASES = [(op, dtype) for dtype in dtypes.ALL for op in ops_of(dtype)]


@folded("case", CASES, by=lambda case: case[1].name, name=lambda case: f"{case[0]}-{case[1].name}")
def test_matches_reference(case: tuple[str, dtypes.DType]) -> None:
    op, dtype = case
    recorder, result = record(op, dtype, f"{op}_{dtype.name}")
    kernel = recorder.kernel()
    inputs = [values_of(b.dtype, seed) for seed, b in enumerate(kernel.buffers[:-1])]
    got = np.zeros(COUNT, result.np)
    assert call(library(dtype), entry_symbol(kernel), [*inputs, got]) == 0
    want = np.array([apply_scalar(op, [x[i] for x in inputs], dtype, result) for i in range(COUNT)], result.np)
    assert_matches(op, dtype, got, want, inputs)


@pytest.mark.parametrize("dtype", dtypes.FLOATING_DTYPES, ids=lambda d: d.name)
def test_extremes_of_zeros(dtype: dtypes.DType) -> None:
    pairs = [np.resize(np.array(signs, dtype.np), COUNT) for signs in ((0.0, -0.0, 0.0, -0.0), (0.0, 0.0, -0.0, -0.0))]
    kernels = loaded([record(op, dtype, f"{op}_{dtype.name}")[0].kernel() for op in ("maximum", "minimum")])
    for op, negative in (("maximum", [False, False, False, True]), ("minimum", [False, True, True, True])):
        got = np.ones(COUNT, dtype.np)
        call(kernels, f"{op}_{dtype.name}.entry", [*pairs, got])
        want = np.array([apply_scalar(op, [a, b], dtype, dtype) for a, b in zip(*pairs, strict=True)], dtype.np)
        for found in (got, want):
            assert not found.astype(np.float64).any()
            assert np.signbit(found.astype(np.float64))[:4].tolist() == negative


@pytest.mark.parametrize("source", dtypes.ALL, ids=lambda d: d.name)
def test_casts(source: dtypes.DType) -> None:
    kernels = []
    for target in dtypes.ALL:
        k = LoopRecorder(f"to_{target.name}")
        n = k.size("n")
        x, y = k.buffer("x", source, (n,), Mode.IN), k.buffer("y", target, (n,), Mode.OUT)
        with k.loop("i", n) as i:
            k.store(y, (i,), k.cast(k.load(x, (i,)), target))
        kernels.append(k.kernel())
    casts = loaded(kernels)
    values = values_of(source, 0)
    if source.is_floating:
        large = np.array([1e4, -1e4, 300, -300, 1e9, 65519.9, 3e38, 1e19], np.float64)
        with np.errstate(over="ignore"):
            values[:8] = large.astype(source.np)
    for target, kernel in zip(dtypes.ALL, kernels, strict=True):
        got = np.zeros(COUNT, target.np)
        call(casts, entry_symbol(kernel), [values, got])
        want = np.array([apply_scalar("cast", [v], source, target) for v in values], target.np)
        assert_matches("cast", target, got, want, [values])


def test_bfloat16_rounds_to_nearest_even_and_keeps_nan() -> None:
    patterns = np.arange(0, 2**32, 65521, dtype=np.uint64).astype(np.uint32)
    patterns = np.concatenate([patterns, np.array([0x3F808000, 0x3F818000, 0x7FFFFFFF, 0x7F800001], np.uint32)])
    x = patterns.view(np.float32)
    k = LoopRecorder("narrow")
    n = k.size("n")
    source, target = k.buffer("x", dtypes.float32, (n,), Mode.IN), k.buffer("y", dtypes.bfloat16, (n,), Mode.OUT)
    with k.loop("i", n) as i:
        k.store(target, (i,), k.cast(k.load(source, (i,)), dtypes.bfloat16))
    got = np.zeros(x.size, dtypes.bfloat16.np)
    NativeKernel(k.kernel())({"x": x, "y": got}, {"n": x.size})
    nan = np.isnan(x)
    with np.errstate(invalid="ignore", over="ignore"):
        want = x.astype(dtypes.bfloat16.np)
    assert np.array_equal(got[~nan].view(np.uint16), want[~nan].view(np.uint16))
    assert np.isnan(got[nan].astype(np.float32)).all()


def test_double_to_half_rounds_once() -> None:
    # halfway between two halves plus a little that f32 cannot see
    x = np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-11, 1 + 3 * 2.0**-11 - 2.0**-40, 65519.999999], np.float64)
    want = x.astype(np.float16)
    assert [float(apply_scalar("cast", [v], dtypes.float64, dtypes.float16)) for v in x] == want.tolist()
    k = LoopRecorder("narrow")
    source, target = k.buffer("x", dtypes.float64, (4,), Mode.IN), k.buffer("y", dtypes.float16, (4,), Mode.OUT)
    with k.loop("i", 4) as i:
        k.store(target, (i,), k.cast(k.load(source, (i,)), dtypes.float16))
    got = np.zeros(4, np.float16)
    NativeKernel(k.kernel())({"x": x, "y": got})
    assert got.tolist() == want.tolist()
