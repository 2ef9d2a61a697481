"""Modules called with other parameters than their own."""

from __future__ import annotations

import pytest
from captured import check, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ArgumentError
from tracegraph.func import functional_call


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 3, bias=False)
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(3).eval()

    def forward(self, x, scale=1):
        return self.norm(self.head(self.embed(x))) * scale


MODEL = Tied()


def with_doubled_parameters(x):
    return functional_call(MODEL, {n: p * 2 for n, p in MODEL.named_parameters()}, (x,), {"scale": 3})


def test_the_modules_own_tensors_stay() -> None:
    own = MODEL.embed.weight
    check(with_doubled_parameters, graphs=1, fullgraph=True)
    assert MODEL.embed.weight is MODEL.head.weight is own


def test_shared_parameters_are_replaced_together() -> None:
    model, x, identity = Tied(), ramp(), tg.eye(3)
    tied = functional_call(model, {"embed.weight": identity}, x)
    assert tied.tolist() == functional_call(model, [{"embed.weight": identity}, {"head.weight": identity}], x).tolist()
    loose = functional_call(model, {"embed.weight": identity}, x, tie_weights=False)
    assert loose.tolist() == model.norm(model.head(x)).tolist()


def test_buffers_and_gradients() -> None:
    model = nn.Linear(3, 1)
    weight = tg.ones(1, 3, requires_grad=True)
    functional_call(model, {"weight": weight}, ramp()).sum().backward()
    assert weight.grad is not None and model.weight.grad is None
    norm = nn.BatchNorm1d(3).eval()
    shifted = functional_call(norm, {"running_mean": tg.ones(3)}, ramp())
    assert tg.allclose(shifted, norm(ramp() - 1)) and norm.running_mean.tolist() == [0.0] * 3


def test_an_exception_leaves_the_module_as_it_was() -> None:
    model = nn.Linear(3, 1)
    own = model.weight
    with pytest.raises(tg.TracegraphError):
        functional_call(model, {"weight": tg.ones(1, 7)}, ramp())
    assert model.weight is own


def test_wrong_names() -> None:
    model = nn.Linear(3, 1)
    with pytest.raises(ArgumentError, match=r"no parameters or buffers \['gain'\]"):
        functional_call(model, {"gain": tg.ones(1)}, ramp())
    with pytest.raises(ArgumentError, match=r"\['bias'\] that are not given"):
        functional_call(model, {"weight": tg.ones(1, 3)}, ramp(), strict=True)
    with pytest.raises(ArgumentError, match="several of the dicts"):
        functional_call(model, [{"bias": tg.ones(1)}, {"bias": tg.ones(1)}], ramp())
