"""erf and erfc.

erfc(x) = exp(-x**2) g(t) / (1 + 2 x) with t = (x - 4) / (x + 4): the scaled function is smooth in t over
the whole half axis (Shepherd and Laframboise, Math. Comp. 36, 1981).
"""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import Register
from tracegraph.codegen.vector_math.exponential import exp_normal
from tracegraph.codegen.vector_math.registry import call_math, math_function, register_through_double

# erf(x) / x - 1 in x**2 on |x| <= 0.927, relative error of erf 2**-30
_SMALL_F32 = (
    7.996527710929513e-05,
    -0.0008049755124375224,
    0.005192404612898827,
    -0.02685573138296604,
    0.11283625662326813,
    -0.3761262893676758,
    0.12837916612625122,
)
# -log(erfc(x)) on [0.92, 4], error of erf 2**-32
_LARGE_F32 = (
    2.1741951059084386e-05,
    -0.000440556148532778,
    0.004194387700408697,
    -0.025165902450680733,
    0.10833097994327545,
    0.6333178281784058,
    1.1295217275619507,
    -0.00017469759040977806,
)
# erf(x) / x - 1 in x**2 on |x| <= 1, relative error of erf 2**-54.6
_SMALL_F64 = (
    -7.572964773123526e-10,
    1.3601106989747473e-08,
    -1.6181092093656236e-07,
    1.6443861940031613e-06,
    -1.4924449162718818e-05,
    0.00012055279963487209,
    -0.0008548325476028192,
    0.005223977596670477,
    -0.026866170641957125,
    0.1128379167093695,
    -0.37612638903183343,
    0.12837916709551256,
)
# (1 + 2 x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4) on 0 <= x <= 28, relative error 2**-54.2
_SCALED_COMPLEMENT = (
    -1.7175222236553585e-09,
    -1.3386000237128503e-08,
    -7.779014085852046e-09,
    1.1456054046287119e-07,
    6.238893803634992e-08,
    -8.342394227671386e-07,
    3.0195685295339874e-07,
    5.717294527917005e-06,
    -1.1225283461629146e-05,
    -2.4402941169124184e-05,
    0.0001506224717832605,
    -0.00019925556137074537,
    -0.0007577734049238907,
    0.005031969763592382,
    -0.01619773404841375,
    0.03716751556184922,
    -0.06633036581256492,
    0.09373283499682411,
    -0.10103906603630111,
    0.06809705425473658,
    0.015379652102619764,
    -0.1396211168405629,
    1.2329951186255526,
)
_CUT_F32 = 0.92
_CUT_F64 = 1.0
# up to here erfc is best had from erf
_COMPLEMENT_CUT = 0.6
# beyond this erfc underflows to zero
_COMPLEMENT_LIMIT = 28.0


def _erf_small(x: Register, polynomial: tuple[float, ...]) -> Register:
    return ops.fma(ops.horner(x * x, polynomial), x, x)


def _complement(magnitude: Register) -> Register:
    """erfc of a number that is not negative, in f64."""
    x = ops.select(ops.compare("ogt", magnitude, _COMPLEMENT_LIMIT), _COMPLEMENT_LIMIT, magnitude)
    scaled = ops.horner((x - 4.0) / (x + 4.0), _SCALED_COMPLEMENT) / ops.fma(x, x.like(2.0), 1.0)
    square, lost = ops.two_product(x, x)
    scaled = ops.fma(scaled, -lost, scaled)
    return call_math("exp", -square) * scaled


@math_function("erf", "float", ulp=1.2)
def erf_f32(x: Register) -> Register:
    """Error function in f32, at most 1.2 ulp; keeps the sign of zero."""
    magnitude = ops.fabs(x)
    limited = ops.select(ops.compare("ogt", magnitude, 4.0), 4.0, magnitude)
    large = ops.copysign(1.0 - exp_normal(-ops.horner(limited, _LARGE_F32)), x)
    return ops.select(ops.compare("olt", magnitude, _CUT_F32), _erf_small(x, _SMALL_F32), large)


@math_function("erf", "double", ulp=1.5)
def erf_f64(x: Register) -> Register:
    """Error function in f64, at most 1.5 ulp; keeps the sign of zero."""
    magnitude = ops.fabs(x)
    large = ops.copysign(1.0 - _complement(magnitude), x)
    return ops.select(ops.compare("olt", magnitude, _CUT_F64), _erf_small(x, _SMALL_F64), large)


@math_function("erfc", "double", ulp=6.0)
def erfc_f64(x: Register) -> Register:
    """Complementary error function in f64, at most 6 ulp out to where it underflows."""
    magnitude = ops.fabs(x)
    tail = _complement(magnitude)
    tail = ops.select(ops.compare("olt", x, 0.0), 2.0 - tail, tail)
    is_small = ops.compare("olt", magnitude, _COMPLEMENT_CUT)
    return ops.select(is_small, 1.0 - _erf_small(x, _SMALL_F64), tail)


register_through_double("erfc")
