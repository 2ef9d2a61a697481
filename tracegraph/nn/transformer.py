"""Layers of the Transformer (Vaswani et al., 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tracegraph.errors import ValueRangeError
from tracegraph.nn import functional as F
from tracegraph.nn import init
from tracegraph.nn.arguments import check_sizes
from tracegraph.nn.attention import MultiheadAttention
from tracegraph.nn.containers import ModuleList
from tracegraph.nn.dropout import Dropout
from tracegraph.nn.linear import Linear
from tracegraph.nn.module import Module
from tracegraph.nn.normalization import LayerNorm
from tracegraph.ops import functional as ops

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": F.relu, "gelu": F.gelu}


def _activation(given: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    if callable(given):
        return given
    if given not in _ACTIVATIONS:
        raise ValueRangeError(f"activation={given!r} must be 'relu', 'gelu' or a function")
    return _ACTIVATIONS[given]


class _Layer(Module):
    """What encoder and decoder layers share: each part (attentions, then feed-forward) has a normalisation and a
    dropout of its own, numbered from 1 in the order of the parts.
    """

    #: names of the attentions, in the order they are applied
    attentions: tuple[str, ...]

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, at_least=1, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device=device, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device=device, dtype=dtype)
        self.norm_first = norm_first
        parts = range(1, len(self.attentions) + 2)
        for part in parts:
            self.add_module(f"norm{part}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for part in parts:
            self.add_module(f"dropout{part}", Dropout(dropout))
        self.activation = _activation(activation)

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalisation.

    `norm_first` normalises before each part instead of after it.
    """

    attentions = ("self_attn",)

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        if self.norm_first:
            src = src + self._attention(self.norm1(src), src_mask, src_key_padding_mask, is_causal)
            return src + self.dropout2(self._feed_forward(self.norm2(src)))
        src = self.norm1(src + self._attention(src, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(src + self.dropout2(self._feed_forward(src)))

    def _attention(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        attended, _ = self.self_attn(
            x, x, x, key_padding_mask=padding, need_weights=False, attn_mask=mask, is_causal=is_causal
        )
        return self.dropout1(attended)


class TransformerDecoderLayer(_Layer):
    """As the encoder layer, with attention to the encoder's output between its two parts."""

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = self.norm1(tgt)
            tgt = tgt + self.dropout1(_attended(self.self_attn, x, x, *own))
            tgt = tgt + self.dropout2(_attended(self.multihead_attn, self.norm2(tgt), memory, *other))
            return tgt + self.dropout3(self._feed_forward(self.norm3(tgt)))
        tgt = self.norm1(tgt + self.dropout1(_attended(self.self_attn, tgt, tgt, *own)))
        tgt = self.norm2(tgt + self.dropout2(_attended(self.multihead_attn, tgt, memory, *other)))
        return self.norm3(tgt + self.dropout3(self._feed_forward(tgt)))


def _attended(attention: MultiheadAttention, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    return attention(
        x, memory, memory, key_padding_mask=padding, need_weights=False, attn_mask=mask, is_causal=is_causal
    )[0]


class TransformerEncoder(Module):
    """A stack of `num_layers` copies of an encoder layer, and an optional normalisation after it.

    `enable_nested_tensor` and `mask_check` choose among PyTorch's ways of computing the same; there is one here.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(self, num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of `num_layers` copies of a decoder layer, and an optional normalisation after it."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        check_sizes(self, num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(self, tgt: Any, memory: Any, *args: Any, **kwargs: Any) -> Any:
        """See `TransformerDecoderLayer.forward` for the masks."""
        for layer in self.layers:
            tgt = layer(tgt, memory, *args, **kwargs)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, each with a normalisation at its end; all matrices start as `xavier_uniform_` has them.

    Shapes of `src`, `tgt` and the result: [sequence, batch, d_model], with `batch_first` [batch, sequence, d_model].
    """

    def __init__(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        own = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, *own), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, *own), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(  # noqa: PLR0913, PLR0917 - PyTorch's arguments
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """See `TransformerDecoderLayer.forward` for the masks."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, bool(src_is_causal))
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            bool(tgt_is_causal),
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """A mask [sz, sz] of 0 up to the diagonal and -inf behind it."""
        full = ops.full((sz, sz), float("-inf"), dtype=dtype, device=device)
        return full.triu(1)
