"""Whether a call may take an operand in another form: a number for a tensor of it, a tensor yet to be broadcast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracegraph.ir import Operand, Value
from tracegraph.ops.kinds import Pointwise


def computes_alike(
    op: Pointwise, before: Sequence[Operand], after: Sequence[Operand], attrs: Mapping[str, object]
) -> bool:
    """Whether a call gives results of one type, computed in the same dtypes, for both lists of operands.

    Type promotion treats numbers, 0-d tensors and others differently, so this is to be asked even where the
    elements are the same.
    """
    old, new = _types_of(before), _types_of(after)
    return op.operand_dtypes(old) == op.operand_dtypes(new) and op.infer(*old, **attrs) == op.infer(*new, **attrs)


def _types_of(operands: Sequence[Operand]) -> tuple[object, ...]:
    """Operands as `Op.infer` takes them."""
    return tuple(o.type if isinstance(o, Value) else o for o in operands)
