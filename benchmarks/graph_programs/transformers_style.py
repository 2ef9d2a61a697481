"""Language models as a library of many of them: sizes under two names, tables of parts, caches, shared base classes."""

import functools
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Optional, Union

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made
from graph_programs.records import Record

journal = logging.getLogger(__name__)


@functools.cache
def note(text):
    """Say a thing the first time."""
    journal.warning(text)


# ---------------------------------------------------------------------------------------- sizes and options


class Options:
    """What a model is made by. `synonyms` gives names of a family of models to what all models read."""

    synonyms: dict[str, str] = {}

    def __getattribute__(self, name):
        look = super().__getattribute__
        return look(look("synonyms").get(name, name) if name != "synonyms" else name)

    def __setattr__(self, name, value):
        super().__setattr__(type(self).synonyms.get(name, name), value)

    def __init__(self, **chosen):
        usual = {"as_record": True, "keeps_weights": False, "keeps_layers": False, "task": None}
        for name, value in usual.items():
            setattr(self, name, chosen.pop(name, value))
        self._attends = chosen.pop("attends", "fused")
        self.classes = dict(enumerate(f"class {n}" for n in range(chosen.pop("class_count", 2))))
        vars(self).update(chosen)

    @property
    def class_count(self):
        return len(self.classes)

    def public(self):
        return {name: value for name, value in vars(self).items() if name[0] != "_"}


class SmallOptions(Options):
    synonyms = {"width": "channels", "depth": "layers", "heads": "groups"}

    def __init__(self, tokens=19, places=16, channels=16, layers=2, groups=4, curve="tanh_gelu", **chosen):
        self.tokens, self.places = tokens, places
        self.channels, self.layers, self.groups = channels, layers, groups
        self.curve, self.epsilon = curve, 1e-5
        super().__init__(**chosen)


# ---------------------------------------------------------------------------------------- what is returned


@dataclass
class Encoded(Record):
    top: Optional[torch.Tensor] = None
    memory: Any = None
    layers: Optional[tuple] = None
    weights: Optional[tuple] = None


@dataclass
class Predicted(Record):
    error: Optional[torch.Tensor] = None
    scores: Optional[torch.Tensor] = None
    memory: Any = None
    layers: Optional[tuple] = None
    weights: Optional[tuple] = None


def record_or_tuple(forward):
    """Let callers choose by `as_record`, and the options of the model if they do not."""

    @functools.wraps(forward)
    def choosing(self, *given, as_record=None, **named):
        found = forward(self, *given, **named)
        wants_record = self.options.as_record if as_record is None else as_record
        return found if wants_record or isinstance(found, tuple) else found.filled()

    return choosing


# ---------------------------------------------------------------------------------------- tables of parts


class TanhGELU(nn.Module):
    """The approximation of Hendrycks and Gimpel 2016 (arXiv:1606.08415)."""

    def forward(self, x):
        inner = torch.pow(x, 3).mul(0.044715).add(x)
        return x * (torch.tanh(inner * math.sqrt(2 / math.pi)) + 1) / 2


class Fresh(OrderedDict):
    """Gives an instance of the class under a name, another at every look."""

    def __getitem__(self, name):
        match super().__getitem__(name):
            case (kind, options):
                return kind(**options)
            case kind:
                return kind()


CURVES = Fresh(tanh_gelu=TanhGELU, relu=nn.ReLU, leaky=(nn.LeakyReLU, dict(negative_slope=0.2)))


def fused_attention(layer, asked, offered, carried, mask, scale, forgets=0.0, looks_back=None, **unread):
    if looks_back is None and mask is None and asked.shape[-2] > 1:
        looks_back = True
    found = F.scaled_dot_product_attention(
        asked, offered, carried, attn_mask=mask, dropout_p=forgets, is_causal=bool(looks_back)
    )
    return found.transpose(1, 2).contiguous(), None


def plain_attention(layer, asked, offered, carried, mask, scale, forgets=0.0, **unread):
    match_of = scale * (asked @ offered.mT)
    until, since = offered.shape[2], offered.shape[2] - asked.shape[2]
    least = torch.finfo(match_of.dtype).min
    match_of = torch.where(layer.past[..., since:until, :until], match_of, torch.full((), least, dtype=match_of.dtype))
    if mask is not None:
        match_of = match_of + mask[..., :until]
    weights = F.dropout(match_of.softmax(-1).to(carried.dtype), forgets, layer.training)
    return (weights @ carried).transpose(1, 2), weights


ATTENTION = {"fused": fused_attention}


# ---------------------------------------------------------------------------------------- memory of earlier tokens


class LayerMemory:
    """Keys and values of one layer; made of nothing when the first ones come."""

    started = False

    def start(self, like):
        self.kind, self.place = like.dtype, like.device
        self.offered, self.carried = (torch.tensor([], dtype=self.kind, device=self.place) for _ in range(2))
        self.started = True

    def extend(self, offered, carried, **unread):
        if not self.started:
            self.start(offered)
        self.offered = torch.cat((self.offered, offered), dim=2)
        self.carried = torch.cat((self.carried, carried), dim=2)
        return self.offered, self.carried

    def __len__(self):
        return self.offered.shape[2] if self.started and self.offered.numel() else 0


class Memory:
    def __init__(self, make_layer=LayerMemory):
        self.make_layer, self.layers = make_layer, []

    def extend(self, index, *states, **facts):
        missing = index + 1 - len(self.layers)
        self.layers.extend(self.make_layer() for _ in range(missing))
        return self.layers[index].extend(*states, **facts)

    @property
    def length(self):
        return len(self.layers[0]) if self.layers else 0

    def __len__(self):
        return len(self.layers)

    def __iter__(self):
        return ((layer.offered, layer.carried) for layer in self.layers)


# ---------------------------------------------------------------------------------------- layers


class Projection(nn.Module):
    """A linear layer whose weight is stored [in, out]."""

    def __init__(self, enters, leaves):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(enters, leaves)), nn.Parameter(torch.zeros(leaves))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        rows = x.view(-1, x.shape[-1])
        return torch.addmm(self.bias, rows, self.weight).view(*x.shape[:-1], self.bias.shape[0])


class SelfAttention(nn.Module):
    def __init__(self, options, index=None):
        super().__init__()
        if index is None:
            note(f"a {type(self).__name__} without a number cannot have a memory")
        self.options, self.index = options, index
        self.per_head = options.width // options.heads
        self.enter = Projection(options.width, options.width * 3)
        self.leave = Projection(options.width, options.width)
        past = torch.ones(options.places, options.places, dtype=torch.bool).tril()
        self.register_buffer("past", past[None, None], persistent=False)

    def forward(self, x, memory=None, mask=None, places=None, **named):
        heads = [self.in_heads(part) for part in self.enter(x).split(self.options.width, dim=-1)]
        if memory is not None:
            heads[1:] = memory.extend(self.index, *heads[1:], places=places)
        kind = self.options._attends
        attend = plain_attention if kind == "plain" else ATTENTION[kind]
        found, weights = attend(self, *heads, mask, self.per_head**-0.5, **named)
        return self.leave(found.flatten(start_dim=-2).contiguous()), weights

    def in_heads(self, x):
        return x.view(*x.shape[:-1], -1, self.per_head).transpose(1, 2)


class Recomputed(nn.Module):
    """A layer that may be computed again in the backward pass instead of keeping what is inside."""

    recompute = None
    recomputes = False

    def __call__(self, *given, **named):
        call = super().__call__
        if not (self.recomputes and self.training):
            return call(*given, **named)
        if named.get("memory") is not None:
            note("no memory is kept while layers are recomputed")
            named = {**named, "memory": None}
        return self.recompute(functools.partial(call, **named), *given)


class Layer(Recomputed):
    def __init__(self, options, index):
        super().__init__()
        norm = functools.partial(nn.LayerNorm, options.width, eps=options.epsilon)
        self.before_attends, self.attends = norm(), SelfAttention(options, index)
        self.before_widens = norm()
        parts = {"wide": Projection(options.width, 64), "curve": CURVES[options.curve], "narrow": Projection(64, 16)}
        self.widens = nn.ModuleDict(parts)

    def forward(self, x, **named):
        found, weights = self.attends(self.before_attends(x), **named)
        x, parts = x + found, self.widens
        return x + parts.narrow(parts.curve(parts["wide"](self.before_widens(x)))), weights


# ---------------------------------------------------------------------------------------- models


class Model(nn.Module):
    """What models have in common: options, first weights, tied weights, recomputing, masks."""

    inner_name = ""

    def __init__(self, options):
        super().__init__()
        if not isinstance(options, Options):
            raise TypeError(f"a {type(self).__name__} is made of Options, not of {type(options).__name__}")
        self.options = options

    @property
    def inner(self):
        return getattr(self, self.inner_name) if self.inner_name else self

    @property
    def dtype(self):
        kinds = (p.dtype for p in self.parameters())
        return next(kind for kind in kinds if kind.is_floating_point)

    def finish(self):
        self.apply(self.first_weights)
        if hasattr(self, "output_layer"):
            self.output_layer().weight = self.inner.words.weight

    def first_weights(self, module):
        if type(module) in (Projection, nn.Linear):
            module.weight.data.normal_(std=0.02)

    def recomputing(self):
        from torch.utils.checkpoint import checkpoint

        for layer in filter(lambda module: hasattr(module, "recomputes"), self.modules()):
            layer.recompute = functools.partial(checkpoint, use_reentrant=False)
            layer.recomputes = True
        return self

    def added_mask(self, mask):
        """What is 1 where tokens may be looked at, as what is added to scores."""
        match mask.dim():
            case 2:
                mask = mask[:, None, None]
            case 3:
                mask = mask[:, None]
            case other:
                raise ValueError(f"a mask has 2 or 3 dimensions; this one has {other}")
        kind = self.dtype
        return torch.finfo(kind).min * (1.0 - mask.to(kind))


class Encoder(Model):
    def __init__(self, options):
        super().__init__(options)
        self.words, self.places = (nn.Embedding(n, options.width) for n in (options.tokens, options.places))
        self.layers = nn.ModuleList(Layer(options, index) for index in range(options.depth))
        self.norm = nn.LayerNorm(options.width)

    def option(self, name, chosen):
        return getattr(self.options, name) if chosen is None else chosen

    @record_or_tuple
    def forward(
        self, tokens=None, *, vectors=None, memory=None, mask=None, numbers=None, places=None,
        remembers=None, keeps_weights=None, keeps_layers=None, **named,
    ):  # fmt: skip
        if len([x for x in (tokens, vectors) if x is not None]) != 1:
            raise ValueError("a text comes either as tokens or as vectors")
        x = self.words(tokens) if vectors is None else vectors
        if memory is None and remembers:
            memory = Memory()
        if places is None:
            start = 0 if memory is None else memory.length
            places = start + torch.arange(x.shape[1], device=x.device)
        x = x + self.places(places[None] if numbers is None else numbers).to(x.device)
        shared = {"memory": memory, "mask": None if mask is None else self.added_mask(mask), "places": places, **named}
        layers, weights = (), ()
        for layer in self.layers[: self.options.depth]:
            layers = (*layers, x)
            x, weight = layer(x, **shared)
            weights += (weight,)
        x = self.norm(x)
        return Encoded(
            top=x,
            memory=memory if remembers else None,
            layers=(*layers, x) if self.option("keeps_layers", keeps_layers) else None,
            weights=weights if self.option("keeps_weights", keeps_weights) else None,
        )


def next_token_error(scores, wanted, *, kinds, token_count=None, unwanted=-100, **unread):
    """The cross-entropy of each token's successor, by mean or by a count of tokens."""
    after = F.pad(wanted, (0, 1), value=unwanted)[..., 1:].reshape(-1)
    rows = scores.float().reshape(-1, kinds)
    if token_count is None:
        return F.cross_entropy(rows, after, ignore_index=unwanted)
    return F.cross_entropy(rows, after, ignore_index=unwanted, reduction="sum") / token_count


ERRORS = {"Writer": next_token_error}


class SmallWriter(Model):
    inner_name = "encoder"

    def __init__(self, options):
        super().__init__(options)
        self.encoder = Encoder(options)
        self.score = nn.Linear(options.width, options.tokens, bias=False)
        (self.purpose,) = (ending for ending in ERRORS if type(self).__name__.endswith(ending))
        self.finish()

    def output_layer(self):
        return self.score

    @property
    def error(self):
        purpose = getattr(self, "purpose", None)
        if purpose not in ERRORS:
            note(f"no error is known for {purpose}")
        return ERRORS[purpose]

    @record_or_tuple
    def forward(self, tokens=None, memory=None, wanted=None, last: Union[int, Any] = 0, **named):
        encoded = self.encoder(tokens, memory=memory, as_record=True, **named)
        scored = last if not isinstance(last, int) else slice(-last, None)
        scores = self.score(encoded[0][:, scored])
        found = Predicted(scores=scores, memory=encoded.memory, layers=encoded.layers, weights=encoded.weights)
        if wanted is not None:
            error = self.error(scores, wanted, kinds=self.options.tokens, **named)
            found = Predicted(error, **found)
        return found


# ---------------------------------------------------------------------------------------- programs


@made("2x5<19", "2x7<19")
def causal_lm():
    writer = SmallWriter(SmallOptions()).eval()
    return lambda tokens: writer(tokens, wanted=tokens, remembers=False)


@made("2x5<19", "2x5<19")
def causal_lm_with_everything():
    writer = SmallWriter(SmallOptions(attends="plain", keeps_weights=True)).eval()

    def run(tokens):
        found = writer(tokens, mask=tokens.gt(2).long(), keeps_layers=True, remembers=True, last=2)
        return len(found), found.scores, found["weights"], found.layers[-1], tuple(found.memory)

    return run


@made("2x5<19", "2x5<19")
def causal_lm_as_tuple():
    writer = SmallWriter(SmallOptions(curve="leaky", as_record=False)).eval()

    def run(tokens):
        first, memory = writer(tokens, remembers=True)
        second, *_ = writer(tokens[:, :1], memory, remembers=True)
        return first, second, memory.length

    return run


@made("2x5<19", "2x5<19")
def causal_lm_trained_with_checkpoints():
    writer = SmallWriter(SmallOptions(curve="relu")).recomputing().train()
    optimizer = torch.optim.AdamW(writer.parameters(), lr=1e-3)

    def train(tokens):
        error = writer(tokens, wanted=tokens, token_count=8).error
        error.backward()
        size = torch.nn.utils.clip_grad_norm_(writer.parameters(), max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        return size, error.detach()

    return train
