"""Text generation and attention as a large model library arranges them: mappings of functions, processors, criteria."""

import copy
import functools
import inspect
import warnings
from collections import UserDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made


class AttentionInterface(MutableMapping):
    _global_mapping: dict = {}

    def __init__(self):
        self._local_mapping = {}

    def __getitem__(self, key):
        if key in self._local_mapping:
            return self._local_mapping[key]
        return self._global_mapping[key]

    def __setitem__(self, key, value):
        self._local_mapping.update({key: value})

    def __delitem__(self, key):
        del self._local_mapping[key]

    def __iter__(self):
        return iter({**self._global_mapping, **self._local_mapping})

    def __len__(self):
        return len(self._global_mapping.keys() | self._local_mapping.keys())

    @classmethod
    def register(cls, key, value):
        cls._global_mapping.update({key: value})

    def valid_keys(self):
        return list(self.keys())


def sdpa(query, key, value, **kwargs):
    return F.scaled_dot_product_attention(query, key, value)


def uniform(query, key, value, **kwargs):
    return value.mean(-2, keepdim=True).expand_as(query)


AttentionInterface.register("sdpa", sdpa)
ATTENTION = AttentionInterface()


def deprecate_kwarg(old_name, new_name):
    def wrapper(func):
        is_method = "self" in set(inspect.signature(func).parameters.keys())

        @functools.wraps(func)
        def wrapped(*args, **kwargs):
            name = f"{args[0].__class__.__name__}.{func.__name__}" if is_method else func.__name__
            if old_name in kwargs and new_name in kwargs:
                raise ValueError(f"both {old_name} and {new_name} given to {name}")
            if old_name in kwargs:
                kwargs[new_name] = kwargs.pop(old_name)
                if not torch.compiler.is_compiling():
                    pass
            return func(*args, **kwargs)

        return wrapped

    return wrapper


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(4, 12)
        self.kind = "sdpa"

    @deprecate_kwarg("masks", new_name="mask")
    def forward(self, x, mask=None, **kwargs):
        q, k, v = self.proj(x).chunk(3, -1)
        if mask is not None:
            v = v * mask
        return ATTENTION[self.kind](q, k, v, module=self, **kwargs)


@made("2x3x4", "2x3x4")
def attention_mapping():
    model = Mixed()

    def run(x):
        ATTENTION["uniform"] = uniform
        first = model(x, masks=x > 0)
        model.kind = "uniform" if model.kind == "sdpa" else "sdpa"
        try:
            model(x, masks=x, mask=x)
        except ValueError as e:
            text = str(e)
        second = model(x, dropout=0.0)
        del ATTENTION["uniform"]
        model.kind = "sdpa"
        return first, second, text, ATTENTION.valid_keys(), len(ATTENTION), "none" in ATTENTION

    return run


class BatchEncoding(UserDict):
    def __getattr__(self, item):
        try:
            return self.data[item]
        except KeyError:
            raise AttributeError(item)

    def to(self, device):
        self.data = {k: v.to(device=device) if isinstance(v, torch.Tensor) else v for k, v in self.data.items()}
        return self

    def __getitem__(self, item):
        return self.data[item] if isinstance(item, str) else list(self.data.values())[item]


@made("2x5<9", "2x5<9")
def batch_encoding():
    embed = nn.Embedding(9, 4)

    def run(ids):
        batch = BatchEncoding({"input_ids": ids, "attention_mask": ids > 0, "name": "b"}).to("cpu")
        batch["labels"] = batch.input_ids.clone()

        def masked_embedding(input_ids, attention_mask, **rest):
            return embed(input_ids) * attention_mask[..., None], sorted(rest)

        masked = masked_embedding(**batch)
        return masked, batch[0], "labels" in batch, list(batch.keys()), getattr(batch, "absent", None)

    return run


@dataclass
class GenerationConfig:
    max_new_tokens: int = 3
    eos_token_id: Any = 5
    pad_token_id: Optional[int] = None
    repetition_penalty: float = 1.2
    top_k: int = 4
    bad_words: list = field(default_factory=list)

    def update(self, **kwargs):
        applied = []
        for key, value in kwargs.items():
            if hasattr(self, key):
                setattr(self, key, value)
                applied.append(key)
        return {k: v for k, v in kwargs.items() if k not in applied}


class LogitsProcessorList(list):
    def __call__(self, input_ids, scores, **kwargs):
        for processor in self:
            args = inspect.signature(processor.__call__).parameters
            if len(args) > 2:
                if not all(arg in kwargs for arg in list(args.keys())[2:]):
                    raise ValueError(f"missing arguments for {processor.__class__}")
                scores = processor(input_ids, scores, **kwargs)
            else:
                scores = processor(input_ids, scores)
        return scores


class RepetitionPenalty:
    def __init__(self, penalty):
        if not isinstance(penalty, float) or not (penalty > 0):
            raise ValueError(f"`penalty` has to be a strictly positive float, but is {penalty}")
        self.penalty = penalty

    def __call__(self, input_ids, scores):
        score = torch.gather(scores, 1, input_ids)
        score = torch.where(score < 0, score * self.penalty, score / self.penalty)
        return scores.scatter(1, input_ids, score)


class TopK:
    def __init__(self, top_k, filter_value=-float("inf")):
        self.top_k, self.filter_value = max(top_k, 1), filter_value

    def __call__(self, input_ids, scores):
        remove = scores < torch.topk(scores, min(self.top_k, scores.size(-1)))[0][..., -1, None]
        return scores.masked_fill(remove, self.filter_value)


class Scheduled:
    def __call__(self, input_ids, scores, step):
        return scores / (1.0 + 0.1 * step)


class MaxLength:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, input_ids, scores, **kwargs):
        is_done = input_ids.shape[-1] >= self.limit
        return torch.full((input_ids.shape[0],), is_done, device=input_ids.device, dtype=torch.bool)


class EosToken:
    def __init__(self, eos):
        self.eos = torch.tensor([eos] if isinstance(eos, int) else eos)

    def __call__(self, input_ids, scores, **kwargs):
        return torch.isin(input_ids[:, -1], self.eos)


class StoppingCriteriaList(list):
    def __call__(self, input_ids, scores, **kwargs):
        is_done = torch.full((input_ids.shape[0],), False, device=input_ids.device, dtype=torch.bool)
        for criteria in self:
            is_done = is_done | criteria(input_ids, scores, **kwargs)
        return is_done

    @property
    def max_length(self):
        return next((c.limit for c in self if isinstance(c, MaxLength)), None)


class Streamer:
    def __init__(self):
        self.chunks = []

    def put(self, value):
        self.chunks.append(value)


class GenerationMixin:
    generation_config = GenerationConfig()

    def _prepare(self, config, **kwargs):
        config = copy.deepcopy(config if config is not None else self.generation_config)
        model_kwargs = config.update(**kwargs)
        if config.pad_token_id is None and config.eos_token_id is not None:
            warnings.warn("Setting pad to eos") if config.bad_words else None
            config.pad_token_id = config.eos_token_id
        return config, model_kwargs

    @torch.no_grad()
    def generate(self, ids, config=None, prefix_fn: Optional[Callable] = None, streamer=None, **kwargs):
        config, model_kwargs = self._prepare(config, **kwargs)
        processors = LogitsProcessorList([RepetitionPenalty(config.repetition_penalty)])
        processors.extend([TopK(config.top_k), Scheduled()])
        criteria = StoppingCriteriaList([MaxLength(ids.shape[-1] + config.max_new_tokens)])
        criteria.append(EosToken(config.eos_token_id))
        unfinished = torch.ones(ids.shape[0], dtype=torch.long, device=ids.device)
        step = 0
        while ids.shape[-1] < criteria.max_length:
            scores = processors(ids, self(ids, **model_kwargs)[:, -1].float(), step=step)
            tokens = torch.argmax(scores, dim=-1)
            tokens = tokens * unfinished + config.pad_token_id * (1 - unfinished)
            ids = torch.cat([ids, tokens[:, None]], dim=-1)
            if streamer is not None:
                streamer.put(tokens)
            unfinished = unfinished & ~criteria(ids, scores)
            step += 1
        return ids


class TinyLM(nn.Module, GenerationMixin):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, ids, scale=1.0):
        return self.head(self.embed(ids).cumsum(1)) * scale


@made("2x3<11", "2x4<11")
def generates_with_processors():
    model, streamer = TinyLM(), Streamer()
    return lambda ids: (
        model.generate(ids, streamer=streamer, scale=0.5, eos_token_id=[5, 6], pad_token_id=0),
        len(streamer.chunks),
    )


@made("2x3<11", "2x3<11")
def generates_with_defaults():
    model = TinyLM()

    def run(ids):
        try:
            model.generate(ids, repetition_penalty=1)
        except ValueError as e:
            text = str(e)
        return model.generate(ids, max_new_tokens=2), text, model.generation_config.pad_token_id

    return run
