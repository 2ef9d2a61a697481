"""How precisely float32 matrices are multiplied: recorded; products are always those of float32."""

from __future__ import annotations

from tracegraph.errors import ValueRangeError
from tracegraph.settings import Settings

_PRECISIONS = ("highest", "high", "medium")


class _Matmul(Settings):
    """Of the process: what was asked for."""

    questions = {"precision": "get_float32_matmul_precision()"}
    precision: str = "highest"


MATMUL = _Matmul.register()


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 matrices to be less precise, which they are not: "highest", "high" or "medium".

    Raises:
        ValueRangeError: another word.
    """
    if precision not in _PRECISIONS:
        raise ValueRangeError(f"set_float32_matmul_precision: {precision!r} must be one of {', '.join(_PRECISIONS)}")
    MATMUL.precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was last given; "highest" at first."""
    return MATMUL.precision
