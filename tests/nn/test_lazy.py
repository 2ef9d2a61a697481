"""Lazy layers: without sizes until their first call, the ordinary layer after it, eager and compiled."""

import copy
import pickle

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.errors import ArgumentError, MissingRuleError, StateDictError, ValueRangeError

LAYERS = [
    (lambda: nn.LazyLinear(4), lambda: nn.Linear(3, 4), (2, 3)),
    (lambda: nn.LazyLinear(4, bias=False), lambda: nn.Linear(3, 4, bias=False), (2, 5, 3)),
    (lambda: nn.LazyConv1d(4, 2), lambda: nn.Conv1d(3, 4, 2), (2, 3, 5)),
    (lambda: nn.LazyConv2d(4, 2, padding=1), lambda: nn.Conv2d(3, 4, 2, padding=1), (2, 3, 5, 5)),
    (lambda: nn.LazyConv2d(4, 2, 1, 0, 1, 2), lambda: nn.Conv2d(6, 4, 2, groups=2), (2, 6, 5, 5)),
    (lambda: nn.LazyConv3d(4, 2), lambda: nn.Conv3d(3, 4, 2), (1, 3, 3, 3, 3)),
    (lambda: nn.LazyConvTranspose1d(4, 2), lambda: nn.ConvTranspose1d(3, 4, 2), (2, 3, 5)),
    (lambda: nn.LazyConvTranspose2d(4, 2, stride=2), lambda: nn.ConvTranspose2d(3, 4, 2, stride=2), (2, 3, 5, 5)),
    (lambda: nn.LazyConvTranspose3d(4, 2), lambda: nn.ConvTranspose3d(3, 4, 2), (1, 3, 3, 3, 3)),
    (nn.LazyBatchNorm1d, lambda: nn.BatchNorm1d(3), (4, 3)),
    (nn.LazyBatchNorm2d, lambda: nn.BatchNorm2d(3), (4, 3, 2, 2)),
    (nn.LazyBatchNorm3d, lambda: nn.BatchNorm3d(3), (4, 3, 2, 2, 2)),
    (lambda: nn.LazyInstanceNorm1d(affine=True), lambda: nn.InstanceNorm1d(3, affine=True), (4, 3, 5)),
    (nn.LazyInstanceNorm2d, lambda: nn.InstanceNorm2d(3), (4, 3, 2, 2)),
    (nn.LazyInstanceNorm3d, lambda: nn.InstanceNorm3d(3), (4, 3, 2, 2, 2)),
]


def ramp(shape):
    return tg.tensor(np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape))


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize(("lazy", "ordinary", "shape"), LAYERS)
def test_the_first_call_makes_the_ordinary_layer(lazy, ordinary, shape, compiles):
    tg.manual_seed(0)
    expected = ordinary()
    layer = lazy()
    call = tg.compile(layer) if compiles else layer
    tg.manual_seed(0)
    x = ramp(shape)
    np.testing.assert_allclose(call(x).detach().numpy(), expected(x).detach().numpy(), rtol=1e-5, atol=1e-5)
    assert type(layer) is type(expected)
    assert repr(layer) == repr(expected)
    assert list(layer.state_dict()) == list(expected.state_dict())
    assert not layer._forward_pre_hooks
    np.testing.assert_allclose(call(x).detach().numpy(), expected(x).detach().numpy(), rtol=1e-5, atol=1e-5)


def network():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_network_is_one_graph_from_the_first_call_on(dynamic):
    net, x = network(), ramp((2, 3, 5, 5))
    twin = copy.deepcopy(net)
    tg.manual_seed(1)
    compiled = tg.compile(net, fullgraph=True, dynamic=dynamic)(x)
    drawn = tg.rand(2).tolist()
    tg.manual_seed(1)
    np.testing.assert_allclose(compiled.detach().numpy(), twin(x).detach().numpy(), rtol=1e-5, atol=1e-5)
    assert drawn == tg.rand(2).tolist()
    assert tg.compiler.explain(net)(x).graph_count == 1


@pytest.mark.parametrize("before", [nn.Dropout(0.5), nn.Identity()])
def test_elements_are_drawn_in_the_order_of_eager_execution(before):
    results = []
    for wrap in (lambda f: f, tg.compile):
        layer, log = nn.LazyLinear(2), []

        def run(x, layer=layer, log=log):
            log.append("called")
            return layer(before(x)) + tg.rand(2)

        tg.manual_seed(3)
        results.append((wrap(run)(ramp((2, 3))).tolist(), layer.weight.tolist(), log, tg.rand(1).tolist()))
    for eager, compiled in zip(*results, strict=True):
        assert eager == compiled or np.allclose(eager, compiled, rtol=1e-5)


def test_many_layers_in_one_call():
    net = nn.Sequential(*(nn.LazyLinear(3) for _ in range(25)))
    tg.compile(net, fullgraph=True)(ramp((2, 3)))
    assert {type(layer) for layer in net} == {nn.Linear}


def test_a_layer_in_a_branch_that_is_not_taken_stays_lazy():
    taken, other = nn.LazyLinear(2), nn.LazyLinear(2)
    x = ramp((2, 3))
    tg.compile(lambda x: tg.cond(x.sum() > -100.0, taken, other, (x,)))(x)
    assert type(taken) is nn.Linear
    assert type(other) is nn.LazyLinear


def test_an_input_that_does_not_fit_raises_the_same():
    layer = nn.LazyConv2d(4, 3)
    for call in (layer, tg.compile(layer), tg.compile(layer, fullgraph=True)):
        with pytest.raises(ValueRangeError, match="LazyConv2d expects a 3-d or 4-d input"):
            call(ramp((2, 3)))
    assert type(layer) is nn.LazyConv2d


def test_nothing_but_the_dtype_is_known_before():
    layer = nn.LazyLinear(4, dtype=tg.float64)
    assert repr(layer.weight) == "<UninitializedParameter>"
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.dtype is tg.float64
    assert layer.has_uninitialized_params()
    with pytest.raises(ArgumentError, match="no shape and no elements before the first call"):
        _ = layer.weight.shape
    with pytest.raises(ArgumentError, match="no shape and no elements before the first call"):
        sum(p.numel() for p in layer.parameters())
    assert layer.half().weight.dtype is tg.float16


def test_compiled_code_that_asks_too_early_raises_the_same():
    layer = nn.LazyLinear(4)
    with pytest.raises(ArgumentError, match="no shape and no elements before the first call"):
        tg.compile(lambda x: x * layer.weight.shape[0])(tg.ones(2))


def test_making_one_draws_no_random_numbers():
    tg.manual_seed(0)
    expected = tg.rand(2).tolist()
    tg.manual_seed(0)
    network()
    assert tg.rand(2).tolist() == expected


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_lazy_on_their_own(copied):
    net, x = network(), ramp((2, 3, 5, 5))
    twin = copied(net)
    twin(x)
    assert type(twin[0]) is nn.Conv2d
    assert type(net[0]) is nn.LazyConv2d
    net(x)
    assert type(net[4]) is nn.Linear


def test_state_dicts():
    trained, x = network(), ramp((2, 3, 5, 5))
    assert isinstance(trained.state_dict()["0.weight"], nn.UninitializedParameter)
    trained(x)
    fresh = network()
    fresh.load_state_dict(trained.state_dict())
    assert fresh[0].weight.shape == (4, 3, 3, 3)
    np.testing.assert_array_equal(fresh.eval()(x).detach().numpy(), trained.eval()(x).detach().numpy())
    assert type(fresh[0]) is nn.Conv2d
    with pytest.raises(StateDictError, match=r"0\.weight has no shape yet in the state_dict"):
        trained.load_state_dict(network().state_dict())


def test_optimizers_may_come_first():
    net, x = nn.Sequential(nn.LazyLinear(3)), ramp((2, 5))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(x).sum().backward()
    before = net[0].bias.detach().clone()
    optimizer.step()
    np.testing.assert_allclose((before - net[0].bias.detach()).numpy(), 0.2, rtol=1e-5)


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ValueRangeError, match=r"LazyConv2d expects a 3-d or 4-d input, got shape \[2, 3\]"):
        nn.LazyConv2d(4, 3)(ramp((2, 3)))
    with pytest.raises(ValueRangeError, match="groups=2 must divide the 3 channels"):
        nn.LazyConv2d(4, 3, groups=2)(ramp((1, 3, 5, 5)))


def states_of(run, *args):
    """What `run(layer, seen, *args)` has seen of a lazy layer and left of it, eagerly and compiled."""
    found = []
    for wrap in (lambda f: f, tg.compile):
        layer, seen, error = nn.LazyLinear(2), [], None
        try:
            wrap(run)(layer, seen, *args)
        except (IndexError, RuntimeError) as raised:
            error = type(raised)
        found.append((seen, type(layer), error))
    return found


@pytest.mark.parametrize(
    "look",
    [
        lambda layer: type(layer).__name__,
        lambda layer: layer.__class__.__name__,
        lambda layer: isinstance(layer, nn.LazyLinear),
        lambda layer: layer.in_features,
        lambda layer: hasattr(layer, "_initialize_hook"),
    ],
)
def test_what_is_asked_before_the_first_call_is_answered_as_of_then(look):
    def run(layer, seen, x):
        seen.append(look(layer))
        layer(x)
        seen.append(look(layer))

    expected, compiled = states_of(run, ramp((2, 3)))
    assert compiled == expected


@pytest.mark.parametrize("index", [1, 7])
def test_a_layer_that_a_failing_call_does_not_reach_stays_lazy(index):
    def run(layer, seen, x, index):
        layer(x[index])

    expected, compiled = states_of(run, ramp((2, 3)), tg.tensor([index]))
    assert compiled == expected


def test_a_layer_that_does_not_say_its_shapes() -> None:
    class Shapeless(nn.lazy.LazyModuleMixin):
        """Without `initialize_parameters`."""

    with pytest.raises(MissingRuleError, match="Shapeless must define initialize_parameters"):
        Shapeless().initialize_parameters(tg.ones(1))
