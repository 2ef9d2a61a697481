"""Special functions on numpy arrays that numpy itself lacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _elementwise(function: Any) -> Any:
    apply = np.frompyfunc(function, 1, 1)

    def run(x: Any) -> Any:
        x = np.asarray(x)
        return np.asarray(apply(x.astype(np.float64)), dtype=x.dtype)

    return run


erf = _elementwise(math.erf)
erfc = _elementwise(math.erfc)
erfinv = _elementwise(math.erf)
lgamma = _elementwise(math.lgamma)
