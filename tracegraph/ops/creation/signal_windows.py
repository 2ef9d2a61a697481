"""Windows of signal processing: weights that fall off towards the ends of a frame.

With `periodic` the window is one period of a function for spectral analysis, else it is symmetric. Formulas: Harris
(1978), "On the use of windows for harmonic analysis with the discrete Fourier transform".
"""

from __future__ import annotations

import math
from typing import Any

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, ValueRangeError
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import call, samples
from tracegraph.ops.kinds import DerivedCreation


class SignalWindow(DerivedCreation):
    """Base: `window_length` weights, float32 by default.

    Rules:
        weights(self, phase, **attrs): the window at places from 0 to 1 of its period, float64.
    """

    signature = "(window_length: int, periodic: bool = True, *, dtype: OptionalDtype = None)"
    samples = samples(call(7), call(6, False), call(1), call(0), call(5, dtype=dtypes.float64))

    def decompose(
        self, *, window_length: Dim, periodic: bool = True, dtype: DType | None = None, **attrs: Any
    ) -> Handle:
        if window_length < 0:
            raise ValueRangeError(f"{self.name}: window_length={window_length} must not be negative")
        dtype = dtype or dtypes.DEFAULT.dtype
        if not dtype.is_floating:
            raise DTypeError(f"{self.name}: expected a floating dtype, got {dtype.long_name}")
        if window_length == 1:
            return F.ones((1,), dtype=dtype)
        period = window_length if periodic else window_length - 1
        phase = F.arange(window_length, dtype=dtypes.float64) / period
        return self.weights(phase, **attrs).to(dtype)

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        """The window at these places."""
        return F.ones_like(phase)


@define_op
class HannWindow(SignalWindow):
    """The Hann window, sin(pi n / N) ** 2."""

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        return (math.pi * phase).sin().square()


@define_op
class HammingWindow(SignalWindow):
    """The Hamming window, alpha - beta cos(2 pi n / N)."""

    signature = (
        "(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, "
        "dtype: OptionalDtype = None)"
    )

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        return attrs["alpha"] - attrs["beta"] * (2 * math.pi * phase).cos()


@define_op
class BlackmanWindow(SignalWindow):
    """The Blackman window, 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        return 0.42 - 0.5 * (2 * math.pi * phase).cos() + 0.08 * (4 * math.pi * phase).cos()


@define_op
class BartlettWindow(SignalWindow):
    """The triangular window, 1 - |2 n / N - 1|."""

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        return 1 - (2 * phase - 1).abs()


@define_op
class KaiserWindow(SignalWindow):
    """The Kaiser window, I0(beta sqrt(1 - (2 n / N - 1) ** 2)) / I0(beta), of the modified Bessel function I0."""

    signature = "(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: OptionalDtype = None)"
    samples = samples(call(7), call(6, False), call(1), call(0), call(5, beta=3.0, dtype=dtypes.float64))

    def weights(self, phase: Handle, **attrs: Any) -> Handle:
        beta = abs(attrs["beta"])
        # I0(x) is the sum of ((x / 2)**k / k!)**2, whose largest terms are those near k = x / 2
        terms = int(beta) + 40
        square = (1 - (2 * phase - 1).square()).clamp(min=0) * (beta / 2) ** 2
        term, total, whole, scale = F.ones_like(phase), F.ones_like(phase), 1.0, 1.0
        for k in range(1, terms):
            term, scale = term * square / k**2, scale * (beta / 2 / k) ** 2
            total, whole = total + term, whole + scale
        return total / whole
