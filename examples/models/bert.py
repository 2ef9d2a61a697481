"""BERT (Devlin et al. 2018, arXiv:1810.04805): a bidirectional encoder, trained to fill in masked tokens.

    python examples/models/bert.py

trains a small one on lines of the standard library's text, padded to one length, and compares a compiled step with an
eager one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.data import CharacterText
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


@dataclass
class BertConfig:
    """Sizes and rates; the defaults are those of the base model."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    chunk_size_feed_forward: int = 0


ACT2FN: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "tanh": tg.tanh}


class BertEmbeddings(nn.Module):
    """The sum of word, position and token type embeddings, normalised."""

    position_ids: tg.Tensor
    token_type_ids: tg.Tensor

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.register_buffer(
            "position_ids", tg.arange(config.max_position_embeddings).expand((1, -1)), persistent=False
        )
        self.register_buffer("token_type_ids", tg.zeros(self.position_ids.size(), dtype=tg.long), persistent=False)

    def forward(
        self,
        input_ids: tg.Tensor | None = None,
        token_type_ids: tg.Tensor | None = None,
        position_ids: tg.Tensor | None = None,
        inputs_embeds: tg.Tensor | None = None,
    ) -> tg.Tensor:
        input_shape = input_ids.size() if input_ids is not None else inputs_embeds.size()[:-1]
        seq_length = input_shape[1]

        if position_ids is None:
            position_ids = self.position_ids[:, :seq_length]
        if token_type_ids is None:
            if hasattr(self, "token_type_ids"):
                buffered_token_type_ids = self.token_type_ids[:, :seq_length]
                token_type_ids = buffered_token_type_ids.expand(input_shape[0], seq_length)
            else:
                token_type_ids = tg.zeros(input_shape, dtype=tg.long, device=self.position_ids.device)

        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        embeddings = inputs_embeds + self.token_type_embeddings(token_type_ids)
        embeddings += self.position_embeddings(position_ids)
        embeddings = self.LayerNorm(embeddings)
        return self.dropout(embeddings)


class BertSelfAttention(nn.Module):
    """Multi-head attention with separate projections."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads != 0:
            raise ValueError(
                f"The hidden size ({config.hidden_size}) is not a multiple of the number of attention heads "
                f"({config.num_attention_heads})"
            )
        self.num_attention_heads = config.num_attention_heads
        self.attention_head_size = int(config.hidden_size / config.num_attention_heads)
        self.all_head_size = self.num_attention_heads * self.attention_head_size
        self.query = nn.Linear(config.hidden_size, self.all_head_size)
        self.key = nn.Linear(config.hidden_size, self.all_head_size)
        self.value = nn.Linear(config.hidden_size, self.all_head_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def transpose_for_scores(self, x: tg.Tensor) -> tg.Tensor:
        new_x_shape = x.size()[:-1] + (self.num_attention_heads, self.attention_head_size)
        x = x.view(new_x_shape)
        return x.permute(0, 2, 1, 3)

    def forward(
        self,
        hidden_states: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        head_mask: tg.Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[tg.Tensor, ...]:
        query_layer = self.transpose_for_scores(self.query(hidden_states))
        key_layer = self.transpose_for_scores(self.key(hidden_states))
        value_layer = self.transpose_for_scores(self.value(hidden_states))

        attention_scores = tg.matmul(query_layer, key_layer.transpose(-1, -2))
        attention_scores = attention_scores / math.sqrt(self.attention_head_size)
        if attention_mask is not None:
            attention_scores = attention_scores + attention_mask
        attention_probs = nn.functional.softmax(attention_scores, dim=-1)
        attention_probs = self.dropout(attention_probs)
        if head_mask is not None:
            attention_probs = attention_probs * head_mask

        context_layer = tg.matmul(attention_probs, value_layer)
        context_layer = context_layer.permute(0, 2, 1, 3).contiguous()
        new_context_layer_shape = context_layer.size()[:-2] + (self.all_head_size,)
        context_layer = context_layer.view(new_context_layer_shape)
        return (context_layer, attention_probs) if output_attentions else (context_layer,)


class BertSelfOutput(nn.Module):
    """Projection, residual and normalisation after attention."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: tg.Tensor, input_tensor: tg.Tensor) -> tg.Tensor:
        hidden_states = self.dense(hidden_states)
        hidden_states = self.dropout(hidden_states)
        return self.LayerNorm(hidden_states + input_tensor)


class BertAttention(nn.Module):
    """Self-attention with its output half."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = BertSelfAttention(config)
        self.output = BertSelfOutput(config)

    def forward(self, hidden_states: tg.Tensor, *args: Any, **kwargs: Any) -> tuple[tg.Tensor, ...]:
        self_outputs = self.self(hidden_states, *args, **kwargs)
        attention_output = self.output(self_outputs[0], hidden_states)
        return (attention_output,) + self_outputs[1:]  # attention probabilities, if wanted


def apply_chunking_to_forward(
    forward_fn: Callable[..., tg.Tensor], chunk_size: int, chunk_dim: int, *input_tensors: tg.Tensor
) -> tg.Tensor:
    """`forward_fn` over pieces of `chunk_size` along a dimension, to save memory."""
    assert len(input_tensors) > 0, f"{input_tensors} has to be a tuple of tensors"
    if chunk_size > 0:
        if input_tensors[0].shape[chunk_dim] % chunk_size != 0:
            raise ValueError(f"dimension {chunk_dim} has to be a multiple of the chunk size {chunk_size}")
        num_chunks = input_tensors[0].shape[chunk_dim] // chunk_size
        chunks = tuple(t.chunk(num_chunks, dim=chunk_dim) for t in input_tensors)
        return tg.cat(tuple(forward_fn(*pieces) for pieces in zip(*chunks)), dim=chunk_dim)
    return forward_fn(*input_tensors)


class BertLayer(nn.Module):
    """Attention, then the feed-forward network, each post-normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.chunk_size_feed_forward = config.chunk_size_feed_forward
        self.seq_len_dim = 1
        self.attention = BertAttention(config)
        self.intermediate_act_fn = (
            ACT2FN[config.hidden_act] if isinstance(config.hidden_act, str) else config.hidden_act
        )
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden_states: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        head_mask: tg.Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[tg.Tensor, ...]:
        attention_outputs = self.attention(
            hidden_states, attention_mask, head_mask=head_mask, output_attentions=output_attentions
        )
        attention_output, *rest = attention_outputs
        layer_output = apply_chunking_to_forward(
            self.feed_forward_chunk, self.chunk_size_feed_forward, self.seq_len_dim, attention_output
        )
        return (layer_output, *rest)

    def feed_forward_chunk(self, attention_output: tg.Tensor) -> tg.Tensor:
        hidden_states = self.intermediate_act_fn(self.intermediate(attention_output))
        hidden_states = self.dropout(self.output(hidden_states))
        return self.LayerNorm(hidden_states + attention_output)


class BertEncoder(nn.Module):
    """The layers one after another, with their intermediate results on demand."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.ModuleList([BertLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(
        self,
        hidden_states: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        head_mask: list[tg.Tensor | None] | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> dict[str, Any]:
        all_hidden_states: tuple[tg.Tensor, ...] | None = () if output_hidden_states else None
        all_self_attentions: tuple[tg.Tensor, ...] | None = () if output_attentions else None
        for i, layer_module in enumerate(self.layer):
            if output_hidden_states:
                all_hidden_states = all_hidden_states + (hidden_states,)
            layer_head_mask = head_mask[i] if head_mask is not None else None
            layer_outputs = layer_module(hidden_states, attention_mask, layer_head_mask, output_attentions)
            hidden_states = layer_outputs[0]
            if output_attentions:
                all_self_attentions = all_self_attentions + (layer_outputs[1],)
        if output_hidden_states:
            all_hidden_states = all_hidden_states + (hidden_states,)
        outputs = {
            "last_hidden_state": hidden_states,
            "hidden_states": all_hidden_states,
            "attentions": all_self_attentions,
        }
        return {k: v for k, v in outputs.items() if v is not None}


class BertModel(nn.Module):
    """Embeddings, encoder, and a pooler on the first token."""

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = (
            nn.Sequential(nn.Linear(config.hidden_size, config.hidden_size), nn.Tanh()) if add_pooling_layer else None
        )

    @property
    def dtype(self) -> tg.dtype:
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    def get_extended_attention_mask(self, attention_mask: tg.Tensor, input_shape: tuple[int, ...]) -> tg.Tensor:
        """0 where attention is allowed, the most negative number elsewhere, in a shape that broadcasts over heads."""
        if attention_mask.dim() == 3:
            extended = attention_mask[:, None, :, :]
        elif attention_mask.dim() == 2:
            extended = attention_mask[:, None, None, :]
        else:
            raise ValueError(f"Wrong shape for input_ids ({input_shape}) or attention_mask ({attention_mask.shape})")
        extended = extended.to(dtype=self.dtype)
        return (1.0 - extended) * tg.finfo(self.dtype).min

    def forward(
        self,
        input_ids: tg.Tensor | None = None,
        attention_mask: tg.Tensor | None = None,
        token_type_ids: tg.Tensor | None = None,
        position_ids: tg.Tensor | None = None,
        head_mask: tg.Tensor | None = None,
        inputs_embeds: tg.Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if input_ids is not None and inputs_embeds is not None:
            raise ValueError("You cannot specify both input_ids and inputs_embeds at the same time")
        elif input_ids is not None:
            input_shape = input_ids.size()
        elif inputs_embeds is not None:
            input_shape = inputs_embeds.size()[:-1]
        else:
            raise ValueError("You have to specify either input_ids or inputs_embeds")
        batch_size, seq_length = input_shape
        if attention_mask is None:
            device = input_ids.device if input_ids is not None else inputs_embeds.device
            attention_mask = tg.ones((batch_size, seq_length), device=device)
        extended_attention_mask = self.get_extended_attention_mask(attention_mask, input_shape)
        if head_mask is not None:
            head_mask = head_mask.unsqueeze(0).unsqueeze(0).unsqueeze(-1).unsqueeze(-1)
            head_mask = head_mask.expand(self.config.num_hidden_layers, -1, -1, -1, -1)

        embedding_output = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        outputs = self.encoder(embedding_output, extended_attention_mask, head_mask=head_mask, **kwargs)
        if self.pooler is not None:
            outputs["pooler_output"] = self.pooler(outputs["last_hidden_state"][:, 0])
        return outputs


class BertForMaskedLM(nn.Module):
    """BERT with a prediction head whose decoder shares the word embeddings."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, add_pooling_layer=False)
        self.transform = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.GELU(),
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps),
        )
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.apply(self._init_weights)
        self.tie_weights()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
            if module.padding_idx is not None:
                module.weight.data[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm):
            module.bias.data.zero_()
            module.weight.data.fill_(1.0)

    def tie_weights(self) -> None:
        self.decoder.weight = self.bert.embeddings.word_embeddings.weight

    def forward(
        self,
        input_ids: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        token_type_ids: tg.Tensor | None = None,
        labels: tg.Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        outputs = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **kwargs)
        sequence_output = outputs.pop("last_hidden_state")
        prediction_scores = self.decoder(self.transform(sequence_output))
        result = {"logits": prediction_scores, **outputs}
        if labels is not None:
            loss_fct = nn.CrossEntropyLoss()  # -100 marks tokens that are not predicted
            result["loss"] = loss_fct(prediction_scores.view(-1, self.config.vocab_size), labels.view(-1))
        return result


MASK_TOKEN, VOCABULARY, LENGTH = 97, 98, 16


def small() -> BertForMaskedLM:
    """Two layers of 32 channels over characters."""
    sizes = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    return BertForMaskedLM(BertConfig(**sizes, intermediate_size=64, max_position_embeddings=32))


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    tokens = tg.randint(1, 97, (batch, LENGTH))
    lengths = LENGTH - 1 - tg.arange(batch) % 5
    return tokens, (tg.arange(LENGTH)[None, :] < lengths[:, None]).long()


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    tokens, attention_mask = example_inputs(batch)
    labels = tokens.masked_fill(tg.rand(batch, LENGTH) > 0.3, -100)
    return tokens.masked_fill(labels != -100, MASK_TOKEN), attention_mask, labels


def loss_of(model: BertForMaskedLM, input_ids: tg.Tensor, attention_mask: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    return model(input_ids, attention_mask=attention_mask, labels=labels)["loss"]


def masked_lines(batch: int, steps: int) -> list[tuple[tg.Tensor, tg.Tensor, tg.Tensor]]:
    """Beginnings of lines, padded with 0; a fifth of the characters is masked and to be predicted."""
    text, rng = CharacterText(), np.random.default_rng(0)
    ends = np.flatnonzero(text.data == 0)
    lines = [line for line in np.split(text.data, ends) if len(line) > 6]
    batches = []
    for _ in range(steps):
        tokens = np.zeros((batch, LENGTH), np.int64)
        for row, pick in zip(tokens, rng.integers(0, len(lines), batch), strict=True):
            line = lines[pick][1 : LENGTH + 1]
            row[: len(line)] = line
        masked = (rng.random(tokens.shape) < 0.2) & (tokens > 0)
        inputs, labels = np.where(masked, MASK_TOKEN, tokens), np.where(masked, tokens, -100)
        batches.append((tg.from_numpy(inputs), tg.from_numpy((tokens > 0).astype(np.int64)), tg.from_numpy(labels)))
    return batches


def main() -> int:
    tg.manual_seed(0)
    train(small(), loss_of, masked_lines(batch=32, steps=60), lr=5e-3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
