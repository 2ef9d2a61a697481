"""T5 (Raffel et al. 2019, arXiv:1910.10683): an encoder-decoder with relative position buckets.

    python examples/models/t5.py

trains a small one to restore spans cut out of the standard library's text, then decodes greedily with the cache, eager
and compiled.
"""

from __future__ import annotations

import copy
import math
import sys
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from support.data import CharacterText
from support.training import train

import tracegraph as tg
from tracegraph import nn

LayerPast = tuple[tg.Tensor, tg.Tensor]


@dataclass
class T5Config:
    """Sizes and rates; the defaults are those of the small published model."""

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    is_gated_act: bool = True
    is_decoder: bool = False
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int = 0
    decoder_start_token_id: int = 0

    def __post_init__(self) -> None:
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers


class Record(OrderedDict):
    """The base of dataclasses that are read by attribute, by name and by position; fields that are None are left out.

    It is filled once, by the dataclass, and not written afterwards.
    """

    def __post_init__(self) -> None:
        filled = {f.name: getattr(self, f.name) for f in fields(self)}
        super().update((name, content) for name, content in filled.items() if content is not None)

    def __getitem__(self, place: str | int | slice) -> Any:
        return super().__getitem__(place) if isinstance(place, str) else tuple(self.values())[place]


@dataclass
class StackOutput(Record):
    """What an encoder or decoder stack gives."""

    last_hidden_state: tg.Tensor | None = None
    past_key_values: tuple[tuple[LayerPast, LayerPast], ...] | None = None
    attentions: tuple[tg.Tensor, ...] | None = None


@dataclass
class Seq2SeqLMOutput(Record):
    """What the whole model gives."""

    loss: tg.Tensor | None = None
    logits: tg.Tensor | None = None
    past_key_values: tuple[tuple[LayerPast, LayerPast], ...] | None = None
    decoder_attentions: tuple[tg.Tensor, ...] | None = None
    encoder_last_hidden_state: tg.Tensor | None = None


class T5LayerNorm(nn.Module):
    """Scaling by the root mean square, in float32; no shift, no mean."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(tg.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states: tg.Tensor) -> tg.Tensor:
        variance = hidden_states.to(tg.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * tg.rsqrt(variance + self.variance_epsilon)
        if self.weight.dtype in [tg.float16, tg.bfloat16]:
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class T5DenseActDense(nn.Module):
    """The feed-forward network, gated by a GELU or with a ReLU."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        if config.is_gated_act:
            self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
            self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        else:
            self.wi = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.act = nn.GELU(approximate="tanh") if config.is_gated_act else nn.ReLU()

    def forward(self, hidden_states: tg.Tensor) -> tg.Tensor:
        if hasattr(self, "wi_0"):
            hidden_gelu = self.act(self.wi_0(hidden_states))
            hidden_linear = self.wi_1(hidden_states)
            hidden_states = hidden_gelu * hidden_linear
        else:
            hidden_states = self.act(self.wi(hidden_states))
        hidden_states = self.dropout(hidden_states)
        if isinstance(self.wo.weight, tg.Tensor) and hidden_states.dtype != self.wo.weight.dtype:
            hidden_states = hidden_states.to(self.wo.weight.dtype)
        return self.wo(hidden_states)


class T5LayerFF(nn.Module):
    """Pre-norm feed-forward layer with residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = T5DenseActDense(config)
        self.layer_norm = T5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: tg.Tensor) -> tg.Tensor:
        forwarded_states = self.layer_norm(hidden_states)
        forwarded_states = self.DenseReluDense(forwarded_states)
        return hidden_states + self.dropout(forwarded_states)


class T5Attention(nn.Module):
    """Attention without scaling, with learned biases for buckets of relative positions."""

    def __init__(self, config: T5Config, has_relative_attention_bias: bool = False) -> None:
        super().__init__()
        self.is_decoder = config.is_decoder
        self.has_relative_attention_bias = has_relative_attention_bias
        self.relative_attention_num_buckets = config.relative_attention_num_buckets
        self.relative_attention_max_distance = config.relative_attention_max_distance
        self.d_model = config.d_model
        self.key_value_proj_dim = config.d_kv
        self.n_heads = config.num_heads
        self.dropout = config.dropout_rate
        self.inner_dim = self.n_heads * self.key_value_proj_dim

        self.q = nn.Linear(self.d_model, self.inner_dim, bias=False)
        self.k = nn.Linear(self.d_model, self.inner_dim, bias=False)
        self.v = nn.Linear(self.d_model, self.inner_dim, bias=False)
        self.o = nn.Linear(self.inner_dim, self.d_model, bias=False)
        if self.has_relative_attention_bias:
            self.relative_attention_bias = nn.Embedding(self.relative_attention_num_buckets, self.n_heads)

    @staticmethod
    def _relative_position_bucket(
        relative_position: tg.Tensor, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
    ) -> tg.Tensor:
        """Half of the buckets hold one distance each, the others grow logarithmically up to `max_distance`."""
        relative_buckets = 0
        if bidirectional:
            num_buckets //= 2
            relative_buckets += (relative_position > 0).to(tg.long) * num_buckets
            relative_position = tg.abs(relative_position)
        else:
            relative_position = -tg.min(relative_position, tg.zeros_like(relative_position))
        max_exact = num_buckets // 2
        is_small = relative_position < max_exact
        relative_position_if_large = max_exact + (
            tg.log(relative_position.float() / max_exact)
            / math.log(max_distance / max_exact)
            * (num_buckets - max_exact)
        ).to(tg.long)
        relative_position_if_large = tg.min(
            relative_position_if_large, tg.full_like(relative_position_if_large, num_buckets - 1)
        )
        relative_buckets += tg.where(is_small, relative_position, relative_position_if_large)
        return relative_buckets

    def compute_bias(self, query_length: int, key_length: int, device: tg.device | None = None) -> tg.Tensor:
        """Biases [1, heads, query_length, key_length]."""
        if device is None:
            device = self.relative_attention_bias.weight.device
        context_position = tg.arange(query_length, dtype=tg.long, device=device)[:, None]
        memory_position = tg.arange(key_length, dtype=tg.long, device=device)[None, :]
        relative_position = memory_position - context_position
        relative_position_bucket = self._relative_position_bucket(
            relative_position,
            bidirectional=(not self.is_decoder),
            num_buckets=self.relative_attention_num_buckets,
            max_distance=self.relative_attention_max_distance,
        )
        values = self.relative_attention_bias(relative_position_bucket)
        return values.permute([2, 0, 1]).unsqueeze(0)

    def forward(
        self,
        hidden_states: tg.Tensor,
        mask: tg.Tensor | None = None,
        key_value_states: tg.Tensor | None = None,
        position_bias: tg.Tensor | None = None,
        past_key_value: LayerPast | None = None,
        use_cache: bool = False,
    ) -> tuple[tg.Tensor, LayerPast | None, tg.Tensor, tg.Tensor]:
        batch_size, seq_length = hidden_states.shape[:2]
        real_seq_length = seq_length
        if past_key_value is not None:
            real_seq_length += past_key_value[0].shape[2]
        key_length = real_seq_length if key_value_states is None else key_value_states.shape[1]

        def shape(states: tg.Tensor) -> tg.Tensor:
            return states.view(batch_size, -1, self.n_heads, self.key_value_proj_dim).transpose(1, 2)

        def unshape(states: tg.Tensor) -> tg.Tensor:
            return states.transpose(1, 2).contiguous().view(batch_size, -1, self.inner_dim)

        def project(
            hidden_states: tg.Tensor,
            proj_layer: nn.Module,
            key_value_states: tg.Tensor | None,
            past_key_value: tg.Tensor | None,
        ) -> tg.Tensor:
            if key_value_states is None:
                hidden_states = shape(proj_layer(hidden_states))
                if past_key_value is not None:
                    hidden_states = tg.cat([past_key_value, hidden_states], dim=2)
            elif past_key_value is None:
                hidden_states = shape(proj_layer(key_value_states))
            else:
                hidden_states = past_key_value  # cross-attention: computed once
            return hidden_states

        query_states = shape(self.q(hidden_states))
        past_key, past_value = past_key_value if past_key_value is not None else (None, None)
        key_states = project(hidden_states, self.k, key_value_states, past_key)
        value_states = project(hidden_states, self.v, key_value_states, past_value)

        scores = tg.matmul(query_states, key_states.transpose(3, 2))
        if position_bias is None:
            if not self.has_relative_attention_bias:
                position_bias = tg.zeros(
                    (1, self.n_heads, real_seq_length, key_length), device=scores.device, dtype=scores.dtype
                )
            else:
                position_bias = self.compute_bias(real_seq_length, key_length, device=scores.device)
            if past_key_value is not None:
                position_bias = position_bias[:, :, -hidden_states.size(1) :, :]
            if mask is not None:
                position_bias = position_bias + mask

        scores += position_bias
        attn_weights = nn.functional.softmax(scores.float(), dim=-1).type_as(scores)
        attn_weights = nn.functional.dropout(attn_weights, p=self.dropout, training=self.training)
        attn_output = self.o(unshape(tg.matmul(attn_weights, value_states)))

        present_key_value_state = (key_states, value_states) if (self.is_decoder and use_cache) else None
        return attn_output, present_key_value_state, position_bias, attn_weights


class T5LayerAttention(nn.Module):
    """Pre-norm self- or cross-attention with residual."""

    def __init__(self, config: T5Config, has_relative_attention_bias: bool = False) -> None:
        super().__init__()
        self.attention = T5Attention(config, has_relative_attention_bias)
        self.layer_norm = T5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: tg.Tensor, **kwargs: Any) -> tuple[Any, ...]:
        normed_hidden_states = self.layer_norm(hidden_states)
        attention_output = self.attention(normed_hidden_states, **kwargs)
        hidden_states = hidden_states + self.dropout(attention_output[0])
        return (hidden_states,) + attention_output[1:]


class T5Block(nn.Module):
    """Self-attention, in a decoder cross-attention, feed-forward."""

    def __init__(self, config: T5Config, has_relative_attention_bias: bool = False) -> None:
        super().__init__()
        self.is_decoder = config.is_decoder
        self.layer = nn.ModuleList()
        self.layer.append(T5LayerAttention(config, has_relative_attention_bias))
        if self.is_decoder:
            self.layer.append(T5LayerAttention(config))
        self.layer.append(T5LayerFF(config))

    def forward(
        self,
        hidden_states: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        position_bias: tg.Tensor | None = None,
        encoder_hidden_states: tg.Tensor | None = None,
        encoder_attention_mask: tg.Tensor | None = None,
        encoder_decoder_position_bias: tg.Tensor | None = None,
        past_key_value: tuple[LayerPast, LayerPast] | None = None,
        use_cache: bool = False,
    ) -> tuple[Any, ...]:
        self_past, cross_past = past_key_value if past_key_value is not None else (None, None)
        hidden_states, present, position_bias, weights = self.layer[0](
            hidden_states,
            mask=attention_mask,
            position_bias=position_bias,
            past_key_value=self_past,
            use_cache=use_cache,
        )
        do_cross_attention = self.is_decoder and encoder_hidden_states is not None
        cross_present = None
        if do_cross_attention:
            hidden_states, cross_present, encoder_decoder_position_bias, _ = self.layer[1](
                hidden_states,
                key_value_states=encoder_hidden_states,
                mask=encoder_attention_mask,
                position_bias=encoder_decoder_position_bias,
                past_key_value=cross_past,
                use_cache=use_cache,
            )
        hidden_states = self.layer[-1](hidden_states)
        return hidden_states, (present, cross_present), position_bias, encoder_decoder_position_bias, weights


class T5Stack(nn.Module):
    """Encoder or decoder: blocks that share the first one's position biases."""

    def __init__(self, config: T5Config, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = embed_tokens
        self.is_decoder = config.is_decoder
        self.block = nn.ModuleList(
            [T5Block(config, has_relative_attention_bias=bool(i == 0)) for i in range(config.num_layers)]
        )
        self.final_layer_norm = T5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    @property
    def dtype(self) -> tg.dtype:
        return self.final_layer_norm.weight.dtype

    def invert_attention_mask(self, mask: tg.Tensor) -> tg.Tensor:
        """1 and 0 as 0 and the most negative number, broadcasting over heads."""
        extended = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None, :, :]
        return (1.0 - extended.to(dtype=self.dtype)) * tg.finfo(self.dtype).min

    def create_causal_mask(self, attention_mask: tg.Tensor, input_shape: tuple[int, ...]) -> tg.Tensor:
        """The mask of the keys [B, key_length], and of the future."""
        batch_size, seq_length = input_shape
        key_length = attention_mask.shape[1]
        ids = tg.arange(key_length, device=attention_mask.device)
        causal = ids[None, None, :].repeat(batch_size, key_length, 1) <= ids[None, :, None]
        causal = causal[:, key_length - seq_length :, :].to(attention_mask.dtype)
        return self.invert_attention_mask(causal * attention_mask[:, None, :])

    def forward(
        self,
        input_ids: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        encoder_hidden_states: tg.Tensor | None = None,
        encoder_attention_mask: tg.Tensor | None = None,
        past_key_values: tuple[tuple[LayerPast, LayerPast], ...] | None = None,
        use_cache: bool | None = None,
        output_attentions: bool = False,
    ) -> StackOutput:
        use_cache = use_cache if use_cache is not None else False
        if use_cache is True and not self.is_decoder:
            raise ValueError(f"`use_cache` can only be True if {self.__class__.__name__} is used as a decoder")
        input_shape = input_ids.size()
        batch_size, seq_length = input_shape
        inputs_embeds = self.embed_tokens(input_ids)

        mask_seq_length = past_key_values[0][0][0].shape[2] + seq_length if past_key_values is not None else seq_length
        if attention_mask is None:
            attention_mask = tg.ones(batch_size, mask_seq_length, device=inputs_embeds.device)
        if past_key_values is None:
            past_key_values = [None] * len(self.block)
        if self.is_decoder:
            extended_attention_mask = self.create_causal_mask(attention_mask, input_shape)
        else:
            extended_attention_mask = self.invert_attention_mask(attention_mask)
        if self.is_decoder and encoder_attention_mask is not None:
            encoder_attention_mask = self.invert_attention_mask(encoder_attention_mask)

        presents = () if use_cache else None
        all_attentions = () if output_attentions else None
        position_bias = None
        encoder_decoder_position_bias = None
        hidden_states = self.dropout(inputs_embeds)
        for layer_module, past_key_value in zip(self.block, past_key_values):
            layer_outputs = layer_module(
                hidden_states,
                attention_mask=extended_attention_mask,
                position_bias=position_bias,
                encoder_hidden_states=encoder_hidden_states,
                encoder_attention_mask=encoder_attention_mask,
                encoder_decoder_position_bias=encoder_decoder_position_bias,
                past_key_value=past_key_value,
                use_cache=use_cache,
            )
            hidden_states, present, position_bias, encoder_decoder_position_bias, weights = layer_outputs
            if use_cache:
                presents = presents + (present,)
            if output_attentions:
                all_attentions = all_attentions + (weights,)

        hidden_states = self.final_layer_norm(hidden_states)
        hidden_states = self.dropout(hidden_states)
        return StackOutput(last_hidden_state=hidden_states, past_key_values=presents, attentions=all_attentions)


class T5ForConditionalGeneration(nn.Module):
    """Encoder, decoder, and a language modelling head tied to the shared embedding."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.model_dim = config.d_model
        self.shared = nn.Embedding(config.vocab_size, config.d_model)

        encoder_config = copy.deepcopy(config)
        encoder_config.is_decoder = False
        encoder_config.use_cache = False
        self.encoder = T5Stack(encoder_config, self.shared)

        decoder_config = copy.deepcopy(config)
        decoder_config.is_decoder = True
        decoder_config.num_layers = config.num_decoder_layers
        self.decoder = T5Stack(decoder_config, self.shared)

        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.apply(self._init_weights)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.shared.weight

    def _init_weights(self, module: nn.Module) -> None:
        factor = self.config.initializer_factor
        d_model, d_kv, n_heads = self.config.d_model, self.config.d_kv, self.config.num_heads
        if isinstance(module, T5LayerNorm):
            module.weight.data.fill_(factor * 1.0)
        elif isinstance(module, T5DenseActDense):
            for name, child in module.named_children():
                if isinstance(child, nn.Linear):
                    fan_in = self.config.d_ff if name == "wo" else d_model
                    child.weight.data.normal_(mean=0.0, std=factor * fan_in**-0.5)
        elif isinstance(module, T5Attention):
            module.q.weight.data.normal_(mean=0.0, std=factor * (d_model * d_kv) ** -0.5)
            module.k.weight.data.normal_(mean=0.0, std=factor * d_model**-0.5)
            module.v.weight.data.normal_(mean=0.0, std=factor * d_model**-0.5)
            module.o.weight.data.normal_(mean=0.0, std=factor * (n_heads * d_kv) ** -0.5)
            if module.has_relative_attention_bias:
                module.relative_attention_bias.weight.data.normal_(mean=0.0, std=factor * d_model**-0.5)

    def _shift_right(self, input_ids: tg.Tensor) -> tg.Tensor:
        """Labels as the decoder's input: one later, after the start token, without the -100 of ignored places."""
        shifted_input_ids = input_ids.new_zeros(input_ids.shape)
        shifted_input_ids[..., 1:] = input_ids[..., :-1].clone()
        shifted_input_ids[..., 0] = self.config.decoder_start_token_id
        shifted_input_ids.masked_fill_(shifted_input_ids == -100, self.config.pad_token_id)
        return shifted_input_ids

    def forward(
        self,
        input_ids: tg.Tensor | None = None,
        attention_mask: tg.Tensor | None = None,
        decoder_input_ids: tg.Tensor | None = None,
        encoder_outputs: StackOutput | None = None,
        past_key_values: tuple[tuple[LayerPast, LayerPast], ...] | None = None,
        labels: tg.Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool = False,
    ) -> Seq2SeqLMOutput:
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden_states = encoder_outputs[0]
        if labels is not None and decoder_input_ids is None:
            decoder_input_ids = self._shift_right(labels)

        decoder_outputs = self.decoder(
            input_ids=decoder_input_ids,
            encoder_hidden_states=hidden_states,
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            output_attentions=output_attentions,
        )
        sequence_output = decoder_outputs.last_hidden_state
        if self.config.tie_word_embeddings:
            sequence_output = sequence_output * (self.model_dim**-0.5)
        lm_logits = self.lm_head(sequence_output)

        loss = None
        if labels is not None:
            loss_fct = nn.CrossEntropyLoss(ignore_index=-100)
            loss = loss_fct(lm_logits.view(-1, lm_logits.size(-1)), labels.view(-1))
        return Seq2SeqLMOutput(
            loss=loss,
            logits=lm_logits,
            past_key_values=decoder_outputs.past_key_values,
            decoder_attentions=decoder_outputs.attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
        )

    @tg.no_grad()
    def generate(
        self, input_ids: tg.Tensor, attention_mask: tg.Tensor | None = None, max_length: int = 16
    ) -> tg.Tensor:
        """The most likely next token at every step, [B, max_length]."""
        encoder_outputs = self.encoder(input_ids, attention_mask=attention_mask)
        tokens = tg.full((input_ids.shape[0], 1), self.config.decoder_start_token_id, dtype=tg.long)
        generated, past = tokens, None
        for _ in range(max_length):
            outputs = self(
                attention_mask=attention_mask,
                decoder_input_ids=tokens,
                encoder_outputs=encoder_outputs,
                past_key_values=past,
                use_cache=True,
            )
            past = outputs.past_key_values
            tokens = outputs.logits[:, -1:].argmax(-1)
            generated = tg.cat([generated, tokens], dim=1)
        return generated[:, 1:]


SENTINEL, VOCABULARY = 96, 97


def small() -> T5ForConditionalGeneration:
    """Two layers of 32 channels on each side, over characters."""
    sizes = dict(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return T5ForConditionalGeneration(
        T5Config(**sizes, relative_attention_num_buckets=16, relative_attention_max_distance=32)
    )


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    lengths = 12 - tg.arange(batch) % 4
    attention_mask = (tg.arange(12)[None, :] < lengths[:, None]).float()
    return tg.randint(1, 96, (batch, 12)), attention_mask, tg.randint(1, 96, (batch, 6))


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    input_ids, attention_mask, labels = example_inputs(batch)
    return input_ids, attention_mask, labels.masked_fill(tg.arange(6) > 4, -100)


def loss_of(
    model: T5ForConditionalGeneration, input_ids: tg.Tensor, attention_mask: tg.Tensor, labels: tg.Tensor
) -> tg.Tensor:
    return model(input_ids=input_ids, attention_mask=attention_mask, labels=labels, use_cache=False).loss


def cut_spans(batch: int, steps: int, length: int = 20, span: int = 4) -> list[tuple[tg.Tensor, tg.Tensor, tg.Tensor]]:
    """Windows of text in which a sentinel stands for a span, and the spans (the objective of the paper)."""
    text, rng = CharacterText(), np.random.default_rng(0)
    batches = []
    for windows, _ in text.batches(batch, length, steps):
        tokens = windows.numpy()
        cuts = rng.integers(4, length - span - 4, batch)
        labels = np.stack([row[c : c + span] for row, c in zip(tokens, cuts, strict=True)])
        inputs = np.stack([[*row[:c], SENTINEL, *row[c + span :]] for row, c in zip(tokens, cuts, strict=True)])
        mask = np.ones(inputs.shape, np.float32)
        batches.append((tg.from_numpy(inputs), tg.from_numpy(mask), tg.from_numpy(labels)))
    return batches


def main() -> int:
    tg.manual_seed(0)
    batches = cut_spans(batch=32, steps=50)
    model = small()
    train(model, loss_of, batches, lr=1e-2, clip=1.0, falls_to=0.9)
    model.eval()
    input_ids, attention_mask, labels = (t[:2] for t in batches[0])
    answers = [m.generate(input_ids, attention_mask, max_length=4) for m in (model, tg.compile(model))]
    text = CharacterText()
    for given, wanted, found in zip(input_ids.tolist(), labels.tolist(), answers[0].tolist(), strict=True):
        print(f"{text.decode(given)!r}: {text.decode(wanted)!r} restored as {text.decode(found)!r}")
    same = tg.equal(*answers)
    print(f"compiled decoding gives {'the same' if same else 'something else'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
