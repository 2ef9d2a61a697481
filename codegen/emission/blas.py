"""The matrix multiplication of the OpenBLAS that numpy brings along, by address, for native code to call.

`find` looks at the libraries mapped into the process, then into the folder of numpy's bundled libraries, tries the
names OpenBLAS builds use, and keeps a library only if a small multiplication comes out right.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# (prefix, suffix, width of its integers): scipy's builds mangle names, `64_` means 64-bit integers
_NAMINGS = (
    ("scipy_", "64_", 64),
    ("", "64_", 64),
    ("", "_64", 64),
    ("scipy_", "", 32),
    ("", "", 32),
)
ROW_MAJOR = 101
NO_TRANSPOSE = 111
TRANSPOSE = 112


@dataclass(frozen=True, slots=True)
class Blas:
    """Addresses of `cblas_sgemm` and `cblas_dgemm`.

    The C signature is (i32 order, i32 transA, i32 transB, int m, int n, int k, T alpha, ptr a, int lda, ptr b,
    int ldb, T beta, ptr c, int ldc), `int` being `integer_bits` wide and the enumerations always 32 bits.
    `set_threads` is the address of `void f(i32)`, which limits the library's own threads, or None.
    """

    path: str
    integer_bits: int
    sgemm: int
    dgemm: int
    set_threads: int | None

    def __str__(self) -> str:
        return f"{Path(self.path).name} ({self.integer_bits}-bit integers)"


@cache
def find() -> Blas | None:
    """The BLAS of this process, or None if there is none that works."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            # a file of another architecture, or gone: not a candidate
            continue
        for prefix, suffix, bits in _NAMINGS:
            blas = _look_up(library, str(path), prefix, suffix, bits)
            if blas is not None and _multiplies(blas):
                return blas
    return None


def _libraries() -> Iterator[Path]:
    seen = set()
    for path in (*_mapped_libraries(), *_bundled_libraries()):
        if path not in seen:
            seen.add(path)
            yield path


def _mapped_libraries() -> list[Path]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    paths = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if len(line.split(maxsplit=5)) == 6}
    return sorted(Path(path) for path in paths if "openblas" in Path(path).name)


def _bundled_libraries() -> list[Path]:
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".libs", package / ".dylibs")
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*openblas*"))


def _look_up(library: ctypes.CDLL, path: str, prefix: str, suffix: str, bits: int) -> Blas | None:
    sgemm = _address(library, f"{prefix}cblas_sgemm{suffix}")
    dgemm = _address(library, f"{prefix}cblas_dgemm{suffix}")
    if sgemm is None or dgemm is None:
        return None
    return Blas(path, bits, sgemm, dgemm, _address(library, f"{prefix}openblas_set_num_threads{suffix}"))


def _address(library: ctypes.CDLL, symbol: str) -> int | None:
    function = getattr(library, symbol, None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value


def _multiplies(blas: Blas) -> bool:
    """Whether both functions multiply a 3x4 by a 4x2 matrix correctly."""
    return _gemm_works(blas, blas.sgemm, ctypes.c_float, np.dtype(np.float32)) and _gemm_works(
        blas, blas.dgemm, ctypes.c_double, np.dtype(np.float64)
    )


def _gemm_works(blas: Blas, address: int, scalar: Any, dtype: np.dtype) -> bool:
    integer = ctypes.c_int64 if blas.integer_bits == 64 else ctypes.c_int32
    pointer, enumeration = ctypes.c_void_p, ctypes.c_int32
    signature = ctypes.CFUNCTYPE(
        None,
        *[enumeration] * 3,
        *[integer] * 3,
        *[scalar, pointer, integer, pointer, integer, scalar, pointer, integer],
    )
    a = np.arange(12, dtype=dtype).reshape(3, 4)
    b = np.arange(8, dtype=dtype).reshape(4, 2) - 3
    c = np.full((3, 2), np.nan, dtype)
    flags = (ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE)
    signature(address)(*flags, 3, 2, 4, 1.0, a.ctypes.data, 4, b.ctypes.data, 2, 0.0, c.ctypes.data, 2)
    # written out: numpy's own product would ask the same library
    expected = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in b.T] for row in a]
    return bool((c == np.array(expected, dtype)).all())
