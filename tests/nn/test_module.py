"""Modules: registration, traversal, modes, conversion, copies, text."""

import copy
import pickle

import pytest

import tracegraph as tg
from tracegraph import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.scale = nn.Parameter(tg.ones(3))
        self.register_buffer("count", tg.zeros((), dtype=tg.int64))
        self.register_buffer("cache", tg.zeros(3), persistent=False)
        self.rate = 0.5

    def forward(self, x):
        return self.inner(x) * self.scale


def test_assignment_registers():
    block = Block()
    assert [n for n, _ in block.named_parameters()] == ["scale", "inner.weight", "inner.bias"]
    assert [n for n, _ in block.named_buffers()] == ["count", "cache"]
    assert [n for n, _ in block.named_modules()] == ["", "inner"]
    assert [n for n, _ in block.named_children()] == ["inner"]
    assert block.get_parameter("inner.weight") is block.inner.weight
    assert block.get_buffer("count") is block.count
    assert "scale" in dir(block)


def test_a_shared_parameter_is_listed_once():
    block = Block()
    block.twin = block.inner
    block.weight = block.inner.weight
    assert len(list(block.parameters())) == 3
    assert len(list(block.named_parameters(remove_duplicate=False))) == 6
    assert len(list(block.modules())) == 2


def test_reassignment_and_deletion():
    block = Block()
    block.scale = None
    assert block.scale is None
    assert [n for n, _ in block.named_parameters()] == ["inner.weight", "inner.bias"]
    block.count = tg.tensor(5)
    assert block.get_buffer("count").item() == 5
    del block.inner
    assert not list(block.parameters())
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'inner'"):
        _ = block.inner
    block.rate = nn.Parameter(tg.ones(1))  # a plain attribute becomes a parameter
    assert "rate" in block.state_dict()
    assert "rate" not in vars(block)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: setattr(b, "scale", tg.ones(3)), "takes a Parameter or None"),
        (lambda b: setattr(b, "inner", 3), "takes a Module or None"),
        (lambda b: setattr(b, "count", 3), "takes a Tensor or None"),
        (lambda b: b.register_parameter("p", tg.ones(1)), "expected a Parameter"),
        (lambda b: b.register_buffer("a.b", tg.ones(1)), "without dots"),
        (lambda b: b.register_buffer("forward", tg.ones(1)), "has an attribute of this name"),
        (lambda b: b.train("yes"), "must be a bool"),
        (lambda b: nn.Parameter([1.0]), "takes a Tensor"),
    ],
)
def test_what_does_not_register_is_refused(change, message):
    with pytest.raises(tg.TracegraphError, match=message):
        change(Block())


def test_initialisation_comes_first():
    class Hasty(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(tg.ones(1))

    with pytest.raises(TypeError, match=r"super\(\).__init__\(\) in Hasty"):
        Hasty()


def test_every_change_is_counted():
    block = Block()
    changes = [
        lambda: setattr(block, "rate", 0.1),
        lambda: setattr(block, "count", tg.tensor(1)),
        lambda: setattr(block, "scale", nn.Parameter(tg.zeros(3))),
        block.eval,
        lambda: delattr(block, "cache"),
        lambda: block.register_forward_hook(print),
        block.double,
    ]
    for change in changes:
        before = block._changes
        change()
        assert block._changes > before


def test_modes_reach_submodules():
    block = Block()
    assert block.eval() is block
    assert not block.inner.training
    block.train()
    assert block.inner.training


def test_conversion_of_floating_state():
    block = Block()
    block(tg.ones(1, 2)).sum().backward()
    weight = block.inner.weight
    assert block.to(tg.float64) is block
    assert block.inner.weight is weight
    assert weight.dtype is weight.grad.dtype is block.cache.dtype is tg.float64
    assert block.count.dtype is tg.int64
    assert block.half().scale.dtype is tg.float16
    with pytest.raises(TypeError, match="must be floating"):
        block.to(tg.int32)
    with pytest.raises(TypeError, match="cuda"):
        block.to(device="cuda")


def test_gradients_are_switched_and_cleared():
    block = Block()
    block(tg.ones(1, 2)).sum().backward()
    assert block.scale.grad is not None
    block.zero_grad()
    assert block.scale.grad is None
    block.requires_grad_(False)
    assert not block(tg.ones(1, 2)).requires_grad


def test_apply_visits_inner_modules_first():
    seen = []
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate):
    block = Block()
    other = duplicate(block)
    with tg.no_grad():
        other.scale.mul_(2.0)
    assert type(other.scale) is nn.Parameter
    assert other.scale.requires_grad
    assert block.scale.tolist() == [1.0, 1.0, 1.0]
    assert other(tg.ones(1, 2)).shape == (1, 3)


def test_a_copy_keeps_sharing_within():
    block = Block()
    block.twin = block.inner
    other = copy.deepcopy(block)
    assert other.twin is other.inner is not block.inner


def test_text_shows_the_tree():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU(inplace=True)\n"
        "    (1): Dropout(p=0.1, inplace=False)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Tanh()) == "Tanh()"


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(AttributeError, match="'Empty' object has no attribute 'forward'"):
        Empty()()


def test_submodules_by_path():
    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    assert type(model.get_submodule("0.0")) is nn.ReLU
    with pytest.raises(AttributeError, match="no submodule '1'"):
        model.get_submodule("0.1")


def test_type_and_device() -> None:
    layer = nn.Linear(2, 2).type(tg.float64)
    assert layer.weight.dtype is tg.float64
    for arguments in ((), (0,)):
        with pytest.raises(TypeError, match="device 'cuda"):
            layer.cuda(*arguments)
