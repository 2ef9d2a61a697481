"""Learning-rate schedules: the rates they set, step by step, and what they refuse."""

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import optim
from tracegraph.errors import ArgumentError, ValueRangeError

L = optim.lr_scheduler


def optimizer(lr=1.0, **options):
    return optim.SGD([tg.ones(2, requires_grad=True)], lr=lr, **options)


def rates(schedule, steps, option="lr"):
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0][option])
        schedule.step()
    return found


def cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: L.ConstantLR(o, 0.5, 2), [0.5, 0.5, 1, 1]),
        (lambda o: L.PolynomialLR(o, 4, 2.0), [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
        (lambda o: L.MultiplicativeLR(o, lambda step: step + 1), [1, 2, 6, 24]),
        (
            lambda o: L.CosineAnnealingWarmRestarts(o, 2, 2, 0.1),
            [1, cosine(1, 0.1, 1 / 2), 1, *(cosine(1, 0.1, i / 4) for i in (1, 2, 3)), 1],
        ),
        (lambda o: L.CyclicLR(o, 1.0, 3.0, 2, cycle_momentum=False), [1, 2, 3, 2, 1, 2, 3]),
        (lambda o: L.CyclicLR(o, 1.0, 3.0, 2, 1, "triangular2", cycle_momentum=False), [1, 2, 3, 1, 1.5, 2, 1]),
        (
            lambda o: L.OneCycleLR(o, 10.0, 6, pct_start=0.5, anneal_strategy="linear", div_factor=10),
            [1, 5.5, 10, *(10 + (1e-4 - 10) * i / 3 for i in (1, 2, 3))],
        ),
        (lambda o: L.ChainedScheduler([L.ConstantLR(o, 0.5, 2), L.ExponentialLR(o, 0.5)]), [0.5, 0.25, 0.25, 0.125]),
        (
            lambda o: L.SequentialLR(o, [L.LinearLR(o, 0.5, 1.0, 2), L.StepLR(o, 2, 0.1)], [2]),
            [0.5, 0.75, 1, 1, 0.1, 0.1, 0.01],
        ),
    ],
)
def test_rates(make, expected):
    np.testing.assert_allclose(rates(make(optimizer()), len(expected)), expected, rtol=1e-12, atol=1e-12)


def test_cycles_move_the_momentum_the_other_way():
    schedule = L.CyclicLR(optimizer(momentum=0.5), 1.0, 3.0, 2, base_momentum=0.8, max_momentum=0.9)
    np.testing.assert_allclose(rates(schedule, 4, "momentum"), [0.9, 0.85, 0.8, 0.85])
    adam = optim.Adam([tg.ones(2, requires_grad=True)])
    L.OneCycleLR(adam, 1.0, 10)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)


def test_plateau_waits_cools_down_and_ends():
    schedule = L.ReduceLROnPlateau(optimizer(), patience=1, factor=0.5, cooldown=1, min_lr=0.2)
    seen = []
    for metric in [1.0, *[2.0] * 9]:
        schedule.step(metric)
        seen.append(schedule.get_last_lr()[0])
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2]
    other = L.ReduceLROnPlateau(optimizer())
    other.load_state_dict(schedule.state_dict())
    assert (other.best, other.patience, other.last_epoch) == (1.0, 1, 10)


def test_schedules_go_on_where_they_were():
    first = optimizer()
    schedule = L.StepLR(first, 2, 0.1)
    rates(schedule, 3)
    second = optimizer()
    second.load_state_dict(first.state_dict())
    assert L.StepLR(second, 2, 0.1, last_epoch=3).get_last_lr() == pytest.approx([0.01])
    with pytest.raises(ValueRangeError, match='group 0 has no "initial_lr"'):
        L.StepLR(optimizer(), 2, last_epoch=3)


def test_bad_options_are_named():
    o = optimizer()
    with pytest.raises(ValueRangeError, match="pass total_steps, or epochs and steps_per_epoch"):
        L.OneCycleLR(o, 1.0)
    with pytest.raises(ValueRangeError, match="anneal_strategy='sine' must be 'cos' or 'linear'"):
        L.OneCycleLR(o, 1.0, 5, anneal_strategy="sine")
    with pytest.raises(ValueRangeError, match="2 schedules need one milestone less, got 2"):
        L.SequentialLR(o, [L.ConstantLR(o), L.ConstantLR(o)], [1, 2])
    with pytest.raises(ArgumentError, match=r"schedulers\[0\] must be an LRScheduler, got 3"):
        L.ChainedScheduler([3])
    with pytest.raises(ValueRangeError, match="mode='square' must be one of"):
        L.CyclicLR(o, 0.1, 1.0, mode="square")


def test_schedules_of_ones_own_write_get_lr():
    class Warmup(L._LRScheduler):
        def __init__(self, optimizer, steps, last_epoch=-1):
            self.steps = steps
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            return [base * min(1.0, (self.last_epoch + 1) / self.steps) for base in self.base_lrs]

    np.testing.assert_allclose(rates(Warmup(optimizer(2.0), 4), 5), [0.5, 1, 1.5, 2, 2])


def test_a_schedule_without_rates_says_so():
    class Empty(L.LRScheduler):
        pass

    with pytest.raises(TypeError, match="Empty has neither factor"):
        Empty(optimizer())
