"""Finding numpy's BLAS and multiplying with it by address."""

import ctypes

import numpy as np
import pytest

from tracegraph.codegen.emission import blas


@pytest.fixture(scope="module")
def library() -> blas.Blas:
    found = blas.find()
    if found is None:
        pytest.skip("numpy brings no OpenBLAS on this machine")
    return found


def test_found_once(library: blas.Blas) -> None:
    assert blas.find() is library
    assert library.integer_bits in (32, 64)
    assert str(library.integer_bits) in str(library)


def test_transposed_product(library: blas.Blas) -> None:
    integer = ctypes.c_int64 if library.integer_bits == 64 else ctypes.c_int32
    pointer = ctypes.c_void_p
    signature = ctypes.CFUNCTYPE(
        None,
        *[ctypes.c_int32] * 3,
        *[integer] * 3,
        *[ctypes.c_double, pointer, integer, pointer, integer, ctypes.c_double, pointer, integer],
    )
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(5, 7)), rng.normal(size=(4, 7)), np.ones((5, 4))
    flags = (blas.ROW_MAJOR, blas.NO_TRANSPOSE, blas.TRANSPOSE)
    signature(library.dgemm)(*flags, 5, 4, 7, 2.0, a.ctypes.data, 7, b.ctypes.data, 7, 1.0, c.ctypes.data, 4)
    np.testing.assert_allclose(c, 2 * (a @ b.T) + 1, rtol=1e-12)
