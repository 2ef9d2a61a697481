"""Special functions under PyTorch's names: `tracegraph.special.expit(x)`."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.ops import functional as F

#: errors of the ops speak of the functions
NAMES_ERRORS = True

digamma = psi = F.digamma
erf = F.erf
erfc = F.erfc
erfinv = F.erfinv
exp2 = F.exp2
expit = F.sigmoid
expm1 = F.expm1
gammaln = F.lgamma
log1p = F.log1p
log_softmax = F.log_softmax
logit = F.logit
logsumexp = F.logsumexp
multigammaln = F.mvlgamma
polygamma = F.polygamma
round = F.round
sinc = F.sinc
softmax = F.softmax
xlogy = F.xlogy


def entr(input: Any) -> Any:
    """-x log(x) where x is positive, 0 at 0, -inf below."""
    return F.where(input < 0, -math.inf, -F.xlogy(input, input))


def ndtr(input: Any) -> Any:
    """The distribution function of the standard normal distribution."""
    return F.erfc(input * -math.sqrt(0.5)) * 0.5


def xlog1py(input: Any, other: Any) -> Any:
    """x log(1 + y); 0 where x is 0 and y is not nan."""
    product = input * F.log1p(other)
    return F.where((input == 0) & other.isnan().logical_not(), 0.0, product)


def ndtri(input: Any) -> Any:
    """The quantile function of the standard normal distribution."""
    return F.erfinv(input * 2 - 1) * math.sqrt(2)
