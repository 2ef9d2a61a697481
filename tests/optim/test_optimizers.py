"""Optimisers against their published formulas, written out in numpy; groups, state, errors."""

import copy

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import optim

START = np.array([1.0, -2.0, 3.0])
STEPS = 5


def gradient_at(p, step):
    """A gradient that depends on the parameter and changes over time."""
    return p * 0.5 + np.sin(step + np.arange(3))


def run(make, **options):
    p = tg.tensor(START, requires_grad=True)
    optimizer = make([p], **options)
    for step in range(STEPS):
        p.grad = tg.tensor(gradient_at(p.detach().numpy(), step))
        optimizer.step()
    return p.detach().numpy()


def sgd(lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    p, v = START.copy(), None
    for step in range(STEPS):
        g = gradient_at(p, step) * (-1 if maximize else 1) + weight_decay * p
        if momentum:
            v = g.copy() if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        p = p - lr * g
    return p


def adam(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False):
    p, m, v, largest = START.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for step in range(STEPS):
        g = gradient_at(p, step)
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        largest = np.maximum(largest, v)
        second = (largest if amsgrad else v) / (1 - betas[1] ** (step + 1))
        p = p - lr * m / (1 - betas[0] ** (step + 1)) / (np.sqrt(second) + eps)
    return p


def rmsprop(lr=0.1, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    p, v, mean, buffer = START.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for step in range(STEPS):
        g = gradient_at(p, step)
        v = alpha * v + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g
        d = g / (np.sqrt(v - mean * mean if centered else v) + eps)
        buffer = momentum * buffer + d
        p = p - lr * (buffer if momentum else d)
    return p


def adagrad(lr=0.1, lr_decay=0.0, eps=1e-10):
    p, total = START.copy(), np.zeros(3)
    for step in range(STEPS):
        g = gradient_at(p, step)
        total = total + g * g
        p = p - lr / (1 + step * lr_decay) * g / (np.sqrt(total) + eps)
    return p


def adadelta(lr=1.0, rho=0.9, eps=1e-6):
    p, v, u = START.copy(), np.zeros(3), np.zeros(3)
    for step in range(STEPS):
        g = gradient_at(p, step)
        v = rho * v + (1 - rho) * g * g
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d * d
        p = p - lr * d
    return p


def adamax(lr=2e-3, betas=(0.9, 0.999), eps=1e-8):
    p, m, u = START.copy(), np.zeros(3), np.zeros(3)
    for step in range(STEPS):
        g = gradient_at(p, step)
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)
        p = p - lr / (1 - betas[0] ** (step + 1)) * m / u
    return p


def nadam(lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled=False):
    p, m, v = START.copy(), np.zeros(3), np.zeros(3)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, STEPS + 2)]
    for step in range(STEPS):
        g = gradient_at(p, step)
        p, g = (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        done = np.prod(mu[: step + 1])
        mixed = mu[step + 1] * m / (1 - done * mu[step + 1]) + (1 - mu[step]) * g / (1 - done)
        p = p - lr * mixed / (np.sqrt(v / (1 - betas[1] ** (step + 1))) + eps)
    return p


def radam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    p, m, v = START.copy(), np.zeros(3), np.zeros(3)
    longest = 2 / (1 - betas[1]) - 1
    for step in range(STEPS):
        t, g = step + 1, gradient_at(p, step)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        n = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        d = m / (1 - betas[0] ** t)
        if n > 5:
            r = np.sqrt((n - 4) * (n - 2) * longest / ((longest - 4) * (longest - 2) * n))
            d = d * r * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
        p = p - lr * d
    return p


def rprop(lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    p, last, size = START.copy(), np.zeros(3), np.full(3, lr)
    for step in range(STEPS):
        g = gradient_at(p, step)
        turn = g * last
        size = np.clip(size * np.where(turn > 0, etas[1], np.where(turn < 0, etas[0], 1)), *step_sizes)
        last = np.where(turn < 0, 0, g)
        p = p - np.sign(last) * size
    return p


def asgd(lr=1e-2, lambd=1e-4, alpha=0.75, weight_decay=0.0, **rest):
    p = START.copy()
    for step in range(STEPS):
        eta = lr / (1 + lambd * lr * step) ** alpha
        g = gradient_at(p, step) + weight_decay * p
        p = (1 - lambd * eta) * p - eta * g
    return p


def adafactor(lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0):
    p, v = START.copy(), np.zeros(3)
    least = np.finfo(float).eps if eps[0] is None else eps[0]
    for step in range(1, STEPS + 1):
        g = gradient_at(p, step - 1)
        rate = max(eps[1], np.sqrt((p * p).mean())) * min(lr, step**-0.5)
        p = p * (1 - lr * weight_decay)
        v = v + (g * g - v) * step**beta2_decay
        u = g / np.sqrt(np.maximum(v, least * least))
        p = p - rate * u / max(1, np.sqrt((u * u).mean()) / d)
    return p


@pytest.mark.parametrize(
    ("make", "reference", "options"),
    [
        (optim.ASGD, asgd, {"lr": 0.1, "lambd": 0.3, "weight_decay": 0.1}),
        (optim.Adafactor, adafactor, {}),
        (optim.Adafactor, adafactor, {"lr": 0.5, "eps": (0.5, 2.5), "d": 1.5, "weight_decay": 0.1}),
        (optim.Rprop, rprop, {"lr": 0.1}),
        (optim.Rprop, rprop, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2)}),
        (optim.Adadelta, adadelta, {"lr": 0.5, "rho": 0.8}),
        (optim.Adamax, adamax, {"lr": 0.1}),
        (optim.NAdam, nadam, {"lr": 0.1, "weight_decay": 0.1}),
        (optim.RAdam, radam, {"lr": 0.1}),
        (optim.RAdam, radam, {"lr": 0.1, "betas": (0.8, 0.7)}),
        (optim.SGD, sgd, {"lr": 0.1}),
        (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
        (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (optim.SGD, sgd, {"lr": 0.1, "maximize": True}),
        (optim.Adam, adam, {"lr": 0.1, "weight_decay": 0.1}),
        (optim.Adam, adam, {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.6)}),
        (optim.AdamW, lambda **o: adam(decoupled=True, **o), {"lr": 0.1, "weight_decay": 0.1}),
        (optim.RMSprop, rmsprop, {"lr": 0.1}),
        (optim.RMSprop, rmsprop, {"lr": 0.1, "centered": True, "momentum": 0.5}),
        (optim.Adagrad, adagrad, {"lr": 0.1, "lr_decay": 0.1}),
    ],
)
def test_updates_follow_the_formula(make, reference, options):
    np.testing.assert_allclose(run(make, **options), reference(**options), rtol=1e-12)


def test_groups_override_defaults_and_missing_gradients_are_skipped():
    a, b, c = (tg.ones(2, requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b, c], "lr": 1.0}], lr=0.5)
    a.grad, b.grad = tg.ones(2), tg.ones(2)
    optimizer.step()
    assert (a.tolist(), b.tolist(), c.tolist()) == ([0.5, 0.5], [0.0, 0.0], [1.0, 1.0])
    optimizer.zero_grad()
    assert a.grad is None


def test_state_survives_saving():
    p = tg.tensor(START, requires_grad=True)
    one = optim.Adam([p], lr=0.1)
    p.grad = tg.tensor(START)
    one.step()
    state = copy.deepcopy(one.state_dict())
    q = tg.tensor(p.detach().numpy(), requires_grad=True)
    two = optim.Adam([q], lr=0.7)
    two.load_state_dict(state)
    for optimizer, t in ((one, p), (two, q)):
        t.grad = tg.tensor(START)
        optimizer.step()
    assert p.tolist() == q.tolist()
    with pytest.raises(ValueError, match=r"sizes \[1\]"):
        optim.Adam([p, tg.ones(1, requires_grad=True)]).load_state_dict(state)


def test_closure_runs_with_gradients():
    p = tg.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD([p], lr=-1), "lr=-1"),
        (lambda p: optim.SGD([], lr=1), "empty"),
        (lambda p: optim.SGD(p, lr=1), "single Tensor"),
        (lambda p: optim.SGD([p, p], lr=1), "more than once"),
        (lambda p: optim.SGD([p * 2], lr=1), "not a leaf"),
        (lambda p: optim.SGD([3], lr=1), "takes Tensors, got"),
        (lambda p: optim.SGD([p], nesterov=True), "nesterov"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), r"betas\[0\]"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(tg.ones(2, requires_grad=True))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: optim.lr_scheduler.StepLR(o, 2, 0.1), [1, 1, 0.1, 0.1, 0.01]),
        (lambda o: optim.lr_scheduler.MultiStepLR(o, [1, 3], 0.1), [1, 0.1, 0.1, 0.01, 0.01]),
        (lambda o: optim.lr_scheduler.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (lambda o: optim.lr_scheduler.LinearLR(o, 0.5, 1.0, 2), [0.5, 0.75, 1, 1, 1]),
        (lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1]),
        (lambda o: optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
    ],
)
def test_schedules(make, expected):
    optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    seen = []
    for _ in expected:
        seen.append(schedule.get_last_lr()[0])
        schedule.step()
    np.testing.assert_allclose(seen, expected, atol=1e-12)


def test_plateau_reduces_after_patience():
    optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    for metric in (3, 2, 2, 2, 2, 2):
        schedule.step(metric)
    assert optimizer.param_groups[0]["lr"] == 0.25


class Momentum(tg.optim.Optimizer):
    """What a user writes: a step of its own, and states made where they are first needed."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @tg.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p not in self.state:
                    self.state[p] = {"velocity": tg.zeros_like(p)}
                velocity = self.state[p]["velocity"]
                velocity.mul_(0.9).add_(p.grad)
                p.add_(velocity, alpha=-group["lr"])


def test_a_step_of_ones_own():
    groups = [{"params": [tg.ones(2, requires_grad=True)], "lr": 0.5}, {"params": (tg.ones(3, requires_grad=True),)}]
    optimizer = Momentum(groups)
    assert optimizer.param_groups[1] is groups[1] and groups[1]["lr"] == 0.1  # as in PyTorch, the groups given
    assert not optimizer.state
    tensors = [p for g in groups for p in g["params"]]

    def step():
        optimizer.zero_grad()
        sum((p * p).sum() for p in tensors).backward()
        optimizer.step()

    step()
    tg.compile(step, fullgraph=True)()
    np.testing.assert_allclose(tensors[0].detach().numpy(), -0.9)  # 1, then 1 - 0.5 * 2, then 0 - 0.5 * 0.9 * 2
    np.testing.assert_allclose(optimizer.state[tensors[1]]["velocity"].numpy(), 0.9 * 2 + 2 * 0.8)


def test_neither_step_nor_update():
    p = tg.ones(1, requires_grad=True)
    p.sum().backward()
    optimizer = type("Empty", (tg.optim.Optimizer,), {})([p], {})
    with pytest.raises(NotImplementedError, match="defines neither step"):
        optimizer.step()
