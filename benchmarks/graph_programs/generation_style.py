"""Text written token by token: layered tables of functions, renamed keywords, settings, score rules, endings."""

import copy
import functools
import inspect
from collections import UserDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made

# ---------------------------------------------------------------------------------------- tables and keywords


class Layered(MutableMapping):
    """A table of one's own over one that all instances have in common; only the own one is written by item."""

    common: dict = {}

    def __init__(self):
        self.own = {}

    @classmethod
    def share(cls, name):
        def keep(function):
            cls.common[name] = function
            return function

        return keep

    def __getitem__(self, name):
        for layer in (self.own, self.common):
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def __setitem__(self, name, function):
        self.own[name] = function

    def __delitem__(self, name):
        self.own.pop(name)

    def __iter__(self):
        yield from self.common
        yield from (name for name in self.own if name not in self.common)

    def __len__(self):
        return sum(1 for _ in self)


MIXERS = Layered()


@Layered.share("softmax")
def by_softmax(asked, offered, carried, **unread):
    return F.scaled_dot_product_attention(asked, offered, carried)


def by_mean(asked, offered, carried, **unread):
    return carried.mean(dim=-2, keepdim=True).expand_as(asked)


def formerly(**renamed):
    """Let a function take keywords by the names that they used to have."""

    def decorate(function):
        has_self = next(iter(inspect.signature(function).parameters)) == "self"

        @functools.wraps(function)
        def translating(*given, **named):
            for today, past in renamed.items():
                if past not in named:
                    continue
                if today in named:
                    owner = type(given[0]).__name__ + "." if has_self else ""
                    raise ValueError(f"{owner}{function.__name__} is given {today} twice, once as {past}")
                named[today] = named.pop(past)
                if not torch.compiler.is_compiling():
                    translating.renames += 1
            return function(*given, **named)

        translating.renames = 0
        return translating

    return decorate


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.way = "softmax"
        self.split = nn.Linear(4, 12)

    @formerly(keep="masks")
    def forward(self, x, keep=None, **more):
        *matched, carried = self.split(x).tensor_split(3, dim=-1)
        return MIXERS[self.way](*matched, carried if keep is None else carried * keep, owner=self, **more)


@made("2x3x4", "2x3x4")
def attention_mapping():
    mixer = Mixer()

    def mix(x):
        MIXERS["mean"] = by_mean
        results = [mixer(x, masks=x.gt(0))]
        try:
            mixer(x, keep=x, masks=x)
        except ValueError as refusal:
            results.append(str(refusal))
        mixer.way = {"softmax": "mean", "mean": "softmax"}[mixer.way]
        results.append(mixer(x, rate=0.0))
        mixer.way = "softmax"
        del MIXERS["mean"]
        return results, list(MIXERS.keys()), len(MIXERS), "mean" in MIXERS

    return mix


# ---------------------------------------------------------------------------------------- batches


class Columns(UserDict):
    """Named columns, also attributes and numbered."""

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"there is no column {name!r}") from None

    def __getitem__(self, which):
        names = list(self.data)
        return self.data[which if isinstance(which, str) else names[which]]

    def to(self, place):
        for name, column in list(self.data.items()):
            if isinstance(column, torch.Tensor):
                self.data[name] = column.to(device=place)
        return self


@made("2x5<9", "2x5<9")
def batch_encoding():
    table = nn.Embedding(9, 4)

    def look_up(tokens, present, **others):
        return table(tokens) * present.unsqueeze(-1), sorted(others)

    def run(tokens):
        columns = Columns(tokens=tokens, present=tokens.ne(0), source="b").to("cpu")
        columns["wanted"] = columns.tokens.clone()
        return look_up(**columns), columns[0], "wanted" in columns, [*columns.keys()], getattr(columns, "speaker", None)

    return run


# ---------------------------------------------------------------------------------------- settings and score rules


@dataclass
class Settings:
    count: int = 3
    stop: Any = 5
    filler: Optional[int] = None
    discouraged: float = 1.2
    among: int = 4
    banned: list = field(default_factory=list)

    def take(self, named):
        """Set what are fields, and give the rest back."""
        own = [f.name for f in fields(self) if f.name in named]
        for name in own:
            setattr(self, name, named[name])
        return {name: named[name] for name in named if name not in own}


class Discourage:
    """Tokens that stand in the text already become less likely, by a factor on their scores."""

    def __init__(self, factor):
        if type(factor) is not float or factor <= 0:
            raise ValueError(f"the factor on repeated tokens should be a float above 0; it is {factor!r}")
        self.factor = factor

    def __call__(self, text, scores):
        repeated = scores.gather(1, text)
        lowered = torch.where(repeated.lt(0), repeated * self.factor, repeated / self.factor)
        return scores.scatter(1, text, lowered)


class Best:
    def __init__(self, among, others=float("-inf")):
        self.among, self.others = among if among > 1 else 1, others

    def __call__(self, text, scores):
        best, _ = scores.topk(min(scores.shape[-1], self.among))
        return scores.masked_fill(scores < best[..., -1:], self.others)


class Cooling:
    def __call__(self, text, scores, turn):
        return scores / (turn * 0.1 + 1.0)


class Rules(list):
    """Rules for scores, one after the other; a rule is given what its signature asks for."""

    def __call__(self, text, scores, **facts):
        for rule in self:
            _, _, *asked = inspect.signature(rule.__call__).parameters
            missing = [name for name in asked if name not in facts]
            if missing:
                raise ValueError(f"{type(rule).__name__} needs {', '.join(missing)}")
            scores = rule(text, scores, **{name: facts[name] for name in asked})
        return scores


# ---------------------------------------------------------------------------------------- endings, the loop


class AtLength:
    def __init__(self, length):
        self.length = length

    def __call__(self, text):
        return text.new_full(text.shape[:1], text.shape[1] >= self.length, dtype=torch.bool)


class AtToken:
    def __init__(self, *tokens):
        self.tokens = torch.tensor(tokens)

    def __call__(self, text):
        return torch.isin(text[:, -1], self.tokens)


class Endings(list):
    @property
    def length(self):
        lengths = (ending.length for ending in self if isinstance(ending, AtLength))
        return next(lengths, None)

    def __call__(self, text):
        ended = torch.zeros(len(text), dtype=torch.bool, device=text.device)
        return functools.reduce(lambda so_far, ending: so_far | ending(text), self, ended)


class Reader:
    def __init__(self):
        self.heard = []

    def hear(self, tokens):
        self.heard.append(tokens)


class Writes:
    """Gives a model of next tokens a method that writes."""

    settings = Settings()

    def _settled(self, settings, named):
        settings = copy.deepcopy(self.settings if settings is None else settings)
        rest = settings.take(named)
        stops = settings.stop if isinstance(settings.stop, list) else [settings.stop]
        if settings.filler is None:
            settings.filler = stops[0]
        return settings, stops, rest

    @torch.no_grad()
    def write(self, text, settings=None, allowed: Optional[Callable] = None, reader=None, **named):
        settings, stops, rest = self._settled(settings, named)
        rules = Rules([Discourage(settings.discouraged)])
        rules.extend([Best(settings.among), Cooling()])
        endings = Endings([AtLength(text.shape[1] + settings.count), AtToken(*stops)])
        going_on, turn = text.new_ones(text.shape[0]), 0
        while text.shape[1] < endings.length:
            likely = self(text, **rest)[:, -1]
            chosen = rules(text, likely.float(), turn=turn).argmax(dim=-1)
            chosen = going_on * chosen + (1 - going_on) * settings.filler
            if reader is not None:
                reader.hear(chosen)
            text = torch.cat((text, chosen.unsqueeze(1)), dim=1)
            going_on = going_on & ~endings(text)
            turn += 1
        return text


class RunningSums(nn.Module, Writes):
    def __init__(self):
        super().__init__()
        self.enter = nn.Embedding(11, 6)
        self.leave = nn.Linear(6, 11)

    def forward(self, text, factor=1.0):
        return factor * self.leave(torch.cumsum(self.enter(text), dim=1))


@made("2x3<11", "2x4<11")
def generates_with_processors():
    model, reader = RunningSums(), Reader()

    def run(text):
        written = model.write(text, reader=reader, stop=[5, 6], filler=0, factor=0.5)
        return written, len(reader.heard)

    return run


@made("2x3<11", "2x3<11")
def generates_with_defaults():
    model = RunningSums()

    def run(text):
        refused = ""
        try:
            model.write(text, discouraged=1)
        except ValueError as refusal:
            refused = str(refusal)
        return refused, model.settings.filler, model.write(text, count=2)

    return run
