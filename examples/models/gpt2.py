"""GPT-2 (Radford et al. 2019): a decoder-only Transformer with a key-value cache and sampling.

    python examples/models/gpt2.py

trains a small one on the standard library's text, character by character, then samples with the cache, eager and
compiled from the same seed.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from support.data import CharacterText
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn

Past = tuple[tg.Tensor, tg.Tensor]


@dataclass
class GPT2Config:
    """Sizes and rates; the defaults are those of the smallest published model."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    resid_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02


class Conv1D(nn.Module):
    """GPT's linear layer, whose weight is stored [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(tg.empty(nx, nf))
        self.bias = nn.Parameter(tg.zeros(nf))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        size_out = x.size()[:-1] + (self.nf,)
        x = tg.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return x.view(size_out)


class NewGELU(nn.Module):
    """The tanh approximation of GELU, written out as in the original code."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return 0.5 * x * (1.0 + tg.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * tg.pow(x, 3.0))))


class Attention(nn.Module):
    """Causal self-attention, optionally over cached keys and values as well."""

    bias: tg.Tensor

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        assert config.n_embd % config.n_head == 0
        max_positions = config.n_positions
        self.register_buffer(
            "bias",
            tg.tril(tg.ones((max_positions, max_positions), dtype=tg.bool)).view(1, 1, max_positions, max_positions),
            persistent=False,
        )
        self.embed_dim = config.n_embd
        self.num_heads = config.n_head
        self.head_dim = self.embed_dim // self.num_heads
        self.split_size = self.embed_dim
        self.c_attn = Conv1D(3 * self.embed_dim, self.embed_dim)
        self.c_proj = Conv1D(self.embed_dim, self.embed_dim)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def _attn(
        self, query: tg.Tensor, key: tg.Tensor, value: tg.Tensor, attention_mask: tg.Tensor | None = None
    ) -> tuple[tg.Tensor, tg.Tensor]:
        attn_weights = tg.matmul(query, key.transpose(-1, -2)) / (value.size(-1) ** 0.5)

        query_length, key_length = query.size(-2), key.size(-2)
        causal_mask = self.bias[:, :, key_length - query_length : key_length, :key_length]
        mask_value = tg.finfo(attn_weights.dtype).min
        mask_value = tg.full([], mask_value, dtype=attn_weights.dtype, device=attn_weights.device)
        attn_weights = tg.where(causal_mask, attn_weights.to(attn_weights.dtype), mask_value)
        if attention_mask is not None:
            attn_weights = attn_weights + attention_mask

        attn_weights = F.softmax(attn_weights, dim=-1).type_as(value)
        attn_weights = self.attn_dropout(attn_weights)
        return tg.matmul(attn_weights, value), attn_weights

    def _split_heads(self, tensor: tg.Tensor) -> tg.Tensor:
        new_shape = (*tensor.shape[:-1], self.num_heads, self.head_dim)
        return tensor.view(new_shape).permute(0, 2, 1, 3)  # (batch, head, seq, head_dim)

    def _merge_heads(self, tensor: tg.Tensor) -> tg.Tensor:
        tensor = tensor.permute(0, 2, 1, 3).contiguous()
        return tensor.view(tensor.size()[:-2] + (self.num_heads * self.head_dim,))

    def forward(
        self,
        hidden_states: tg.Tensor,
        layer_past: Past | None = None,
        attention_mask: tg.Tensor | None = None,
        use_cache: bool = False,
    ) -> tuple[tg.Tensor, Past | None]:
        query, key, value = self.c_attn(hidden_states).split(self.split_size, dim=2)
        query = self._split_heads(query)
        key = self._split_heads(key)
        value = self._split_heads(value)

        if layer_past is not None:
            past_key, past_value = layer_past
            key = tg.cat((past_key, key), dim=-2)
            value = tg.cat((past_value, value), dim=-2)

        present = (key, value) if use_cache is True else None

        attn_output, _ = self._attn(query, key, value, attention_mask)
        attn_output = self._merge_heads(attn_output)
        attn_output = self.resid_dropout(self.c_proj(attn_output))
        return attn_output, present


class MLP(nn.Module):
    """The feed-forward half of a block."""

    def __init__(self, intermediate_size: int, config: GPT2Config) -> None:
        super().__init__()
        self.c_fc = Conv1D(intermediate_size, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, intermediate_size)
        self.act = NewGELU()
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(nn.Module):
    """Pre-norm Transformer block."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner_dim = config.n_inner if config.n_inner is not None else 4 * config.n_embd
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(inner_dim, config)

    def forward(
        self,
        hidden_states: tg.Tensor,
        layer_past: Past | None = None,
        attention_mask: tg.Tensor | None = None,
        use_cache: bool = False,
    ) -> tuple[tg.Tensor, Past | None]:
        residual = hidden_states
        attn_output, present = self.attn(self.ln_1(hidden_states), layer_past, attention_mask, use_cache=use_cache)
        hidden_states = attn_output + residual
        return hidden_states + self.mlp(self.ln_2(hidden_states)), present


class GPT2(nn.Module):
    """Token and position embeddings, blocks, and a head that shares the token embedding's weight."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(config.vocab_size, config.n_embd),
                wpe=nn.Embedding(config.n_positions, config.n_embd),
                drop=nn.Dropout(config.embd_pdrop),
                h=nn.ModuleList([Block(config) for _ in range(config.n_layer)]),
                ln_f=nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon),
            )
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight  # weight tying

        self.apply(self._init_weights)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):  # residual projections, scaled by the depth
                nn.init.normal_(p, mean=0.0, std=config.initializer_range / math.sqrt(2 * config.n_layer))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, Conv1D)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)

    @property
    def device(self) -> tg.device:
        return next(self.parameters()).device

    def get_num_params(self, non_embedding: bool = True) -> int:
        """Number of parameters, without the position embedding by default."""
        n_params = sum(p.numel() for p in self.parameters())
        if non_embedding:
            n_params -= self.transformer.wpe.weight.numel()
        return n_params

    def forward(
        self,
        input_ids: tg.Tensor,
        past_key_values: tuple[Past, ...] | None = None,
        attention_mask: tg.Tensor | None = None,
        labels: tg.Tensor | None = None,
        use_cache: bool = False,
    ) -> tuple[tg.Tensor, tg.Tensor | None, tuple[Past, ...] | None]:
        batch_size, seq_length = input_ids.size()
        if past_key_values is None:
            past_length = 0
            past_key_values = tuple([None] * len(self.transformer.h))
        else:
            past_length = past_key_values[0][0].size(-2)
        assert past_length + seq_length <= self.config.n_positions, (
            f"cannot attend to {past_length + seq_length} positions, there are only {self.config.n_positions}"
        )
        position_ids = tg.arange(past_length, past_length + seq_length, dtype=tg.long, device=input_ids.device)
        position_ids = position_ids.unsqueeze(0).view(-1, seq_length)

        if attention_mask is not None:
            attention_mask = attention_mask.view(batch_size, -1)[:, None, None, :]
            attention_mask = attention_mask.to(dtype=self.transformer.wte.weight.dtype)
            attention_mask = (1.0 - attention_mask) * tg.finfo(attention_mask.dtype).min

        hidden_states = self.transformer.wte(input_ids) + self.transformer.wpe(position_ids)
        hidden_states = self.transformer.drop(hidden_states)

        presents = () if use_cache else None
        for block, layer_past in zip(self.transformer.h, past_key_values):
            hidden_states, present = block(hidden_states, layer_past, attention_mask, use_cache)
            if use_cache is True:
                presents = presents + (present,)
        hidden_states = self.transformer.ln_f(hidden_states)

        logits = self.lm_head(hidden_states)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), labels.view(-1), ignore_index=-1)
        return logits, loss, presents

    @tg.no_grad()
    def generate(
        self, input_ids: tg.Tensor, max_new_tokens: int, temperature: float = 1.0, top_k: int | None = None
    ) -> tg.Tensor:
        """`input_ids` [B, T] continued by sampled tokens, [B, T + max_new_tokens]."""
        generated, past = input_ids, None
        for _ in range(max_new_tokens):
            logits, _, past = self(input_ids, past_key_values=past, use_cache=True)
            logits = logits[:, -1, :] / temperature
            if top_k is not None:
                v, _ = tg.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < v[:, [-1]]] = -float("Inf")
            probs = F.softmax(logits, dim=-1)
            input_ids = tg.multinomial(probs, num_samples=1)
            generated = tg.cat((generated, input_ids), dim=1)
        return generated


def small(**changes: int | float) -> GPT2:
    """Two layers of 32 channels over 96 characters."""
    sizes = dict(vocab_size=96, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    return GPT2(GPT2Config(**(sizes | changes)))


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randint(0, 96, (batch, 12)),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randint(0, 96, (batch, 12)), tg.randint(0, 96, (batch, 12))


def loss_of(model: GPT2, input_ids: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    _, loss, _ = model(input_ids, labels=labels)
    return loss


def main() -> int:
    tg.manual_seed(0)
    text = CharacterText()
    model = small(embd_pdrop=0.0)
    train(model, loss_of, text.batches(batch=16, length=32, steps=80), lr=5e-3, clip=1.0)
    model.eval()
    prompt = tg.from_numpy(text.encode("def ")[None])
    samples = []
    for sampler in (model, tg.compile(model)):
        tg.manual_seed(1)
        samples.append(sampler.generate(prompt, max_new_tokens=50, temperature=0.7, top_k=20)[0].tolist())
    print(repr(text.decode(samples[0])))
    agree = np.mean(np.equal(*samples))
    print(f"compiled sampling gives the same {agree:.0%} of the characters")
    return 0 if agree == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
