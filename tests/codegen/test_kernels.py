"""The kernels of `kernels/`: text round trip, and compiled = interpreted on several sizes."""

from pathlib import Path

import numpy as np
import pytest
from agreement import assert_agree

from tracegraph.codegen.loops.loop_interpret import interpret_kernel, shape_of
from tracegraph.codegen.loops.loop_ir import Failure, Fault, Kernel, Mode
from tracegraph.codegen.loops.loop_text import parse_kernel, print_kernel
from tracegraph.codegen.native.native_kernel import NativeKernel

KERNELS = sorted((Path(__file__).parent / "kernels").glob("*.kernel"))
SIZES = [(1, 1), (3, 5), (4, 33), (9, 40), (0, 4), (4, 0)]


def arrays_for(kernel: Kernel, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {}
    for buffer in kernel.buffers:
        shape = shape_of(buffer, sizes)
        if buffer.name == "index_of":
            values = rng.integers(0, max(sizes["n"], 1), shape)
        elif buffer.dtype.is_floating:
            values = rng.normal(size=shape)
        else:
            values = rng.integers(0, 2 if buffer.dtype.is_bool else 100, shape)
        array = values.astype(buffer.dtype.np)
        arrays[buffer.name] = np.asfortranarray(array) if buffer.strides is not None else array
    return arrays


def copies(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy(order="K") for name, array in arrays.items()}


def assert_same(kernel: Kernel, got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    for buffer in kernel.buffers:
        a, b = got[buffer.name], want[buffer.name]
        if buffer.mode is Mode.IN:
            assert np.array_equal(a, b), buffer.name
        else:
            assert_agree(a, b, buffer.name)


@pytest.mark.parametrize("path", KERNELS, ids=lambda p: p.stem)
def test_round_trip(path: Path) -> None:
    text = path.read_text()
    assert print_kernel(parse_kernel(text)) == text


@pytest.mark.parametrize("path", KERNELS, ids=lambda p: p.stem)
def test_compiled_equals_interpreted(path: Path) -> None:
    kernel = parse_kernel(path.read_text())
    native = NativeKernel(kernel)
    scalars = {param.name: 0.5 for param in kernel.scalars}
    for n, m in SIZES:
        sizes = {"n": n, "m": m}
        got = arrays_for(kernel, sizes)
        want = copies(got)
        assert native(got, sizes, scalars) == interpret_kernel(kernel, want, sizes, scalars) == 0
        assert_same(kernel, got, want)


def load(name: str) -> Kernel:
    return parse_kernel((Path(__file__).parent / "kernels" / f"{name}.kernel").read_text())


def test_argmax_takes_the_first_and_propagates_nan() -> None:
    x = np.array([[1, 3, 3, 0], [np.nan, 5, np.nan, 7], [5, np.nan, 9, np.nan], [-np.inf] * 4], np.float32)
    y = np.zeros(4, np.int64)
    NativeKernel(load("argmax"))({"x": x, "y": y}, {"n": 4, "m": 4})
    assert y.tolist() == np.argmax(x, axis=1).tolist()


def test_softmax_of_masked_and_nan_rows() -> None:
    x = np.array([[0, -np.inf, 1, -np.inf] * 8, [np.nan, 1, 2, 3] * 8, [88, 800, -800, 800] * 8], np.float32)
    y = np.empty_like(x)
    NativeKernel(load("softmax"))({"x": x, "y": y}, {"n": 3, "m": 32})
    assert (y[0, 1::2] == 0).all()
    assert np.isnan(y[1]).all()
    assert np.allclose(y[2, 1::2], 1 / 16)


def test_a_failed_check_stops_with_its_status() -> None:
    kernel = load("embedding")
    arrays = arrays_for(kernel, {"n": 4, "m": 3})
    arrays["index_of"][:] = [0, 1, 4, 2]
    assert kernel.failures == (Failure(Fault.INDEX, "index is negative"), Failure(Fault.INDEX, "index out of range"))
    assert NativeKernel(kernel)(arrays, {"n": 4, "m": 3}) == 2
    assert interpret_kernel(kernel, arrays, {"n": 4, "m": 3}) == 2
    arrays["index_of"][:] = [0, 1, -1, 2]
    assert NativeKernel(kernel)(arrays, {"n": 4, "m": 3}) == 1


def test_long_sums_lose_no_more_than_numpys() -> None:
    x = np.full((1, 1 << 20), 0.1, np.float32)
    y = np.zeros((1, 1 << 20), np.float32)
    NativeKernel(load("softmax"))({"x": x, "y": y}, {"n": 1, "m": 1 << 20})
    assert np.allclose(y, 2.0**-20, rtol=1e-5)


def test_column_sum_is_vectorised_by_llvm_or_not_but_right_on_large_inputs() -> None:
    x = np.random.default_rng(0).normal(size=(100, 1000)).astype(np.float32)
    y = np.zeros(1000, np.float32)
    NativeKernel(load("column_sum"))({"x": x, "y": y}, {"n": 100, "m": 1000})
    np.testing.assert_allclose(y, x.astype(np.float64).sum(0), rtol=1e-4, atol=1e-4)
