"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from tracegraph import dtypes
from tracegraph.errors import DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Composite


@define_op
class AttentionWithKey(Composite):
    """softmax(query @ key^T * scale + mask) @ value over [..., length, features].

    `attn_mask` is bool (true: attend) or added to the scores; `is_causal` lets position i attend to 0..i. `scale`
    defaults to 1 / sqrt(features). A position that may attend to nothing gives zeros. Dropout of the weights takes
    `dropout_key`, from `next_key()`; `nn.functional.scaled_dot_product_attention` draws it.
    """

    name = "scaled_dot_product_attention"
    signature = (
        "(query: Tensor, key: Tensor, value: Tensor, attn_mask: OptionalTensor = None, "
        "dropout_key: OptionalTensor = None, dropout_p: float = 0.0, is_causal: bool = False, "
        "scale: OptionalFloat = None)"
    )
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call(A((2, 3, 4, 5)), A((2, 3, 6, 5)), A((2, 3, 6, 7))),
        call(A((2, 4, 5)), A((2, 4, 5)), A((2, 4, 5)), is_causal=True),
        call(A((2, 4, 5)), A((2, 6, 5)), A((2, 6, 5)), A((4, 6), dtype=dtypes.bool_), scale=0.3),
        call(A((2, 4, 5)), A((2, 6, 5)), A((2, 6, 5)), A((2, 4, 6))),
    )

    def infer(self, *operands: object, **attrs: Any) -> tuple[TensorType, ...]:
        query, key, value, *_ = operands
        assert isinstance(query, TensorType) and isinstance(key, TensorType) and isinstance(value, TensorType)
        check_attention(self.name, query, key, value)
        batch = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2], op=self.name)
        return (query.with_shape((*batch, query.shape[-2], value.shape[-1])),)

    def decompose(
        self, query: Handle, key: Handle, value: Handle, mask: Handle | None, dropout_key: Handle | None,
        *, dropout_p: float, is_causal: bool, scale: float | None,
    ) -> Handle:  # fmt: skip
        check_attention(self.name, query, key, value)
        if mask is not None and is_causal:
            raise ValueRangeError(f"{self.name}: pass either attn_mask or is_causal=True, not both")
        dtype, compute = query.dtype, query.dtype.compute
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        scores = (query.to(compute) * factor).matmul(key.to(compute).transpose(-2, -1))
        if is_causal:
            scores = _masked(scores, _causal_mask(query.shape[-2], key.shape[-2]))
        if mask is not None:
            scores = _masked(scores, mask)
        weights = scores.softmax(-1)
        if mask is not None:
            # rows without a finite score are nan after softmax; they attend to nothing
            dead = (scores == -math.inf).all(-1, keepdim=True)
            weights = F.where(dead, 0.0, weights)
        if dropout_key is not None:
            weights = F.dropout_with_key(weights, dropout_key, dropout_p)
        return weights.matmul(value.to(compute)).to(dtype)


def _causal_mask(queries: Any, keys: Any) -> Handle:
    rows = F.arange(queries, dtype=dtypes.int64).unsqueeze(1)
    return rows >= F.arange(keys, dtype=dtypes.int64)


def _masked(scores: Handle, mask: Handle) -> Handle:
    return F.where(mask, scores, -math.inf) if mask.dtype.is_bool else scores + mask.to(scores.dtype)


def check_attention(op: str, query: Any, key: Any, value: Any) -> None:
    """Check three handles or types.

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    named = {"query": query, "key": key, "value": value}
    for name, t in named.items():
        if len(t.shape) < 2:
            raise ShapeError(f"{op}: {name} {describe(t)} must have the dimensions [..., length, features]")
        if t.dtype is not query.dtype or not t.dtype.is_floating:
            raise DTypeError(
                f"{op}: query {describe(query)}, key {describe(key)} and value {describe(value)} must have one "
                "floating dtype; convert them with .to(...)"
            )
    if not equal(query.shape[-1], key.shape[-1]):
        raise ShapeError(
            f"{op}: query {describe(query)} and key {describe(key)} must have equally many features (last dimension)"
        )
    if not equal(key.shape[-2], value.shape[-2]):
        raise ShapeError(
            f"{op}: key {describe(key)} and value {describe(value)} must have equal lengths (next to last dimension)"
        )
