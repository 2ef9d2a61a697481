"""Common divisors and multiples of integers."""

from __future__ import annotations

from tracegraph import dtypes
from tracegraph.ir.rules import Scalar
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, binary, call, samples
from tracegraph.ops.kinds import Derived, Pointwise
from tracegraph.ops.numerics.scalar import Scalars

#: most steps of Euclid's algorithm by the bytes of an integer: two neighbours among Fibonacci's numbers take the most
_STEPS = {1: 12, 2: 24, 4: 47, 8: 92}


@define_op
class Gcd(Pointwise):
    """The greatest common divisor of two integers, not negative; that of 0 and 0 is 0."""

    signature = "(input: Number, other: Number)"
    accepts = "i"
    inplace = True
    commutative = True
    recompute_cost = 100
    samples = samples(
        *binary(-60, 60, dtypes=dtypes.INTEGER_DTYPES, number=None)(), call(A((3, 5)), 6, dtypes=(dtypes.int64,))
    )

    def scalar(self, k: Scalars, x: Scalar, y: Scalar) -> Scalar:
        large, small = abs(x), abs(y)
        for _ in range(_STEPS[k.dtype(x).itemsize]):
            # the remainder by 1 in the place of that by 0, which is not asked for
            is_done = small == 0
            rest = large % k.where(is_done, k.const(1, k.dtype(x)), small)
            large, small = k.where(is_done, large, small), k.where(is_done, small, rest)
        return abs(large)


@define_op
class Lcm(Derived):
    """The least common multiple of two integers, not negative; 0 if one is 0."""

    signature = "(input: Tensor, other: Tensor)"
    samples = samples(*binary(-9, 9, dtypes=dtypes.INTEGER_DTYPES, number=None)())

    def decompose(self, x: Handle, y: Handle) -> Handle:
        divisor = F.gcd(x, y)
        dtype = divisor.dtype
        # what does not fit wraps around behind the absolute value, as in PyTorch
        wide = dtypes.int32 if dtype.itemsize < 4 else dtype
        x, y, divisor = (t.to(wide) for t in (x, y, divisor))
        return (x // F.where(divisor == 0, 1, divisor) * y).abs().to(dtype)
