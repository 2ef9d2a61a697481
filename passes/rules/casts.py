"""Conversions that meet."""

from __future__ import annotations

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.passes.rewrite import Bindings, Rule


def holds_all(wide: DType, narrow: DType) -> bool:
    """Whether `wide` represents every value of `narrow`."""
    if wide is narrow or narrow.is_bool:
        return True
    if wide.is_floating and narrow.is_floating:
        return dtypes.promote_types(wide, narrow) is wide
    if wide.is_floating:
        return narrow.itemsize * 8 <= _MANTISSA_BITS[wide]
    return wide.is_integer and narrow.is_integer and dtypes.promote_types(wide, narrow) is wide


_MANTISSA_BITS = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24, dtypes.float64: 53}


def passes_through(bindings: Bindings) -> bool:
    """Whether the first of two conversions loses nothing, so that the second may start from the original."""
    return holds_all(bindings["q"], bindings["x"].type.dtype)


RULES = (
    # to the dtype it has
    Rule("cast(x, dtype=p) -> x", when=lambda b: b["x"].type.dtype is b["p"]),
    # there and on, through a wider dtype
    Rule("cast(cast(x, dtype=q), dtype=p) -> cast(x, dtype=p)", when=passes_through, mixed=True),
)
