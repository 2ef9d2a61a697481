"""Attention, drawing the key of its dropout from the global generator."""

from __future__ import annotations

from typing import Any

from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query @ key^T * scale + mask) @ value; see the op of this name. `dropout_p` applies always.

    `enable_gqa` repeats the heads (third dimension from the end) of key and value to as many as the query has.
    """
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    random_key = ops.next_key() if dropout_p > 0 else None
    return ops.scaled_dot_product_attention(query, key, value, attn_mask, random_key, dropout_p, is_causal, scale)
