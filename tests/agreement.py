"""How closely two executions of one computation agree: the one table of tolerances, and the comparison that uses it.

Bool and integer results are equal. Floating results may differ because passes and native code sum in another order,
fuse products with sums, and have mathematical functions of their own, each within a few units in the last place. What
that comes to, in multiples of the dtype's eps, relative to the larger of the result and 1:

    f16, bf16   computed in f32 and rounded once per op: the f32 results fall on two sides of a rounding boundary, by
                which the 16-bit ones differ by eps; twice that where a second op follows
    f32, f64    sums of up to a hundred terms that cancel in part, in matrix products above all: 64 eps

A zero has the sign of the other execution's zero, nan and infinities stand in the same places.
"""

from __future__ import annotations

import numpy as np

from tracegraph import dtypes
from tracegraph.ir import Graph

TOLERANCE = {"f16": 2 * 2.0**-10, "bf16": 2 * 2.0**-7, "f32": 64 * 2.0**-23, "f64": 64 * 2.0**-52}


def assert_agree(found: np.ndarray, wanted: np.ndarray, what: str = "", zero_signs: bool = True) -> None:
    """Equal dtypes and shapes, and values up to the dtype's tolerance.

    `zero_signs=False` where the sign of zeros is unspecified, see `has_zero_signs`.
    """
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), what
    dtype = dtypes.from_numpy(wanted.dtype)
    if not dtype.is_floating:
        np.testing.assert_array_equal(found, wanted, err_msg=what)
        return
    tolerance = TOLERANCE[dtype.name]
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance, err_msg=what)
    if zero_signs:
        assert_zeros_agree(found, wanted, what)


def assert_zeros_agree(found: np.ndarray, wanted: np.ndarray, what: str = "") -> None:
    """Where both are zero, both have the same sign."""
    zero = (found == 0) & (wanted == 0)
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(wanted[zero]), f"{what}: signs of zeros")


def has_zero_signs(graph: Graph) -> bool:
    """Whether the signs of all zeros are specified, also where zeros of both signs meet."""
    return all(getattr(node.call_op, "zero_signs", True) for node in graph.calls)
