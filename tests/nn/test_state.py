"""State dicts: names, sharing, strictness, nothing half loaded."""

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import StateDictError


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_names_and_memory():
    m = model()
    state = m.state_dict()
    assert list(state) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    state["0.bias"].fill_(7.0)  # state shares memory with the module
    assert m[0].bias.tolist() == [7.0] * 3
    assert not state["0.bias"].requires_grad
    assert m.state_dict(keep_vars=True)["0.bias"] is m[0].bias
    assert list(m[0].state_dict(prefix="x.")) == ["x.weight", "x.bias"]


def test_loading_copies_values():
    source, target = model(), model()
    weight = target[0].weight
    assert repr(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target[0].weight is weight
    assert (weight == source[0].weight).all()
    with tg.no_grad():
        source[0].weight.zero_()
    assert (weight != 0).any()


def test_loading_by_assignment_shares_and_takes_the_dtype():
    source, target = model().double(), model()
    target.load_state_dict(source.state_dict(), assign=True)
    assert target[0].weight.dtype is tg.float64
    assert target[0].weight.requires_grad
    assert target[1].running_mean.dtype is tg.float64


def test_all_problems_are_listed_and_nothing_changes():
    m = model()
    before = m[0].weight.tolist()
    state = {"0.weight": tg.zeros(2, 3), "0.bias": tg.zeros(3), "extra": tg.zeros(1)}
    with pytest.raises(RuntimeError) as error:
        m.load_state_dict(state)
    text = str(error.value)
    assert "Error(s) in loading state_dict for Sequential" in text
    assert 'Missing key(s) in state_dict: "1.weight", "1.bias"' in text
    assert 'Unexpected key(s) in state_dict: "extra"' in text
    assert "size mismatch for 0.weight: the state_dict has shape [2, 3], the module [3, 2]" in text
    assert m[0].weight.tolist() == before


def test_unstrict_loading_reports():
    m = model()
    result = m.load_state_dict({"0.bias": tg.ones(3), "extra": tg.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    assert len(result.missing_keys) == 6
    assert m[0].bias.tolist() == [1.0, 1.0, 1.0]


def test_what_is_no_state_dict():
    with pytest.raises(TypeError, match="takes a dict of tensors"):
        model().load_state_dict([1])
    with pytest.raises(RuntimeError, match=r"0\.bias must be a Tensor, got list"):
        model().load_state_dict({"0.bias": [1.0]}, strict=False)


def test_files(tmp_path):
    m, other = model(), model()
    tg.save(m.state_dict(), tmp_path / "model")
    other.load_state_dict(tg.load(tmp_path / "model"))
    assert (m[0].weight == other[0].weight).all()


def test_hooks_of_state_dicts():
    net, seen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), []
    net[1].register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append((prefix, keep_vars)))

    def rename(module, state, prefix, metadata):
        state[f"{prefix}scale"] = state.pop(f"{prefix}weight")

    removable = net[1].register_state_dict_post_hook(rename)
    saved = net.state_dict()
    assert seen == [("1.", False)]
    assert list(saved) == ["0.weight", "0.bias", "1.bias", "1.scale"]
    removable.remove()
    assert "1.weight" in net.state_dict()

    def restore(module, state, prefix, metadata, strict, missing, unexpected, errors):
        state[f"{prefix}weight"] = state.pop(f"{prefix}scale")

    twin = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    twin[1].register_load_state_dict_pre_hook(restore)
    assert not any(twin.load_state_dict(saved))
    assert "1.scale" in saved  # the caller's dict stays as it was
    assert twin[1].weight.tolist() == net[1].weight.tolist()


def test_hooks_forgive_missing_keys():
    net = nn.Linear(2, 1)
    seen = []

    def forgive(module, found):
        seen.append(module.weight.tolist())
        found.missing_keys.clear()

    net.register_load_state_dict_post_hook(forgive)
    assert net.load_state_dict({"weight": tg.tensor([[3.0, 4.0]])}).missing_keys == []
    assert seen == [[[3.0, 4.0]]]
    with pytest.raises(StateDictError, match="Unexpected key"):
        net.load_state_dict({"weight": tg.tensor([[3.0, 4.0]]), "other": tg.ones(1)})
