"""Containers behave as the lists and dicts they resemble."""

from collections import OrderedDict

import pytest

import tracegraph as tg
from tracegraph import nn


def test_sequential_applies_in_order():
    m = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = tg.ones(4, 2)
    assert (m(x) == m[2](m[1](m[0](x)))).all()
    assert len(m) == 3
    assert type(m[-1]) is nn.Linear
    assert [type(x).__name__ for x in m[:2]] == ["Linear", "ReLU"]
    assert m[:2][0] is m[0]


def test_sequential_changes():
    m = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), act=nn.ReLU()))
    assert list(m.state_dict()) == ["first.weight", "first.bias"]
    assert list(m[:1]._modules) == ["first"]
    m = nn.Sequential(nn.ReLU(), nn.Tanh())
    m.append(nn.Sigmoid()).insert(1, nn.GELU())
    assert [type(x).__name__ for x in m] == ["ReLU", "GELU", "Tanh", "Sigmoid"]
    del m[0]
    assert list(m._modules) == ["0", "1", "2"]
    m[0] = nn.Identity()
    assert type(m[0]) is nn.Identity
    with pytest.raises(IndexError, match="index 5 is out of range for 3"):
        m[5]


def test_module_list():
    m = nn.ModuleList(nn.Linear(i + 1, 1) for i in range(3))
    assert [n for n, _ in m.named_parameters()][:2] == ["0.weight", "0.bias"]
    m += [nn.ReLU()]
    assert len(m + nn.ModuleList([nn.ReLU()])) == 5
    assert type(m[1:]) is nn.ModuleList
    del m[1:3]
    assert list(m._modules) == ["0", "1"]
    assert type(m[1]) is nn.ReLU


def test_module_dict():
    m = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    assert list(m) == ["a", "b"]
    assert "a" in m
    m.update([("c", nn.Tanh())])
    assert type(m.pop("a")) is nn.ReLU
    assert list(m.keys()) == ["b", "c"]
    assert len(list(m.parameters())) == 2
    m.clear()
    assert len(m) == 0


def test_parameter_containers():
    listed = nn.ParameterList([tg.ones(2), nn.Parameter(tg.zeros(3))])
    listed.append(tg.ones(1))
    assert [n for n, _ in listed.named_parameters()] == ["0", "1", "2"]
    assert all(isinstance(p, nn.Parameter) for p in listed)
    assert len(listed[1:]) == 2
    assert "size 2" in repr(listed)
    named = nn.ParameterDict({"w": tg.ones(2)})
    named["b"] = tg.zeros(1)
    assert list(named.state_dict()) == ["w", "b"]
    del named["w"]
    assert "w" not in named
    with pytest.raises(TypeError, match="expected a Parameter or Tensor, got int"):
        named["x"] = 3


def test_only_modules_go_in():
    with pytest.raises(TypeError, match="expected a Module, got int"):
        nn.Sequential(3)


def test_parts_are_taken_away():
    layers = nn.ModuleList([nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)])
    assert isinstance(layers.pop(-1), nn.Linear) and len(layers) == 2
    assert isinstance(nn.Sequential(*layers).pop(1), nn.ReLU)
    named = nn.ParameterDict({"a": tg.ones(1)})
    named.update({"b": tg.zeros(1)})
    assert named.get("c") is None and named.get("b") is named["b"]
    assert named.pop("a").item() == 1.0 and list(named) == ["b"]
    named.clear()
    assert not len(named)


def test_shared_modules_are_listed_once_or_every_time():
    shared = nn.ReLU()
    twice = nn.Sequential(shared, shared)
    assert (len(list(twice.modules())), len(list(twice.modules(remove_duplicate=False)))) == (2, 3)
