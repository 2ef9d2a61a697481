"""What Module has beyond layers: submodules by path, extra state, Buffers, memory."""

import pytest

import tracegraph as tg
from tracegraph import nn


def test_set_submodule():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    model.set_submodule("1.0", nn.Tanh())
    model.set_submodule("1.extra", nn.Sigmoid())
    assert [n for n, _ in model[1].named_children()] == ["0", "extra"] and isinstance(model[1][0], nn.Tanh)
    with pytest.raises(ValueError, match="Cannot set the submodule without a target name!"):
        model.set_submodule("", nn.Tanh())
    with pytest.raises(ValueError, match=r"is not an nn\.Module, found <class 'int'>"):
        model.set_submodule("0", 3)
    with pytest.raises(AttributeError, match="Sequential has no attribute `nope`"):
        model.set_submodule("1.nope", nn.Tanh(), strict=True)
    with pytest.raises(AttributeError, match=r"`weight` is not an nn\.Module"):
        model.set_submodule("0.weight", nn.Tanh())


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.kept = nn.Buffer(tg.ones(2))
        self.passing = nn.Buffer(tg.ones(2), persistent=False)

    def forward(self, x):
        self.kept = self.kept * 2
        return x * self.kept + self.passing

    def get_extra_state(self):
        return {"count": self.count}

    def set_extra_state(self, state):
        self.count = state["count"]


def test_extra_state():
    model, other = nn.Sequential(Counting()), nn.Sequential(Counting())
    model[0].count = 5
    state = model.state_dict()
    assert list(state) == ["0.kept", "0._extra_state"]
    other.load_state_dict(state)
    assert other[0].count == 5
    del state["0._extra_state"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0\._extra_state"'):
        other.load_state_dict(state)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_buffers_register_themselves(is_compiled):
    model = Counting()
    call = tg.compile(model, fullgraph=True) if is_compiled else model
    assert [n for n, _ in model.named_buffers()] == ["kept", "passing"] and isinstance(model.kept, nn.Buffer)
    assert [call(tg.ones(2)).tolist() for _ in range(3)] == [[3.0, 3.0], [5.0, 5.0], [9.0, 9.0]]
    assert list(model.state_dict()) == ["kept", "_extra_state"]


def test_memory():
    model = nn.Linear(2, 2)
    before = model.weight.data_ptr()
    assert model.to_empty(device="cpu") is model.share_memory()
    assert model.weight.data_ptr() != before and model.weight.shape == (2, 2) and model.weight.requires_grad
