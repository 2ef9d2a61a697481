"""Immutable data that is no int, float or text: fractions, decimals, dates, types, and functions of plain data."""

from __future__ import annotations

import datetime
import decimal
import fractions
import json
import os
import struct
import sys

from captured import ramp

import tracegraph as tg
from programs import program

HALF = fractions.Fraction(1, 2)
PRICE = decimal.Decimal("1.50")
PAUSE = datetime.timedelta(seconds=90)
DAY = datetime.date(2024, 2, 29)


@program()
def rational_numbers(x):
    f = fractions.Fraction(1, 3) + HALF
    return x * float(f), f.numerator, f > 0, str(f), f.limit_denominator(2), int(HALF * 4), HALF, round(f, 1), -f


@program()
def decimal_numbers(x):
    d = decimal.Decimal("0.1") + decimal.Decimal("0.2")
    return x * float(PRICE), d == decimal.Decimal("0.3"), str(d), f"{PRICE:.1f}", PRICE.quantize(decimal.Decimal("1"))


@program()
def dates(x):
    return x * PAUSE.total_seconds(), (DAY + datetime.timedelta(days=1)).isoformat(), DAY.year, DAY < datetime.date.max


@program(lambda: (ramp(), decimal.Decimal("1.5")), lambda: (ramp(), decimal.Decimal("1.50")))
def equal_decimals_of_other_form(x, d):
    return x, str(d)


@program()
def documents(x):
    options = json.loads('{"a": 2, "b": [1, null]}')
    return x * options["a"], json.dumps({"a": [1, 2.5, None, True]}, sort_keys=True), json.dumps([1], indent=2), options


@program(breaks=("native-call",))
def document_of_a_tensor(x):
    try:
        return json.dumps({"a": x})
    except TypeError as e:
        return str(e)


@program()
def packed(x):
    return x * struct.unpack("<i", b"\x03\0\0\0")[0], struct.pack("<if", 1, 2.0), struct.calcsize("<if")


@program()
def paths(x):
    return x, os.path.join("a", "b.txt"), os.path.splitext("b.txt"), os.path.basename("a/b"), os.path.dirname("a/b")


@program()
def the_interpreter(x):
    return x, sys.version_info >= (3, 8), sys.version_info.major, sys.float_info.epsilon, list[int], int | None


@program(lambda: (ramp(),), lambda: (ramp().to(tg.float64),))
def dtypes(x):
    wide = tg.promote_types(x.dtype, tg.float64)
    limits = tg.finfo(x.dtype), tg.iinfo(tg.int32)
    return x.to(wide), tg.can_cast(tg.float32, tg.int32), tg.result_type(x, 1.0), limits[0].eps, limits[1].max


@program(lambda: (ramp(), bytearray(b"ab")), lambda: (ramp(), bytearray(b"cd")), breaks=("unsupported-value",))
def bytes_that_change(x, b):
    return x * b[0], bytearray(b"q")
