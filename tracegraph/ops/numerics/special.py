"""Special functions on numpy arrays that numpy itself lacks: erf, erfc, erfinv, lgamma.

Each is a few polynomials, evaluated by Horner's rule over whole arrays. The coefficients, lowest power first, are
Chebyshev interpolants of the functions named beside them, computed with 60 digits; the polynomials' variable is the
interval scaled to [-1, 1]. float32 has shorter tables where that pays. Errors are a few units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegraph.ops.numerics.quiet import quiet

#: elements worked on at a time: intermediate results stay in the cache
BLOCK = 8192

Coefficients = tuple[float, ...]


def _blockwise(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    """The function on arrays of any shape, in float32 or float64, one block after the other."""

    def run(x: Any) -> Any:
        x = np.asarray(x)
        flat = np.ascontiguousarray(x).reshape(-1)
        result = np.empty_like(flat)
        with quiet():
            for start in range(0, flat.size, BLOCK):
                result[start : start + BLOCK] = function(flat[start : start + BLOCK])
        return result.reshape(x.shape)

    run.__name__ = function.__name__.lstrip("_")
    run.__doc__ = function.__doc__
    return run


def _polynomial(x: np.ndarray, low: float, high: float, coefficients: Coefficients) -> np.ndarray:
    """The polynomial with these coefficients in x, scaled from [low, high] to [-1, 1]."""
    t = x * (2 / (high - low)) - (high + low) / (high - low)
    total = t * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        total += c
        total *= t
    total += coefficients[0]
    return total


# --------------------------------------------------------------------------------------------- erf, erfc

# erf(x) / x as a function of x**2 in [0, 1]
_ERF_64 = (
    0.9654687386698673,
    -0.1405360890227171,
    0.019852496688984218,
    -0.0022854855611441132,
    0.00021751715603563404,
    -1.7537169441124826e-05,
    1.2233827638116999e-06,
    -7.51156928660089e-08,
    4.115751497588646e-09,
    -2.035228404899467e-10,
    9.211251258348265e-12,
    -3.8078827395263415e-13,
)
_ERF_32 = (
    0.965468739,
    -0.140536097,
    0.0198524977,
    -0.00228541953,
    0.00021751199,
    -1.76690808e-05,
    1.23164017e-06,
)
# exp(x**2) erfc(x) (x + 3) as a function of 1 / (x + 3), for x in [1, 28] and [1, 11], beyond which erfc is 0
_ERFC_64 = (
    0.9514522659706822,
    0.4721123627851631,
    0.19772665494303532,
    0.06788244453436545,
    0.018008414533197094,
    0.003160534528457961,
    0.00012517713872396748,
    -0.00011057158195455247,
    -2.663663757736613e-05,
    1.903313717829318e-06,
    1.8187015427085517e-06,
    5.7592961859463357e-08,
    -1.200949697497612e-07,
    -1.0114127774823992e-08,
    8.867926549046568e-09,
    8.52933975287234e-10,
    -7.105240959617868e-10,
    -4.522514424213984e-11,
    4.4898662392854987e-11,
)
_ERFC_32 = (
    1.043196,
    0.451286616,
    0.160101977,
    0.0451605273,
    0.00944875773,
    0.00119026901,
    -1.16701305e-05,
    -3.44264212e-05,
    -3.74731557e-06,
)


def _central(x: np.ndarray) -> np.ndarray:
    """erf(x) for |x| <= 1."""
    return x * _polynomial(x * x, 0, 1, _ERF_32 if x.dtype == np.float32 else _ERF_64)


def _tail(x: np.ndarray) -> np.ndarray:
    """erfc(x) for x >= 1."""
    end, coefficients = (11.0, _ERFC_32) if x.dtype == np.float32 else (28.0, _ERFC_64)
    x = np.minimum(x, x.dtype.type(end))
    s = 1 / (x + 3)
    # x**2 rounded would cost exp its last digits: split x so that the square of the greater part is exact
    integer, low = (np.int32, 12) if x.dtype == np.float32 else (np.int64, 27)
    high = np.bitwise_and(x.view(integer), integer(-1 << low)).view(x.dtype)
    gauss = np.exp(-high * high) * np.exp((high - x) * (high + x))
    return gauss * s * _polynomial(s, 1 / (end + 3), 1 / 4, coefficients)


@_blockwise
def erf(x: np.ndarray) -> np.ndarray:
    """Error function."""
    size = np.abs(x)
    small = _central(np.clip(x, -1, 1))
    return np.where(size <= 1, small, np.copysign(1 - _tail(np.maximum(size, 1)), x))


@_blockwise
def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), accurate in its small values."""
    tail = _tail(np.maximum(np.abs(x), 1))
    return np.where(np.abs(x) <= 1, 1 - _central(np.clip(x, -1, 1)), np.where(x < 0, 2 - tail, tail))


# --------------------------------------------------------------------------------------------- erfinv

# erfinv(x) / x as a function of w = -log(1 - x**2) in [0, 6], and of sqrt(w) in [2.4, 6.1]
_ERFINV = (
    1.6235420064648298,
    0.7248912124984749,
    -0.05164321698905084,
    -0.02257690797655647,
    0.015799967277376776,
    -0.003090090701080893,
    -0.0012742935259977249,
    0.0009841181239339128,
    -0.0001554217569144949,
    -0.00010761047365987123,
    6.559161193847269e-05,
    -5.566984073222506e-06,
    -9.20957918875791e-06,
    4.3031321386016135e-06,
    3.0750612173801464e-08,
    -7.596720096329073e-07,
    2.7107728194861237e-07,
    3.560275732652815e-08,
    -6.110489785904996e-08,
    1.4815482668103312e-08,
    5.882669075385817e-09,
    -4.0372191375261565e-09,
    1.4802320446071146e-10,
    3.9795055220256047e-10,
    -7.778512164474305e-11,
)
_ERFINV_TAIL = (
    4.09222342366813,
    1.86845981274831,
    0.0024393867812613013,
    -0.003848957020001643,
    0.0024853332673395708,
    -0.0013959751958205128,
    0.0008811715539269778,
    -0.0007563140975234152,
    0.0007967964840248519,
    -0.0008150967507271088,
    0.0006997456905788249,
    -0.0004475567832838626,
    0.00015004355499713783,
    7.586112856359224e-05,
    -0.0001661494263976502,
    0.00013756926285663084,
    -5.697585994315979e-05,
    -8.257503102182728e-06,
    2.8662392807553406e-05,
    -1.9961678278579628e-05,
    8.620331515299172e-06,
    -1.2001484417957288e-06,
    -3.816431795416569e-06,
    3.7143312770947597e-06,
    -5.399677092091393e-07,
    -7.129236780521742e-07,
    2.595281206242687e-07,
)


@_blockwise
def erfinv(x: np.ndarray) -> np.ndarray:
    """The inverse of erf."""
    wide = x.astype(np.float64)
    w = -np.log((1 - wide) * (1 + wide))
    result = wide * _polynomial(w, 0, 6, _ERFINV)
    far = w > 6
    if far.any():
        result[far] = wide[far] * _polynomial(np.sqrt(w[far]), 2.4, 6.1, _ERFINV_TAIL)
    result[np.abs(wide) == 1] = math.inf
    return np.copysign(result, wide).astype(x.dtype)


# --------------------------------------------------------------------------------------------- lgamma

# lgamma(x) / ((x - 1) (x - 2)) as a function of x - 2 in [-1, 1], and lgamma(x) for x in [3, 8]
_LGAMMA_1_3 = (
    0.42278433509846713,
    -0.10031730167435422,
    0.032965000621156974,
    -0.012384192193334375,
    0.004998641164623283,
    -0.002108130835268435,
    0.0009153769241238952,
    -0.00040570737581328186,
    0.00018255261441838105,
    -8.309532779844489e-05,
    3.81690832831345e-05,
    -1.7660513220920708e-05,
    8.221205092155423e-06,
    -3.851745589307298e-06,
    1.8114769634727658e-06,
    -8.415314379954077e-07,
    3.95720794275161e-07,
    -2.1198058876068515e-07,
    1.0444285443279689e-07,
    -1.8782633004145104e-08,
    5.68873795385758e-09,
    -2.99246932704989e-08,
    1.6327287432845006e-08,
    7.63280367498139e-09,
    -4.358862409072515e-09,
    -3.0588517405592795e-09,
    1.5818126337371086e-09,
)
_LGAMMA_3_8 = (
    3.9578139676187165,
    4.027732871454377,
    0.6229449593425865,
    -0.10314830083671965,
    0.02553807401672843,
    -0.007563969760424914,
    0.002481750739252266,
    -0.0008698740141974956,
    0.00031923444870724513,
    -0.0001211613671272377,
    4.717387003760538e-05,
    -1.8736393318226595e-05,
    7.560901732840908e-06,
    -3.0913821208663793e-06,
    1.2773842872976166e-06,
    -5.309228233999001e-07,
    2.22692658251224e-07,
    -9.700728763548304e-08,
    4.162307717709667e-08,
    -1.4069171474956058e-08,
    5.668969859654879e-09,
    -5.686880476132719e-09,
    2.6722944988799287e-09,
    6.913054975483274e-10,
    -3.7538082452461755e-10,
    -4.528773990510162e-10,
    2.0901230812449484e-10,
)
# Stirling's series: B_2k / (2k (2k - 1)) for powers of 1 / x**2
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)


@_blockwise
def lgamma(x: np.ndarray) -> np.ndarray:
    """Logarithm of |gamma(x)|."""
    wide = x.astype(np.float64)
    result = np.full_like(wide, math.nan)
    positive = wide > 0
    result[positive] = _lgamma_positive(wide[positive])
    negative = wide <= 0
    if negative.any():
        result[negative] = _lgamma_negative(wide[negative])
    return (result + 0.0).astype(x.dtype)  # the zeros at 1 and 2 are positive


def _lgamma_positive(x: np.ndarray) -> np.ndarray:
    result = np.empty_like(x)
    below, near, middle, far = x < 1, (x >= 1) & (x < 3), (x >= 3) & (x < 8), x >= 8
    # lgamma(x) = lgamma(x + 1) - log(x); the argument less 2 is x - 1, exact where lgamma is near 0
    result[below] = _lgamma_near_two(x[below] - 1) - np.log(x[below])
    result[near] = _lgamma_near_two(x[near] - 2)
    result[middle] = _polynomial(x[middle], 3, 8, _LGAMMA_3_8)
    result[far] = _stirling(x[far])
    return result


def _lgamma_near_two(y: np.ndarray) -> np.ndarray:
    """lgamma(2 + y) for |y| <= 1."""
    return y * (y + 1) * _polynomial(y, -1, 1, _LGAMMA_1_3)


def _stirling(x: np.ndarray) -> np.ndarray:
    finite = np.minimum(x, 1e306)
    inverse = 1 / finite
    square = inverse * inverse
    total = np.full_like(x, _STIRLING[-1])
    for c in _STIRLING[-2::-1]:
        total = total * square + c
    leading = (finite - 0.5) * np.log(finite) - finite + 0.5 * math.log(2 * math.pi)
    return np.where(x > 2e305, math.inf, leading + total * inverse)


def _lgamma_negative(x: np.ndarray) -> np.ndarray:
    """By reflection: |gamma(x) gamma(1 - x)| = pi / |sin(pi x)|; infinite at the poles."""
    sine = np.abs(np.sin(math.pi * (x - np.rint(x))))
    reflected = math.log(math.pi) - np.log(sine) - _lgamma_positive(1 - x)
    return np.where((x == np.rint(x)) | np.isinf(x), math.inf, reflected)
