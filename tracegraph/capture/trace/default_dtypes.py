"""`set_default_dtype` in a trace: what is recorded under another default dtype than the graph's names its dtypes.

tg.set_default_dtype(tg.float64)
tg.ones(2), n / 2                 -->   %0: f64[2] = ones(size=[2], dtype=f64)
                                        %1: f64[3] = cast(%n, dtype=f64)
                                        %2: f64[3] = div(%1, 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracegraph import dtypes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.dtypes import DType
from tracegraph.errors import TracegraphError
from tracegraph.ir import TensorType
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Traced

Operands = tuple[Any, ...]
Attributes = dict[str, Any]
Types = tuple[TensorType, ...]


def with_own_dtypes(
    op: Definition, operands: Operands, attrs: Attributes, default: DType
) -> tuple[Operands, Attributes]:
    """A call that gives now what it gives where the default dtype is `default`.

    Raises:
        Break: there is none.
    """
    if dtypes.DEFAULT.is_now(default):
        return operands, attrs
    wanted = _types(op, operands, attrs, dtypes.DEFAULT.dtype)
    for made in _spelled_out(operands, attrs, wanted):
        if wanted is None or _types(op, *made, default) == wanted:
            return made
    raise Break(reasons.SIDE_EFFECT_CALL, f"{op.name}() under another default dtype")


def _spelled_out(operands: Operands, attrs: Attributes, wanted: Types | None) -> Iterator[tuple[Operands, Attributes]]:
    """The call as it is, with the dtype of its result, then with that of its operands, for the default."""
    yield operands, attrs
    if wanted is not None and "dtype" in attrs and attrs["dtype"] is None:
        yield operands, {**attrs, "dtype": wanted[0].dtype}
    yield _as_floats(operands, of_ints_only=True), attrs
    yield _as_floats(operands, of_ints_only=False), attrs


def _types(op: Definition, operands: Operands, attrs: Attributes, default: DType) -> Types | None:
    """The types of the results under a default dtype; None if the op refuses the operands."""
    before, dtypes.DEFAULT.dtype = dtypes.DEFAULT.dtype, default
    try:
        return op.infer(*(o.type if type(o) is Traced else o for o in operands), **attrs)
    except TracegraphError:
        return None
    finally:
        dtypes.DEFAULT.dtype = before


def _as_floats(operands: Operands, of_ints_only: bool) -> Operands:
    """The operands with tensors of ints, or of ints and bools, as tensors of the default dtype."""
    return tuple(
        o.to(dtypes.DEFAULT.dtype)
        if type(o) is Traced and (o.dtype.is_integer or (o.dtype.is_bool and not of_ints_only))
        else o
        for o in operands
    )
