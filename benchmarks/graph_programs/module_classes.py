"""Classes of modules: what they inherit, attributes they delegate, their methods and properties."""

import torch
import torch.nn as nn

from graph_programs import made, program


class ScaleMixin:
    factor = 3.0

    def scaled(self, x):
        return x * self.factor


class NameMixin:
    def forward(self, x):
        return super().forward(x) + len(type(self).__name__)


class Base(nn.Module):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.fc = nn.Linear(size, size)

    def forward(self, x):
        return self.fc(x)


@program("4x8")
class Mixed(ScaleMixin, NameMixin, Base):
    def __init__(self):
        super().__init__(8)

    def forward(self, x):
        return self.scaled(super().forward(x))


@program("4x8")
class DelegatesAttributes(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 4)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)

    def forward(self, x):
        return self.inner(x) * self.out_features + self.weight.sum()


@program("4x8")
class PlainHelperObjects(nn.Module):
    class Cache:
        def __init__(self):
            self.items = []
            self.last = None

        def push(self, x):
            self.items.append(x)
            self.last = x
            return len(self)

        def __len__(self):
            return len(self.items)

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        cache = self.Cache()
        for _ in range(3):
            x = self.fc(x)
            cache.push(x)
        return torch.stack(cache.items), len(cache), cache.last


@made("4x8")
def getitem_module():
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

        def __getitem__(self, i):
            return self.blocks[i]

        def __len__(self):
            return len(self.blocks)

        def __iter__(self):
            return iter(self.blocks)

        def forward(self, x):
            for b in self:
                x = b(x)
            return self[0](x) + len(self) + self[-1](x)

    return Blocks()


@made("4x8")
def compiled_method():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            return self.fc(x)

        def encode(self, x):
            return self.forward(x).relu(), self(x)

    return seeded_method(M())


def seeded_method(m):
    for p in m.parameters():
        nn.init.constant_(p, 0.1)
    return m.encode


@made("4x8")
def static_and_class_methods():
    class M(nn.Module):
        scale = 2.0

        @staticmethod
        def norm(x):
            return x / x.norm(dim=-1, keepdim=True)

        @classmethod
        def default_scale(cls):
            return cls.scale

        @property
        def device(self):
            return next(self.parameters()).device

        @property
        def dtype(self):
            return next(iter(self.parameters())).dtype

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(8))

        def forward(self, x):
            x = x.to(device=self.device, dtype=self.dtype)
            return self.norm(x) * self.default_scale() * self.w

    return M()
