"""Language models as the files of a large model library are written: configs, outputs, registries, caches, mixins."""

import functools
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any, Optional, Union

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made

logger = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------- config, outputs, registries


class PretrainedConfig:
    model_type = ""
    attribute_map: dict[str, str] = {}

    def __setattr__(self, key, value):
        mapping = super().__getattribute__("attribute_map")
        super().__setattr__(mapping.get(key, key), value)

    def __getattribute__(self, key):
        if key != "attribute_map" and key in super().__getattribute__("attribute_map"):
            key = super().__getattribute__("attribute_map")[key]
        return super().__getattribute__(key)

    def __init__(self, **kwargs):
        self.return_dict = kwargs.pop("return_dict", True)
        self.output_attentions = kwargs.pop("output_attentions", False)
        self.output_hidden_states = kwargs.pop("output_hidden_states", False)
        self.problem_type = kwargs.pop("problem_type", None)
        self.id2label = {i: f"LABEL_{i}" for i in range(kwargs.pop("num_labels", 2))}
        self._attn_implementation = kwargs.pop("attn_implementation", "sdpa")
        for key, value in kwargs.items():
            setattr(self, key, value)

    @property
    def use_return_dict(self):
        return self.return_dict

    @property
    def num_labels(self):
        return len(self.id2label)

    def to_dict(self):
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}


class TinyConfig(PretrainedConfig):
    model_type = "tiny"
    attribute_map = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}

    def __init__(self, vocab_size=19, n_positions=16, n_embd=16, n_layer=2, n_head=4, **kwargs):
        self.vocab_size, self.n_positions, self.n_embd = vocab_size, n_positions, n_embd
        self.n_layer, self.n_head = n_layer, n_head
        self.activation_function = kwargs.pop("activation_function", "gelu_new")
        self.layer_norm_epsilon = 1e-5
        super().__init__(**kwargs)


class ModelOutput(OrderedDict):
    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                self[field.name] = value

    def __getitem__(self, k):
        if isinstance(k, str):
            return dict(self.items())[k]
        return self.to_tuple()[k]

    def __setattr__(self, name, value):
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def to_tuple(self):
        return tuple(self[k] for k in self.keys())


@dataclass
class CausalLMOutput(ModelOutput):
    loss: Optional[torch.Tensor] = None
    logits: Optional[torch.Tensor] = None
    past_key_values: Any = None
    hidden_states: Optional[tuple] = None
    attentions: Optional[tuple] = None


@dataclass
class BaseOutput(ModelOutput):
    last_hidden_state: Optional[torch.Tensor] = None
    past_key_values: Any = None
    hidden_states: Optional[tuple] = None
    attentions: Optional[tuple] = None


class NewGELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class ClassInstantier(OrderedDict):
    def __getitem__(self, key):
        content = super().__getitem__(key)
        cls, kwargs = content if isinstance(content, tuple) else (content, {})
        return cls(**kwargs)


ACT2FN = ClassInstantier({"gelu_new": NewGELU, "relu": nn.ReLU, "leaky": (nn.LeakyReLU, {"negative_slope": 0.2})})


def sdpa_attention(module, query, key, value, mask, scaling, dropout=0.0, is_causal=None, **kwargs):
    is_causal = query.shape[2] > 1 and mask is None if is_causal is None else is_causal
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=is_causal)
    return out.transpose(1, 2).contiguous(), None


def eager_attention(module, query, key, value, mask, scaling, dropout=0.0, **kwargs):
    weights = torch.matmul(query, key.transpose(-1, -2)) * scaling
    length, keys = query.size(-2), key.size(-2)
    causal = module.bias[:, :, keys - length : keys, :keys]
    floor = torch.full([], torch.finfo(weights.dtype).min, dtype=weights.dtype, device=weights.device)
    weights = torch.where(causal, weights.to(weights.dtype), floor)
    if mask is not None:
        weights = weights + mask[:, :, :, :keys]
    weights = F.softmax(weights, dim=-1).type(value.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2), weights


ALL_ATTENTION_FUNCTIONS = {"sdpa": sdpa_attention}


@functools.lru_cache(None)
def warning_once(message):
    logger.warning(message)


def can_return_tuple(func):
    @functools.wraps(func)
    def wrapper(self, *args, **kwargs):
        return_dict = kwargs.pop("return_dict", self.config.return_dict)
        output = func(self, *args, **kwargs)
        if not return_dict and not isinstance(output, tuple):
            output = output.to_tuple()
        return output

    return wrapper


# ---------------------------------------------------------------------------------------- cache


class CacheLayer:
    def __init__(self):
        self.keys = self.values = None
        self.is_initialized = False

    def lazy_initialization(self, key_states):
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = torch.tensor([], dtype=self.dtype, device=self.device)
        self.values = torch.tensor([], dtype=self.dtype, device=self.device)
        self.is_initialized = True

    def update(self, key_states, value_states, cache_kwargs=None):
        if not self.is_initialized:
            self.lazy_initialization(key_states)
        self.keys = torch.cat([self.keys, key_states], dim=-2)
        self.values = torch.cat([self.values, value_states], dim=-2)
        return self.keys, self.values

    def get_seq_length(self):
        if not self.is_initialized or self.keys.numel() == 0:
            return 0
        return self.keys.shape[-2]


class DynamicCache:
    def __init__(self, layer_class_to_replicate=CacheLayer):
        self.layers = []
        self.layer_class_to_replicate = layer_class_to_replicate

    def update(self, key_states, value_states, layer_idx, cache_kwargs=None):
        while len(self.layers) <= layer_idx:
            self.layers.append(self.layer_class_to_replicate())
        return self.layers[layer_idx].update(key_states, value_states, cache_kwargs)

    def get_seq_length(self, layer_idx=0):
        return 0 if layer_idx >= len(self.layers) else self.layers[layer_idx].get_seq_length()

    def __iter__(self):
        for layer in self.layers:
            yield layer.keys, layer.values

    def __len__(self):
        return len(self.layers)

    def to_legacy_cache(self):
        return tuple((k, v) for k, v in self)


# ---------------------------------------------------------------------------------------- model


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.empty(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        size_out = x.size()[:-1] + (self.nf,)
        x = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return x.view(size_out)


class TinyAttention(nn.Module):
    def __init__(self, config, layer_idx=None):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        positions = config.n_positions
        mask = torch.tril(torch.ones((positions, positions), dtype=torch.bool)).view(1, 1, positions, positions)
        self.register_buffer("bias", mask, persistent=False)
        self.embed_dim = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = self.embed_dim // self.num_heads
        self.split_size = self.embed_dim
        if layer_idx is None:
            warning_once(f"{self.__class__.__name__} without layer_idx")
        self.c_attn = Conv1D(3 * self.embed_dim, self.embed_dim)
        self.c_proj = Conv1D(self.embed_dim, self.embed_dim)
        self.scaling = self.head_dim**-0.5

    def forward(self, hidden_states, past_key_values=None, attention_mask=None, cache_position=None, **kwargs):
        query, key, value = self.c_attn(hidden_states).split(self.split_size, dim=2)
        shape = (*query.shape[:-1], -1, self.head_dim)
        query, key, value = (t.view(shape).transpose(1, 2) for t in (query, key, value))
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx, {"cache_position": cache_position})
        attention = eager_attention
        if self.config._attn_implementation != "eager":
            attention = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        out, weights = attention(self, query, key, value, attention_mask, self.scaling, **kwargs)
        out = self.c_proj(out.reshape(*out.shape[:-2], -1).contiguous())
        return out, weights


class GradientCheckpointingLayer(nn.Module):
    gradient_checkpointing = False

    def __call__(self, *args, **kwargs):
        if self.gradient_checkpointing and self.training:
            if kwargs.get("past_key_values") is not None:
                warning_once("Caching is incompatible with gradient checkpointing")
                kwargs["past_key_values"] = None
            return self._gradient_checkpointing_func(functools.partial(super().__call__, **kwargs), *args)
        return super().__call__(*args, **kwargs)


class TinyBlock(GradientCheckpointingLayer):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = TinyAttention(config, layer_idx=layer_idx)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = nn.ModuleDict(
            dict(c_fc=Conv1D(64, config.hidden_size), act=ACT2FN[config.activation_function], c_proj=Conv1D(16, 64))
        )

    def forward(self, hidden_states, past_key_values=None, attention_mask=None, cache_position=None, **kwargs):
        out, weights = self.attn(
            self.ln_1(hidden_states),
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            cache_position=cache_position,
            **kwargs,
        )
        hidden_states = out + hidden_states
        m = self.mlp
        return hidden_states + m.c_proj(m.act(m.c_fc(self.ln_2(hidden_states)))), weights


class PreTrainedModel(nn.Module):
    config_class = TinyConfig
    base_model_prefix = ""

    def __init__(self, config):
        super().__init__()
        if not isinstance(config, PretrainedConfig):
            raise TypeError(f"Parameter config in `{self.__class__.__name__}(config)` should be a PretrainedConfig")
        self.config = config

    @property
    def base_model(self):
        return getattr(self, self.base_model_prefix, self)

    @property
    def dtype(self):
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    def post_init(self):
        self.apply(self._init_weights)
        self.tie_weights()

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, Conv1D)):
            module.weight.data.normal_(mean=0.0, std=0.02)

    def tie_weights(self):
        out = self.get_output_embeddings() if hasattr(self, "get_output_embeddings") else None
        if out is not None:
            out.weight = self.base_model.wte.weight

    def gradient_checkpointing_enable(self):
        from torch.utils.checkpoint import checkpoint

        func = functools.partial(checkpoint, use_reentrant=False)
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module._gradient_checkpointing_func = func
                module.gradient_checkpointing = True
        return self

    def get_extended_attention_mask(self, attention_mask, dtype=None):
        if attention_mask.dim() == 3:
            extended = attention_mask[:, None, :, :]
        elif attention_mask.dim() == 2:
            extended = attention_mask[:, None, None, :]
        else:
            raise ValueError(f"Wrong shape for attention_mask (shape {attention_mask.shape})")
        extended = extended.to(dtype=dtype or self.dtype)
        return (1.0 - extended) * torch.finfo(extended.dtype).min


class TinyModel(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.wpe = nn.Embedding(config.n_positions, config.hidden_size)
        self.h = nn.ModuleList([TinyBlock(config, layer_idx=i) for i in range(config.num_hidden_layers)])
        self.ln_f = nn.LayerNorm(config.hidden_size)

    @can_return_tuple
    def forward(
        self, input_ids=None, past_key_values=None, attention_mask=None, position_ids=None, inputs_embeds=None,
        use_cache=None, output_attentions=None, output_hidden_states=None, cache_position=None, **kwargs,
    ):  # fmt: skip
        if (input_ids is None) ^ (inputs_embeds is not None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        if inputs_embeds is None:
            inputs_embeds = self.wte(input_ids)
        if cache_position is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            cache_position = torch.arange(seen, seen + inputs_embeds.shape[1], device=inputs_embeds.device)
        if position_ids is None:
            position_ids = cache_position.unsqueeze(0)
        if attention_mask is not None:
            attention_mask = self.get_extended_attention_mask(attention_mask)
        hidden_states = inputs_embeds + self.wpe(position_ids).to(inputs_embeds.device)
        all_attentions = () if output_attentions else None
        all_hidden_states = () if keep else None
        for block in self.h[: self.config.num_hidden_layers]:
            if keep:
                all_hidden_states = all_hidden_states + (hidden_states,)
            hidden_states, weights = block(
                hidden_states,
                past_key_values=past_key_values,
                attention_mask=attention_mask,
                cache_position=cache_position,
                **kwargs,
            )
            if output_attentions:
                all_attentions += (weights,)
        hidden_states = self.ln_f(hidden_states)
        if keep:
            all_hidden_states += (hidden_states,)
        return BaseOutput(
            last_hidden_state=hidden_states,
            past_key_values=past_key_values if use_cache else None,
            hidden_states=all_hidden_states,
            attentions=all_attentions,
        )


def causal_lm_loss(logits, labels, vocab_size, num_items_in_batch=None, ignore_index=-100, **kwargs):
    labels = F.pad(labels, (0, 1), value=ignore_index)
    shift_labels = labels[..., 1:].contiguous().view(-1)
    reduction = "sum" if num_items_in_batch is not None else "mean"
    loss = F.cross_entropy(
        logits.float().view(-1, vocab_size), shift_labels, ignore_index=ignore_index, reduction=reduction
    )
    return loss / num_items_in_batch if reduction == "sum" else loss


LOSS_MAPPING = {"ForCausalLM": causal_lm_loss}


class TinyForCausalLM(PreTrainedModel):
    base_model_prefix = "transformer"

    def __init__(self, config):
        super().__init__(config)
        self.transformer = TinyModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.loss_type = next(k for k in LOSS_MAPPING if self.__class__.__name__.endswith(k))
        self.post_init()

    def get_output_embeddings(self):
        return self.lm_head

    @property
    def loss_function(self):
        if getattr(self, "loss_type", None) not in LOSS_MAPPING:
            warning_once("unknown loss")
        return LOSS_MAPPING[self.loss_type]

    @can_return_tuple
    def forward(self, input_ids=None, past_key_values=None, labels=None, logits_to_keep: Union[int, Any] = 0, **kwargs):
        outputs = self.transformer(input_ids, past_key_values=past_key_values, return_dict=True, **kwargs)
        hidden_states = outputs[0]
        slice_indices = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden_states[:, slice_indices, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


@made("2x5<19", "2x7<19")
def causal_lm():
    model = TinyForCausalLM(TinyConfig()).eval()
    return lambda ids: model(ids, labels=ids, use_cache=False)


@made("2x5<19", "2x5<19")
def causal_lm_with_everything():
    model = TinyForCausalLM(TinyConfig(attn_implementation="eager", output_attentions=True)).eval()

    def run(ids):
        mask = (ids > 2).long()
        out = model(ids, attention_mask=mask, output_hidden_states=True, use_cache=True, logits_to_keep=2)
        return out.logits, out.hidden_states[-1], out["attentions"], out.past_key_values.to_legacy_cache(), len(out)

    return run


@made("2x5<19", "2x5<19")
def causal_lm_as_tuple():
    model = TinyForCausalLM(TinyConfig(return_dict=False, activation_function="leaky")).eval()

    def run(ids):
        logits, cache = model(ids, use_cache=True)
        more = model(ids[:, :1], past_key_values=cache, use_cache=True)[0]
        return logits, more, cache.get_seq_length()

    return run


@made("2x5<19", "2x5<19")
def causal_lm_trained_with_checkpoints():
    model = TinyForCausalLM(TinyConfig(activation_function="relu")).train().gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(ids):
        output = model(ids, labels=ids, num_items_in_batch=8)
        output.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return output.loss.detach(), norm

    return step
