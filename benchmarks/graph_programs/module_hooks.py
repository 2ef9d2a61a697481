"""Hooks of modules, and parameters that are computed from others."""

import functools

import torch
import torch.nn as nn

from graph_programs import made


@made("4x8")
def forward_hooks():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    features = {}

    def keep(name, module, args, output):
        features[name] = output

    for name, child in model.named_children():
        child.register_forward_hook(functools.partial(keep, name))

    def run(x):
        features.clear()
        y = model(x)
        return y, dict(features)

    return run


@made("4x8")
def pre_hook_changes_input():
    layer = nn.Linear(8, 8)
    layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    layer.register_forward_hook(lambda m, args, out: out + 1)
    return layer


@made("4x8")
def hook_with_kwargs():
    class Scaled(nn.Module):
        def forward(self, x, *, scale=1.0):
            return x * scale

    m = Scaled()
    m.register_forward_pre_hook(lambda m, args, kwargs: (args, {**kwargs, "scale": 3.0}), with_kwargs=True)
    return lambda x: m(x, scale=2.0)


@made("4x8")
def hook_removed_in_call():
    model = nn.Linear(8, 8)

    def run(x):
        seen = []
        handle = model.register_forward_hook(lambda m, a, o: seen.append(o.sum()))
        y = model(x)
        handle.remove()
        return y, seen, model(x), len(seen)

    return run


@made("4x8")
def weight_norm():
    return torch.nn.utils.weight_norm(nn.Linear(8, 8))


@made("4x8")
def weight_norm_parametrized():
    return nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))


@made("4x8", is_random=True)
def spectral_norm():
    return nn.utils.spectral_norm(nn.Linear(8, 8))


@made("4x8")
def own_parametrization():
    import torch.nn.utils.parametrize as parametrize

    class Symmetric(nn.Module):
        def forward(self, w):
            return w.triu() + w.triu(1).transpose(-1, -2)

    m = nn.Linear(8, 8)
    parametrize.register_parametrization(m, "weight", Symmetric())
    return m
