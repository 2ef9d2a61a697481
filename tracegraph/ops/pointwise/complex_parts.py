"""What programs ask of complex numbers, answered for real ones."""

from __future__ import annotations

import math

from tracegraph import dtypes
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples, unary
from tracegraph.ops.kinds import Derived


@define_op
class Real(Derived):
    """The real part: the tensor itself."""

    method = False  # `x.real` is an attribute
    samples = samples(call(A((3, 5))))

    def decompose(self, x: Handle) -> Handle:
        return x


@define_op
class Conj(Derived):
    """The conjugate: the tensor itself."""

    aliases = ("conj_physical", "resolve_conj", "resolve_neg")
    samples = samples(call(A((3, 5))))

    def decompose(self, x: Handle) -> Handle:
        return x


@define_op
class Angle(Derived):
    """0, and pi of negative numbers; nan of nan. Integers become float32."""

    samples = unary(dtypes=dtypes.ALL, differentiable=False)

    def decompose(self, x: Handle) -> Handle:
        x = x if x.dtype.is_floating else x.to(dtypes.float32)
        return F.where(x.isnan(), x, F.where(x < 0, math.pi, 0.0).to(x.dtype))


@define_op
class Isreal(Derived):
    """True everywhere."""

    samples = unary(dtypes=dtypes.ALL, differentiable=False)

    def decompose(self, x: Handle) -> Handle:
        return F.ones_like(x, dtype=dtypes.bool_)
