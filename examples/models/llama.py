"""A Llama-style decoder (Touvron et al. 2023, arXiv:2302.13971 and 2307.09288): RMSNorm, rotary positions, SwiGLU,
grouped-query attention, and a key-value cache.

    python examples/models/llama.py

trains a small one on the standard library's text, then decodes greedily with the cache, eager and compiled.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from support.data import CharacterText
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


@dataclass
class LlamaConfig:
    """Sizes; the defaults are those of the 8B model."""

    vocab_size: int = 128256
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    max_position_embeddings: int = 8192
    rms_norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    attention_bias: bool = False
    tie_word_embeddings: bool = False
    initializer_range: float = 0.02

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass
class KVCache:
    """Keys and values of all layers seen so far."""

    key_cache: list[tg.Tensor] = field(default_factory=list)
    value_cache: list[tg.Tensor] = field(default_factory=list)

    def update(self, key: tg.Tensor, value: tg.Tensor, layer_idx: int) -> tuple[tg.Tensor, tg.Tensor]:
        """Append along the sequence, return everything."""
        if len(self.key_cache) <= layer_idx:
            self.key_cache.append(key)
            self.value_cache.append(value)
        else:
            self.key_cache[layer_idx] = tg.cat([self.key_cache[layer_idx], key], dim=-2)
            self.value_cache[layer_idx] = tg.cat([self.value_cache[layer_idx], value], dim=-2)
        return self.key_cache[layer_idx], self.value_cache[layer_idx]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        if len(self.key_cache) <= layer_idx:
            return 0
        return self.key_cache[layer_idx].shape[-2]

    def __len__(self) -> int:
        return len(self.key_cache)


@dataclass
class CausalLMOutput:
    """What the model gives."""

    logits: tg.Tensor
    loss: tg.Tensor | None = None
    past_key_values: KVCache | None = None


class LlamaRMSNorm(nn.Module):
    """Scaling by the root mean square, computed in float32."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(tg.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states: tg.Tensor) -> tg.Tensor:
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(tg.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * tg.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, eps={self.variance_epsilon}"


class LlamaRotaryEmbedding(nn.Module):
    """Cosines and sines of position times frequency."""

    inv_freq: tg.Tensor

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        dim = config.head_dim
        inv_freq = 1.0 / (config.rope_theta ** (tg.arange(0, dim, 2, dtype=tg.int64).float() / dim))
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    @tg.no_grad()
    def forward(self, x: tg.Tensor, position_ids: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        inv_freq_expanded = self.inv_freq[None, :, None].float().expand(position_ids.shape[0], -1, 1)
        position_ids_expanded = position_ids[:, None, :].float()
        freqs = (inv_freq_expanded.float() @ position_ids_expanded.float()).transpose(1, 2)
        emb = tg.cat((freqs, freqs), dim=-1)
        return emb.cos().to(dtype=x.dtype), emb.sin().to(dtype=x.dtype)


def rotate_half(x: tg.Tensor) -> tg.Tensor:
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return tg.cat((-x2, x1), dim=-1)


def apply_rotary_pos_emb(
    q: tg.Tensor, k: tg.Tensor, cos: tg.Tensor, sin: tg.Tensor, unsqueeze_dim: int = 1
) -> tuple[tg.Tensor, tg.Tensor]:
    cos = cos.unsqueeze(unsqueeze_dim)
    sin = sin.unsqueeze(unsqueeze_dim)
    q_embed = (q * cos) + (rotate_half(q) * sin)
    k_embed = (k * cos) + (rotate_half(k) * sin)
    return q_embed, k_embed


def repeat_kv(hidden_states: tg.Tensor, n_rep: int) -> tg.Tensor:
    """Keys or values of every group for each of its query heads: [B, kv heads, T, D] to [B, heads, T, D]."""
    batch, num_key_value_heads, slen, head_dim = hidden_states.shape
    if n_rep == 1:
        return hidden_states
    hidden_states = hidden_states[:, :, None, :, :].expand(batch, num_key_value_heads, n_rep, slen, head_dim)
    return hidden_states.reshape(batch, num_key_value_heads * n_rep, slen, head_dim)


class LlamaMLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act_fn = F.silu

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class LlamaAttention(nn.Module):
    """Causal attention in which groups of query heads share keys and values."""

    def __init__(self, config: LlamaConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        self.scaling = self.head_dim**-0.5
        bias = config.attention_bias
        self.q_proj = nn.Linear(config.hidden_size, config.num_attention_heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * self.head_dim, config.hidden_size, bias=bias)

    def forward(
        self,
        hidden_states: tg.Tensor,
        position_embeddings: tuple[tg.Tensor, tg.Tensor],
        attention_mask: tg.Tensor | None,
        past_key_values: KVCache | None = None,
    ) -> tg.Tensor:
        input_shape = hidden_states.shape[:-1]
        hidden_shape = (*input_shape, -1, self.head_dim)
        query_states = self.q_proj(hidden_states).view(hidden_shape).transpose(1, 2)
        key_states = self.k_proj(hidden_states).view(hidden_shape).transpose(1, 2)
        value_states = self.v_proj(hidden_states).view(hidden_shape).transpose(1, 2)

        cos, sin = position_embeddings
        query_states, key_states = apply_rotary_pos_emb(query_states, key_states, cos, sin)
        if past_key_values is not None:
            key_states, value_states = past_key_values.update(key_states, value_states, self.layer_idx)

        key_states = repeat_kv(key_states, self.num_key_value_groups)
        value_states = repeat_kv(value_states, self.num_key_value_groups)
        attn_weights = tg.einsum("bhqd,bhkd->bhqk", query_states, key_states) * self.scaling
        if attention_mask is not None:
            causal_mask = attention_mask[:, :, :, : key_states.shape[-2]]
            attn_weights = attn_weights + causal_mask
        attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=tg.float32).to(query_states.dtype)
        attn_output = tg.einsum("bhqk,bhkd->bqhd", attn_weights, value_states)
        attn_output = attn_output.reshape(*input_shape, -1).contiguous()
        return self.o_proj(attn_output)


class LlamaDecoderLayer(nn.Module):
    """Pre-norm attention and feed-forward with residuals."""

    def __init__(self, config: LlamaConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config=config, layer_idx=layer_idx)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, hidden_states: tg.Tensor, **kwargs: object) -> tg.Tensor:
        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states = self.self_attn(hidden_states=hidden_states, **kwargs)
        hidden_states = residual + hidden_states

        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        return residual + hidden_states


class LlamaForCausalLM(nn.Module):
    """Embedding, decoder layers, final normalisation, language modelling head."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        assert config.num_attention_heads % config.num_key_value_heads == 0
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([LlamaDecoderLayer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.apply(self._init_weights)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        match module:
            case nn.Linear():
                module.weight.data.normal_(mean=0.0, std=std)
                if module.bias is not None:
                    module.bias.data.zero_()
            case nn.Embedding():
                module.weight.data.normal_(mean=0.0, std=std)

    def create_causal_mask(
        self, attention_mask: tg.Tensor | None, inputs_embeds: tg.Tensor, past_length: int
    ) -> tg.Tensor | None:
        """Additive mask [B, 1, T, past + T], or None where nothing is masked."""
        batch_size, seq_length = inputs_embeds.shape[:2]
        if attention_mask is None and seq_length == 1:
            return None
        dtype, device = inputs_embeds.dtype, inputs_embeds.device
        min_dtype = tg.finfo(dtype).min
        total = past_length + seq_length
        causal_mask = tg.full((seq_length, total), fill_value=min_dtype, dtype=dtype, device=device)
        causal_mask = tg.triu(causal_mask, diagonal=past_length + 1)
        causal_mask = causal_mask[None, None, :, :].expand(batch_size, 1, -1, -1)
        if attention_mask is not None:
            causal_mask = causal_mask.clone()
            mask_length = attention_mask.shape[-1]
            padding_mask = causal_mask[:, :, :, :mask_length] + attention_mask[:, None, None, :]
            padding_mask = padding_mask == 0
            causal_mask[:, :, :, :mask_length] = causal_mask[:, :, :, :mask_length].masked_fill(padding_mask, min_dtype)
        return causal_mask

    def forward(
        self,
        input_ids: tg.Tensor,
        attention_mask: tg.Tensor | None = None,
        position_ids: tg.Tensor | None = None,
        past_key_values: KVCache | None = None,
        labels: tg.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
    ) -> CausalLMOutput:
        inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = KVCache()
        past_seen_tokens = past_key_values.get_seq_length() if past_key_values is not None else 0
        if position_ids is None:
            position_ids = tg.arange(
                past_seen_tokens, past_seen_tokens + inputs_embeds.shape[1], device=inputs_embeds.device
            ).unsqueeze(0)
        causal_mask = self.create_causal_mask(attention_mask, inputs_embeds, past_seen_tokens)

        hidden_states = inputs_embeds
        position_embeddings = self.rotary_emb(hidden_states, position_ids)
        for decoder_layer in self.layers[: self.config.num_hidden_layers]:
            hidden_states = decoder_layer(
                hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=causal_mask,
                past_key_values=past_key_values,
            )
        hidden_states = self.norm(hidden_states)
        slice_indices = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden_states[:, slice_indices, :]).float()

        loss = None
        if labels is not None:
            shift_logits = logits[..., :-1, :].contiguous()
            shift_labels = labels[..., 1:].contiguous()
            loss = F.cross_entropy(shift_logits.view(-1, self.config.vocab_size), shift_labels.view(-1))
        return CausalLMOutput(logits=logits, loss=loss, past_key_values=past_key_values if use_cache else None)

    @tg.no_grad()
    def generate(self, input_ids: tg.Tensor, max_new_tokens: int) -> tg.Tensor:
        """`input_ids` continued by the most likely tokens."""
        outputs = self(input_ids, use_cache=True, logits_to_keep=1)
        for _ in range(max_new_tokens):
            next_token = outputs.logits[:, -1].argmax(dim=-1, keepdim=True)
            input_ids = tg.cat([input_ids, next_token], dim=-1)
            outputs = self(next_token, past_key_values=outputs.past_key_values, use_cache=True, logits_to_keep=1)
        return input_ids


def small() -> LlamaForCausalLM:
    """Two layers, four query heads on two key-value heads."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=96,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            rope_theta=10000.0,
        )
    )


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    lengths = 12 - tg.arange(batch) % 4
    return tg.randint(0, 96, (batch, 12)), (tg.arange(12)[None, :] < lengths[:, None]).float()


def example_batch(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randint(0, 96, (batch, 12)),)


def loss_of(model: LlamaForCausalLM, input_ids: tg.Tensor) -> tg.Tensor:
    return model(input_ids, labels=input_ids).loss


def main() -> int:
    tg.manual_seed(0)
    text = CharacterText()
    model = small()
    train(model, loss_of, [(x,) for x, _ in text.batches(batch=16, length=32, steps=80)], lr=5e-3, clip=1.0)
    model.eval()
    prompt = tg.from_numpy(text.encode("    def ")[None])
    decoded = [m.generate(prompt, max_new_tokens=40)[0] for m in (model, tg.compile(model))]
    print(repr(text.decode(decoded[0].tolist())))
    same = tg.equal(*decoded)
    print(f"compiled decoding gives {'the same' if same else 'something else'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
