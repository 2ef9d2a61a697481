"""Parametrizations of tensors: values, keys, removal, and one graph when captured."""

import copy
import pickle

import pytest
from captured import assert_close

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, a):
        return a.triu()


class Skew(nn.Module):
    def forward(self, x):
        return x.triu(1) - x.triu(1).transpose(-1, -2)


class Narrow(nn.Module):
    def forward(self, x):
        return x[:2]


def symmetric():
    tg.manual_seed(0)
    return parametrize.register_parametrization(nn.Linear(4, 4), "weight", Symmetric())


def test_the_tensor_is_computed_from_its_original():
    layer = symmetric()
    assert tg.equal(layer.weight, layer.weight.t())
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    layer(tg.ones(2, 4)).sum().backward()
    assert layer.parametrizations.weight.original.grad.tolist()[1][0] == 0.0


def test_assignment_sets_the_original():
    layer = symmetric()
    layer.weight = tg.ones(4, 4)
    assert layer.parametrizations.weight.original.tolist() == tg.ones(4, 4).triu().tolist()
    parametrize.register_parametrization(layer, "weight", Skew())
    assert layer.weight.diagonal().tolist() == [0.0] * 4
    with pytest.raises(RuntimeError, match="parametrization Skew does not implement right_inverse"):
        layer.weight = tg.ones(4, 4)


@pytest.mark.parametrize("leaves", [True, False])
def test_removal(leaves):
    layer = symmetric()
    other, value = copy.deepcopy(layer), layer.weight.detach()
    original = layer.parametrizations.weight.original
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=leaves)
    assert type(layer) is nn.Linear and layer.weight is original
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert tg.equal(layer.weight, value if leaves else value.triu())
    assert tg.equal(other.weight, value)


def test_state_and_copies():
    layer = symmetric()
    other = symmetric()
    other.weight = tg.eye(4)
    other.load_state_dict(layer.state_dict())
    assert tg.equal(other.weight, layer.weight)
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)


def test_cached():
    layer = symmetric()
    with parametrize.cached(), parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


@pytest.mark.parametrize(
    ("name", "parametrization", "message"),
    [
        ("weight", Narrow(), "may not change the shape of the tensor"),
        ("nope", Symmetric(), "does not have a parameter, a buffer, or a parametrized element with name 'nope'"),
    ],
)
def test_refusals(name, parametrization, message):
    with pytest.raises(ValueError, match=message):
        parametrize.register_parametrization(nn.Linear(4, 4), name, parametrization)


def test_weight_norm():
    layer = parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    older = nn.utils.weight_norm(nn.Conv2d(2, 3, 3))
    assert list(layer.state_dict())[1:] == [f"parametrizations.weight.original{i}" for i in (0, 1)]
    layer.load_state_dict(older.state_dict())
    x = tg.rand(1, 2, 5, 5)
    assert_close([layer(x).detach()], [older(x).detach()])
    parametrize.remove_parametrizations(layer, "weight")
    assert list(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("normalise", [parametrizations.spectral_norm, nn.utils.spectral_norm])
@pytest.mark.parametrize("make", [lambda: nn.Linear(4, 3), lambda: nn.ConvTranspose1d(2, 3, 2)])
def test_spectral_norm(normalise, make):
    tg.manual_seed(0)
    layer = make()
    matrix = layer.weight.detach()
    if matrix.ndim == 3:
        matrix = matrix.transpose(0, 1).reshape(3, -1)
    wanted = layer.weight.detach() / tg.linalg.svdvals(matrix)[0]
    normalise(layer)
    x = tg.rand(1, 4) if isinstance(layer, nn.Linear) else tg.rand(1, 2, 5)
    with tg.no_grad():
        for _ in range(100):
            layer(x)
    assert_close([layer.weight.detach()], [wanted])
    layer.eval()
    before = [b.tolist() for b in layer.buffers()]
    layer(x).sum().backward()
    assert [b.tolist() for b in layer.buffers()] == before
    if normalise is nn.utils.spectral_norm:
        assert sorted(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
        nn.utils.remove_spectral_norm(layer)
        assert_close([layer.weight.detach()], [wanted])
        assert sorted(layer.state_dict()) == ["bias", "weight"]


NORMS = [
    lambda layer: parametrize.register_parametrization(layer, "weight", Symmetric()),
    parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.weight_norm, nn.utils.spectral_norm,
]  # fmt: skip


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("apply", NORMS)
def test_captured(apply, is_cached):
    def run(wrap):
        tg.manual_seed(0)
        model = nn.Sequential(apply(nn.Linear(4, 4)), nn.ReLU(), apply(nn.Linear(4, 4)))
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            if is_cached:
                with parametrize.cached():
                    loss = model(x).sum() + model(x).square().sum()
            else:
                loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        compiled = wrap(step)
        x = tg.rand(5, 4)
        losses = [compiled(x) for _ in range(3)]
        model.eval()
        return [*losses, compiled(x), *(t.detach() for t in (*model.parameters(), *model.buffers()))]

    assert_close(run(lambda f: tg.compile(f, fullgraph=True)), run(lambda f: f))
