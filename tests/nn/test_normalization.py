"""Normalisation layers: running statistics, modes, options."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ArgumentError, ShapeError


def test_running_statistics_follow_the_batches(rng):
    layer = nn.BatchNorm2d(3, momentum=0.25)
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.standard_normal((4, 3, 2, 2)) * 3 + 1
        layer(tg.tensor(x.astype(np.float32)))
        mean = 0.75 * mean + 0.25 * x.mean((0, 2, 3))
        var = 0.75 * var + 0.25 * x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 3
    x = rng.standard_normal((4, 3, 2, 2))
    layer.eval()
    wanted = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(layer.double()(tg.tensor(x)).detach().numpy(), wanted, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 3


def test_statistics_carry_no_history():
    layer = nn.BatchNorm1d(2)
    layer(tg.randn(4, 2, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad
    assert layer.weight.grad.shape == (2,)


def test_without_momentum_the_plain_average(rng):
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = [rng.standard_normal((4, 2)) for _ in range(3)]
    for x in batches:
        layer(tg.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([x.mean(0) for x in batches], 0))


def test_without_tracking_evaluation_uses_the_batch():
    layer = nn.BatchNorm1d(2, track_running_stats=False).eval()
    assert layer.running_mean is None
    assert abs(layer(tg.randn(8, 2)).mean().item()) < 1e-6


def test_reset_forgets():
    layer = nn.BatchNorm1d(2)
    layer(tg.randn(8, 2))
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def test_instance_norm_normalises_each_example(rng):
    x = rng.standard_normal((2, 3, 5))
    found = nn.InstanceNorm1d(3, eps=0.0)(tg.tensor(x)).numpy()
    np.testing.assert_allclose(found, (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True))
    layer = nn.InstanceNorm1d(3, track_running_stats=True, affine=True).double()
    layer(tg.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2)))
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var(2, ddof=1).mean(0))


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        (nn.LayerNorm(4), 2),
        (nn.LayerNorm((3, 4), bias=False), 1),
        (nn.LayerNorm(4, elementwise_affine=False), 0),
        (nn.RMSNorm(4), 1),
        (nn.GroupNorm(3, 3), 2),
        (nn.GroupNorm(1, 3, affine=False), 0),
        (nn.BatchNorm1d(3, bias=False), 1),
    ],
    ids=repr,
)
def test_parameters_and_gradients(layer, parameters):
    x = tg.randn(2, 3, 4, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == x.shape
    assert len(list(layer.parameters())) == parameters
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.BatchNorm2d(3)(tg.zeros(2, 3)), r"BatchNorm2d expects a 4-d input, got shape \[2, 3\]"),
        (lambda: nn.BatchNorm1d(3)(tg.zeros(1, 3)), "one value per channel"),
        (lambda: nn.BatchNorm1d(3)(tg.zeros(2, 4)), r"\[4\]|\[3\]"),
        (lambda: nn.GroupNorm(2, 3), "num_groups=2 must divide num_channels=3"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()


def test_statistics_of_all_processes_are_those_of_the_one():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm2d(2, affine=False))).eval()
    state = net.state_dict()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [type(m) for m in converted.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)] == [
        nn.SyncBatchNorm,
        nn.SyncBatchNorm,
    ]
    assert list(converted.state_dict()) == list(state) and not converted[1].training
    assert converted[1].weight is state["1.weight"] or converted[1].weight.tolist() == state["1.weight"].tolist()
    x = tg.randn(5, 4)
    assert nn.SyncBatchNorm(4)(x).tolist() == nn.BatchNorm1d(4)(x).tolist()
    with pytest.raises(ShapeError, match="at least 2 dimensions"):
        nn.SyncBatchNorm(4)(x[0])
    with pytest.raises(ArgumentError, match="no process groups"):
        nn.SyncBatchNorm(4, process_group=1)
