"""Accuracy of the math functions against wider references: each keeps the bound it states.

f32 runs on a dense sample of all bit patterns and of the interesting intervals against f64, f64 on samples against
numpy's long double. `benchmarks/accuracy.py` sweeps all 2**32 patterns of f32.
"""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register
from tracegraph.codegen.vector_math import FAMILIES, MATH_FUNCTIONS, MathFunction, call_math

LONG = np.longdouble
NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
}
needs_long_double = pytest.mark.skipif(
    np.finfo(LONG).nmant < 63, reason="long double is no wider than double on this machine"
)


def harness_text(function: MathFunction) -> str:
    """A vectorisable loop that applies the function to arrays."""
    module = ModuleText()
    pointers = [f"%p{i}" for i in range(function.arity + 1)]
    parameters = ", ".join(f"ptr noalias {p}" for p in pointers)
    text = FunctionText(module, f"void @apply({parameters}, i64 %n) {jit.host().attributes}")
    text.branch_to("loop")
    text.line("%i = phi i64 [0, %entry], [%next, %loop]")
    element = function.llvm_type
    places = [text.instruction(f"getelementptr inbounds {element}, ptr {p}, i64 %i", "ptr") for p in pointers]
    operands: list[Register] = [text.instruction(f"load {element}, ptr {p.text}", element) for p in places[:-1]]
    result = call_math(function.name, *operands)
    text.line(f"store {element} {result.text}, ptr {places[-1].text}")
    text.line("%next = add nuw nsw i64 %i, 1")
    text.line("%more = icmp slt i64 %next, %n")
    text.line("br i1 %more, label %loop, label %done")
    text.label("done")
    text.line("ret void")
    module.define("apply", text.render())
    return module.render()


def compiled(function: MathFunction) -> Callable[..., np.ndarray]:
    library = jit.load(harness_text(function), ["apply"])
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (function.arity + 1), ctypes.c_int64)
    entry = signature(library.address("apply"))

    def call(*operands: np.ndarray) -> np.ndarray:
        result = np.empty_like(operands[0])
        entry(*(x.ctypes.data for x in operands), result.ctypes.data, result.size)
        return result

    return call


def erf_series(x: np.ndarray) -> np.ndarray:
    """2/sqrt(pi) exp(-x**2) sum of 2**n x**(2n+1) / (2n+1)!!: all terms positive, nothing cancels."""
    limited = np.clip(x, -7, 7)
    total, term = np.zeros_like(limited), limited.copy()
    for n in range(300):
        total, term = total + term, term * (2 * limited * limited) / (2 * n + 3)
    root_pi = np.sqrt(4 * np.arctan(LONG(1)))
    return np.copysign(total * np.exp(-limited * limited) * 2 / root_pi, x)


def erfc_fraction(x: np.ndarray) -> np.ndarray:
    """Continued fraction from 2 on, 1 - erf below."""
    a = np.maximum(np.abs(x), LONG(2))
    fraction = np.zeros_like(a)
    for k in range(200, 0, -1):
        fraction = (LONG(k) / 2) / (a + fraction)
    tail = np.exp(-a * a) / (a + fraction) / np.sqrt(4 * np.arctan(LONG(1)))
    tail = np.where(x < 0, 2 - tail, tail)
    return np.where(np.abs(x) < 2, 1 - erf_series(x), tail)


def erfinv_long(x: np.ndarray) -> np.ndarray:
    """scipy's result after a Newton step in long double, on erfc in the tails."""
    with np.errstate(all="ignore"):
        y = special.erfinv(x.astype(np.float64)).astype(LONG)
        magnitude = np.abs(y)
        residual = np.where(
            magnitude < 0.5, erf_series(magnitude) - np.abs(x), (1 - np.abs(x)) - erfc_fraction(magnitude)
        )
        slope = 2 / np.sqrt(4 * np.arctan(LONG(1))) * np.exp(-magnitude * magnitude)
        refined = magnitude - residual / slope
    refined = np.where(np.isfinite(y) & (magnitude > 1e-3), refined, magnitude)
    # next to zero erfinv(x) = sqrt(pi)/2 (x + pi/12 x**3)
    pi = 4 * np.arctan(LONG(1))
    near_zero = np.sqrt(pi) / 2 * (np.abs(x) + pi / 12 * np.abs(x) ** 3 + 7 * pi * pi / 480 * np.abs(x) ** 5)
    return np.copysign(np.where(np.abs(x) < 1e-3, near_zero, refined), x)


def lgamma_long(x: np.ndarray) -> np.ndarray:
    """Stirling's series after moving the argument beyond 40; reflection for negative arguments."""
    pi = 4 * np.arctan(LONG(1))
    a = np.abs(x)
    moved, shift = a.copy(), np.zeros_like(a)
    product = np.ones_like(a)
    for _ in range(40):
        low = moved < 40
        product = np.where(low, product * moved, product)
        moved = np.where(low, moved + 1, moved)
        overflow = product > LONG(10) ** 300
        shift = np.where(overflow, shift + np.log(product), shift)
        product = np.where(overflow, LONG(1), product)
    shift = shift + np.log(product)
    square = 1 / (moved * moved)
    series = LONG(1) / 12 - square * (LONG(1) / 360 - square * (LONG(1) / 1260 - square * (LONG(1) / 1680)))
    stirling = (moved - LONG("0.5")) * np.log(moved) - moved + np.log(2 * pi) / 2 + series / moved
    positive = np.where(np.isinf(a), LONG(np.inf), stirling - shift)
    sine = np.abs(np.sin(pi * (a - np.rint(a))))
    reflected = np.log(pi) - np.log(a) - np.log(sine) - positive
    for zero in (1, 2):
        close = np.abs(a - zero) < 0.3
        positive = np.where(close, lgamma_series(np.where(close, a - zero, 0), zero), positive)
    return np.where(x > 0, positive, np.where(np.isinf(a), LONG(np.inf), reflected))


def lgamma_series(z: np.ndarray, about: int) -> np.ndarray:
    """lgamma(about + z) for |z| < 0.3 by its Taylor series, whose coefficients are zeta(k) / k."""
    total = -LONG("0.5772156649015328606065120900824024310422") * z
    power = -z
    for k in range(2, 60):
        power = power * -z
        total = total + zeta(k) * power / k
    return total if about == 1 else total + np.log1p(z)


def zeta(k: int, terms: int = 40) -> np.longdouble:
    """Riemann's zeta function by Euler and Maclaurin."""
    n = LONG(terms)
    total = sum((LONG(i) ** -k for i in range(terms - 1, 0, -1)), LONG(0))
    total += n ** (1 - k) / (k - 1) + n**-k / 2 + k * n ** (-k - 1) / 12
    total -= LONG(k * (k + 1) * (k + 2)) * n ** (-k - 3) / 720
    return total + LONG(k * (k + 1) * (k + 2) * (k + 3) * (k + 4)) * n ** (-k - 5) / 30240


def reference(name: str, operands: list[np.ndarray]) -> np.ndarray:
    wide_enough = operands[0].dtype == np.float64
    if name == "erf":
        return special.erf(operands[0]) if wide_enough else erf_series(operands[0])
    if name == "erfc":
        return special.erfc(operands[0]) if wide_enough else erfc_fraction(operands[0])
    if name == "lgamma":
        found = special.gammaln(operands[0]) if wide_enough else lgamma_long(operands[0])
        # scipy has -inf at -inf
        return np.where(np.isinf(operands[0]) | (operands[0] == 0), np.inf, found)
    if name == "erfinv":
        found = special.erfinv(operands[0]) if wide_enough else erfinv_long(operands[0])
        # scipy drops the sign of zero
        return np.copysign(found, operands[0])
    return getattr(np, NUMPY.get(name, name))(*operands)


def samples(function: MathFunction, dtype: type) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    count = 1 << (16 if dtype is np.float32 else 13)
    pattern = np.uint32 if dtype is np.float32 else np.uint64
    info = np.finfo(dtype)
    corners = np.array(
        [0, 0.5, 1, 2, 3, np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal, np.pi, 355, 710, 88.7], dtype
    )
    corners = np.concatenate([corners, -corners])

    def operand() -> np.ndarray:
        return np.concatenate(
            [
                rng.integers(0, np.iinfo(pattern).max, count, dtype=pattern).view(dtype),
                rng.uniform(-2, 2, count).astype(dtype),
                rng.uniform(-40, 40, count).astype(dtype),
                rng.uniform(-1000, 1000, count).astype(dtype),
                (10.0 ** rng.uniform(-8, 3, count)).astype(dtype),
            ]
        )

    if function.arity == 1:
        return [np.concatenate([operand(), corners])]
    grid = np.meshgrid(corners, corners)
    bases, exponents = rng.uniform(0.5, 2, count), rng.uniform(-100, 100, count)
    return [
        np.concatenate([operand(), bases.astype(dtype), grid[0].ravel()]),
        np.concatenate([operand(), exponents.astype(dtype), grid[1].ravel()]),
    ]


def check(function: MathFunction, dtype: type, wide: type) -> None:
    operands = samples(function, dtype)
    got = compiled(function)(*operands)
    with np.errstate(all="ignore"):
        exact = reference(function.name, [x.astype(wide) for x in operands])
        want = exact.astype(dtype)

    def show(bad: np.ndarray) -> list[tuple]:
        return [(*(x[i] for x in operands), "got", got[i], "want", want[i]) for i in np.flatnonzero(bad)[:3]]

    wrong_nan = np.isnan(got) != np.isnan(want)
    assert not wrong_nan.any(), show(wrong_nan)
    wrong_sign = (np.signbit(got) != np.signbit(want)) & ~np.isnan(want)
    assert not wrong_sign.any(), show(wrong_sign)
    wrong_infinity = np.isinf(got) != np.isinf(want)
    assert not wrong_infinity.any(), show(wrong_infinity)
    finite = np.isfinite(want)
    error = np.zeros(got.size)
    with np.errstate(over="ignore"):  # numpy's quirk at the largest number
        sizes = np.abs(want[finite])
        # near the zeros left of the origin errors are absolute
        floor = np.where(operands[0][finite] < 0, function.magnitude_from, 0).astype(dtype)
        spacing = np.spacing(np.maximum(sizes, floor)).astype(LONG)
    spacing = np.where(np.isfinite(spacing), spacing, LONG(2) ** (np.finfo(dtype).maxexp - np.finfo(dtype).nmant - 1))
    error[finite] = np.abs(got[finite].astype(LONG) - exact[finite].astype(LONG)) / spacing
    subnormal = np.abs(want) < np.finfo(dtype).tiny
    too_far = error > np.where(subnormal, function.ulp + 1, function.ulp)
    assert not too_far.any(), (error.max(), show(too_far))


def functions(llvm_type: str) -> list[MathFunction]:
    return [f for f in MATH_FUNCTIONS.values() if f.llvm_type == llvm_type]


@pytest.mark.parametrize("function", functions("float"), ids=lambda f: f.name)
def test_f32(function: MathFunction) -> None:
    check(function, np.float32, np.float64)


@needs_long_double
@pytest.mark.parametrize("function", functions("double"), ids=lambda f: f.name)
def test_f64(function: MathFunction) -> None:
    check(function, np.float64, LONG)


@pytest.mark.parametrize("llvm_type", ["float", "double"])
def test_huge_angles(llvm_type: str) -> None:
    dtype = np.float32 if llvm_type == "float" else np.float64
    # f64: the double closest to a multiple of pi/2 (Kahan); f32: one of the hardest
    hard = 6381956970095103.0 * 2.0**797 if llvm_type == "double" else 16367173.0 * 2.0**72
    x = np.array([hard, -hard, 1e22, np.finfo(dtype).max, 2.0**20, 2.0**30, 1e9], dtype)
    with np.errstate(all="ignore"):
        for name, function in (("sin", np.sin), ("cos", np.cos), ("tan", np.tan)):
            got = compiled(MATH_FUNCTIONS[name, llvm_type])(x)
            want = function(x.astype(LONG))
            error = np.abs(got.astype(LONG) - want) / np.spacing(np.abs(want.astype(dtype)))
            assert error.max() <= MATH_FUNCTIONS[name, llvm_type].ulp


def test_loops_over_them_are_vectorised() -> None:
    lanes = jit.host().vector_bits // 64
    for function in functions("double"):
        assert f"<{lanes} x double>" in jit.optimise(harness_text(function)), function.name


def test_every_function_states_its_bound() -> None:
    for family in FAMILIES:
        for function in vars(family).values():
            if getattr(function, "__name__", "").endswith(("_f32", "_f64")):
                registered = [f for f in MATH_FUNCTIONS.values() if f.build is function]
                if registered:
                    assert f"at most {registered[0].ulp:g} ulp" in (function.__doc__ or ""), function.__name__
