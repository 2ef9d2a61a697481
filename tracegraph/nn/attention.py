"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.nn import functional as F
from tracegraph.nn import init
from tracegraph.nn.arguments import check_probabilities, check_sizes
from tracegraph.nn.linear import Linear
from tracegraph.nn.module import Module
from tracegraph.nn.parameter import Parameter
from tracegraph.nn.sdpa_backends import SDPBackend, sdpa_kernel
from tracegraph.ops import functional as ops

__all__ = ["MultiheadAttention", "SDPBackend", "sdpa_kernel"]


class MultiheadAttention(Module):
    """Attention by several heads on learned projections of query, key and value.

    Sequences are [L, N, embed_dim], with `batch_first` [N, L, embed_dim], or [L, embed_dim]. In masks, unlike in
    `scaled_dot_product_attention`, true means: do not attend.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, at_least=1, embed_dim=embed_dim, num_heads=num_heads)
        check_sizes(self, **{name: size for name, size in (("kdim", kdim), ("vdim", vdim)) if size is not None})
        check_probabilities(self, dropout=dropout)
        if embed_dim % num_heads:
            raise ValueRangeError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        together = self.kdim == embed_dim and self.vdim == embed_dim
        shapes = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if together else None,
            "q_proj_weight": None if together else (embed_dim, embed_dim),
            "k_proj_weight": None if together else (embed_dim, self.kdim),
            "v_proj_weight": None if together else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(
                name, None if shape is None else Parameter(ops.empty(shape, device=device, dtype=dtype))
            )
        self.out_proj = Linear(embed_dim, embed_dim, bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if self._parameters[name] is not None:
                init.xavier_uniform_(self._parameters[name])
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """The attended values and, if asked for, the attention weights (averaged over the heads).

        Args:
            key_padding_mask: [N, S], true for keys to leave out (or added to the scores).
            attn_mask: [L, S] or [N * num_heads, L, S], true for pairs to leave out (or added to the scores).
            is_causal: a position attends to itself and those before it; without `attn_mask`.
        """
        batched = query.ndim == 3
        if not batched:
            query, key, value = (t.unsqueeze(1) for t in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        if query.ndim != 3 or query.shape[-1] != self.embed_dim:
            raise ShapeError(
                f"MultiheadAttention: a query of shape {list(query.shape)} must end in embed_dim={self.embed_dim}"
            )
        mask = self._mask(query, key, key_padding_mask, attn_mask, is_causal)
        q, k, v = (self._heads(t) for t in self._project(query, key, value))
        rate = self.dropout if self.training else 0.0
        if need_weights:
            output, weights = _attend(q, k, v, mask, rate)
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            output, weights = F.scaled_dot_product_attention(q, k, v, mask, rate), None
        length, batch = query.shape[0], query.shape[1]
        joined = output.permute(2, 0, 1, 3).reshape((length, batch, self.embed_dim))
        output = self.out_proj(joined)
        if not batched:
            return output.squeeze(1), None if weights is None else weights.squeeze(0)
        return (output.transpose(0, 1) if self.batch_first else output), weights

    def _project(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        bias = self.in_proj_bias
        if self.in_proj_weight is not None and query is key and key is value:
            return F.linear(query, self.in_proj_weight, bias).chunk(3, -1)
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.chunk(3, 0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None, None, None) if bias is None else bias.chunk(3, 0)
        q, k, v = (F.linear(t, w, b) for t, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def _heads(self, x: Any) -> Any:
        """[L, N, embed_dim] as [N, heads, L, head_dim]."""
        return x.reshape((x.shape[0], x.shape[1], self.num_heads, self.head_dim)).permute(1, 2, 0, 3)

    def _mask(self, query: Any, key: Any, key_padding_mask: Any, attn_mask: Any, is_causal: bool) -> Any:
        """All masks as one to add to the scores, or None."""
        if is_causal and attn_mask is None:
            rows = ops.arange(query.shape[0]).unsqueeze(1)
            attn_mask = ops.arange(key.shape[0]) > rows
        total = None
        if attn_mask is not None:
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.reshape((query.shape[1], self.num_heads, *attn_mask.shape[1:]))
            total = _additive(attn_mask, query)
        if key_padding_mask is not None:
            padding = _additive(key_padding_mask, query).unsqueeze(1).unsqueeze(1)
            total = padding if total is None else total + padding
        return total


def _additive(mask: Any, like: Any) -> Any:
    if not mask.dtype.is_bool:
        return mask.to(like.dtype)
    return ops.where(mask, -math.inf, ops.zeros((), dtype=like.dtype))


def _attend(q: Any, k: Any, v: Any, mask: Any, dropout: float) -> tuple[Any, Any]:
    """Attention that also returns its weights."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))).matmul(k.transpose(-2, -1))
    if mask is not None:
        scores = scores + mask
    weights = F.dropout(scores.softmax(-1), dropout, dropout > 0)
    return weights.matmul(v), weights
