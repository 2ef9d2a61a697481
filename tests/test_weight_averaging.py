"""Averages of weights over training, under PyTorch's names."""

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.optim import swa_utils as named
from tracegraph.optim.swa_utils import SWALR, AveragedModel, update_bn


def fill(model, value):
    with tg.no_grad():
        for p in model.parameters():
            p.fill_(value)


def small():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, (1 + 2 + 4) / 3),
        ({"avg_fn": named.get_swa_avg_fn()}, (1 + 2 + 4) / 3),
        ({"multi_avg_fn": named.get_ema_multi_avg_fn(0.9)}, (1 * 0.9 + 2 * 0.1) * 0.9 + 4 * 0.1),
        ({"avg_fn": named.get_ema_avg_fn(0.9)}, (1 * 0.9 + 2 * 0.1) * 0.9 + 4 * 0.1),
    ],
)
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages(options, wanted, use_buffers):
    model = small()
    average = AveragedModel(model, use_buffers=use_buffers, **options)
    for value in (1.0, 2.0, 4.0):
        fill(model, value)
        model[1].running_mean.fill_(value)
        average.update_parameters(model)
    for p in average.parameters():
        assert p.tolist() == tg.full(p.shape, wanted).tolist() or tg.allclose(p, tg.full(p.shape, wanted))
    assert average.module[1].running_mean.tolist() == pytest.approx([wanted if use_buffers else 4.0] * 2)
    assert average.n_averaged.item() == 3
    assert list(average.state_dict())[:2] == ["n_averaged", "module.0.weight"]
    assert tg.allclose(tg.compile(average.eval(), fullgraph=True)(tg.ones(3, 2)), average(tg.ones(3, 2)))


def test_statistics_are_means_over_the_batches():
    model = nn.BatchNorm1d(2)
    batches = [tg.rand(4, 2) for _ in range(3)]
    model.eval()
    update_bn([(b, None) for b in batches], model)
    assert tg.allclose(model.running_mean, tg.stack([b.mean(0) for b in batches]).mean(0))
    assert not model.training and model.momentum == 0.1


@pytest.mark.parametrize(
    ("strategy", "epochs", "wanted"),
    [
        ("linear", 2, [0.5, 0.25, 0.15, 0.05, 0.05]),
        ("cos", 2, [0.5, 0.25, 0.15, 0.05, 0.05]),
        ("cos", 0, [0.5, 0.25, 0.05, 0.05, 0.05]),
    ],
)
def test_schedule_behind_another(strategy, epochs, wanted):
    optimizer = tg.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0)
    first = tg.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    last = SWALR(optimizer, swa_lr=0.05, anneal_epochs=epochs, anneal_strategy=strategy)
    rates = []
    for epoch in range(5):
        optimizer.step()
        (first if epoch < 2 else last).step()
        rates += last.get_last_lr()
    assert rates == pytest.approx(wanted)


def test_refusals():
    optimizer = tg.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0)
    with pytest.raises(ValueError, match=r"Invalid decay value 2 provided\. Please provide a value in \[0,1\] range"):
        named.get_ema_multi_avg_fn(2)
    with pytest.raises(ValueError, match="anneal_strategy must be one of 'cos' or 'linear', instead got steps"):
        SWALR(optimizer, 0.1, anneal_strategy="steps")
    with pytest.raises(ValueError, match="anneal_epochs must be equal or greater than 0, got -1"):
        SWALR(optimizer, 0.1, anneal_epochs=-1)
    with pytest.raises(TypeError, match="Only one of avg_fn and multi_avg_fn"):
        AveragedModel(small(), avg_fn=named.get_swa_avg_fn(), multi_avg_fn=named.get_swa_multi_avg_fn())
