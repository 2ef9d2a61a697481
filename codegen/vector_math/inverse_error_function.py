"""erfinv, the inverse of erf.

With w = -log(1 - x**2), erfinv(x) / x is a smooth function of w, and of sqrt(w) in the tails (Giles, GPU Computing Gems
Jade, 2012).
"""

from __future__ import annotations

import math

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.logarithm import log_positive
from tracegraph.codegen.vector_math.registry import math_function, register_through_double

# erfinv(x) / x in w - 3.125 on w <= 6.25, relative error 2**-52.2
_CENTRE = (
    -4.323134581548819e-21,
    -1.6926292653436667e-19,
    1.322197859263412e-18,
    1.1197006869049377e-17,
    -1.341570251225304e-16,
    2.0106052974605826e-17,
    6.648591657117321e-15,
    -4.053491950365385e-14,
    -8.160792690658117e-14,
    2.6334276810177182e-12,
    -1.297467379684621e-11,
    -5.4153728918951935e-11,
    1.0512107460237812e-09,
    -4.112635157683093e-09,
    -2.907036680084322e-08,
    4.234787804063869e-07,
    -1.3654692038781393e-06,
    -1.388252336489807e-05,
    0.00018673420803638633,
    -0.0007407025341653065,
    -0.006033670871430703,
    0.2401581824255895,
    1.653654562683103,
)
# in sqrt(w) - 3.25 on 6.25 <= w <= 16, relative error 2**-52.2
_TAIL = (
    3.2296452390688848e-09,
    9.087636343887959e-08,
    -2.7774975618363655e-07,
    1.7949248641731656e-08,
    1.5054604417631487e-06,
    -4.013577767958807e-06,
    2.9218965269549397e-06,
    1.2475151089914394e-05,
    -4.7317715569211294e-05,
    6.828489769837592e-05,
    2.40310104391633e-05,
    -0.00035503752826868807,
    0.0009532893906579533,
    -0.0016882755553066684,
    0.0024914420955107195,
    -0.0037512085075984383,
    0.00537091455360262,
    1.0052589676941597,
    3.0838856104922203,
)
# in sqrt(w) - 5.05 on 16 <= w <= 37, relative error 2**-51.3
_FAR_TAIL = (
    -8.937216495851802e-12,
    -2.4955207011781544e-10,
    1.2501546470267596e-09,
    -2.8992767642110656e-09,
    5.550954491962715e-09,
    -1.0929852661881428e-08,
    2.2010155932288497e-08,
    -5.50953926017719e-08,
    2.0153699337968187e-07,
    -9.070315663703663e-07,
    4.193873948571584e-06,
    -1.8374545737254446e-05,
    7.124031291631847e-05,
    -0.00020031200592348768,
    -0.00016985809137264903,
    1.0102850175977547,
    4.900421051443639,
)


@math_function("erfinv", "double", ulp=6.0)
def erfinv_f64(x: Register) -> Register:
    """Inverse error function in f64, at most 6 ulp; infinite at 1 and -1, nan beyond, keeps the sign of zero."""
    magnitude = ops.fabs(x)
    inside = ops.compare("olt", magnitude, 1.0)
    limited = ops.select(inside, magnitude, 0.0)
    w = -log_positive((1.0 - limited) * (1.0 + limited))
    root = ops.sqrt(w)
    tail = ops.select(ops.compare("olt", w, 16.0), ops.horner(root - 3.25, _TAIL), ops.horner(root - 5.05, _FAR_TAIL))
    ratio = ops.select(ops.compare("olt", w, 6.25), ops.horner(w - 3.125, _CENTRE), tail)
    outside = ops.select(ops.compare("oeq", magnitude, 1.0), x.like(math.inf), math.nan)
    return ops.copysign(ops.select(inside, limited * ratio, outside), x)


register_through_double("erfinv")
