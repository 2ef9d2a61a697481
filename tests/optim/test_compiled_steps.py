"""`compile(optimizer.step)`: one graph, no recompilation as the learning rate and the step count go on."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import optim

OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "sgd with momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    "adamw": (optim.AdamW, {"lr": 0.1}),
    "adamax": (optim.Adamax, {"lr": 0.1}),
    "nadam": (optim.NAdam, {"lr": 0.1}),
    "radam": (optim.RAdam, {"lr": 0.1, "betas": (0.8, 0.9)}),
    "rmsprop": (optim.RMSprop, {"lr": 0.1, "centered": True, "momentum": 0.5}),
    "adagrad": (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}),
    "adadelta": (optim.Adadelta, {"lr": 0.5}),
    "adafactor": (optim.Adafactor, {"lr": 0.1, "weight_decay": 0.1}),
    "asgd": (optim.ASGD, {"lr": 0.1, "lambd": 0.1, "t0": 3.0}),
    "rprop": (optim.Rprop, {"lr": 0.1}),
}
STEPS = 10


def train(make, options, wrap):
    parameters = [tg.tensor(np.linspace(-1, 1, n), requires_grad=True) for n in (3, 4)]
    optimizer = make(parameters, **options)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    step = wrap(optimizer.step)
    for number in range(STEPS):
        optimizer.zero_grad()
        sum((p.sin() * (number + 1)).sum() for p in parameters).backward()
        step()
        schedule.step()
    return [p.detach().numpy() for p in parameters], optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_agrees_and_settles(name):
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module

    expected, reference = train(*OPTIMIZERS[name], lambda step: step)
    actual, optimizer = train(*OPTIMIZERS[name], lambda step: tg.compile(step, fullgraph=True, backend=backend))
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)
    assert len(graphs) <= 4  # the first step, the second, varying numbers; RAdam has two formulas
    saved, wanted = optimizer.state_dict(), reference.state_dict()
    assert saved["param_groups"] == wanted["param_groups"]
    for number, state in wanted["state"].items():
        assert list(saved["state"][number]) == list(state)
        for key, value in state.items():
            assert np.array_equal(saved["state"][number][key], value)


def test_a_parameter_without_gradient_is_left_alone():
    p, q = (tg.ones(2, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([p, q], lr=0.1)
    step = tg.compile(optimizer.step)
    p.grad = tg.ones(2)
    step()
    assert q.tolist() == [1.0, 1.0]
    q.grad = tg.ones(2)
    step()
    assert q.tolist() != [1.0, 1.0]
    assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (2, 1)


def test_state_that_is_replaced_is_seen():
    p = tg.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    step = tg.compile(optimizer.step)
    for _ in range(3):
        p.grad = tg.ones(2)
        step()
    saved = optimizer.state_dict()
    optimizer.load_state_dict({"state": {}, "param_groups": saved["param_groups"]})
    before = p.detach().clone()
    step()
    np.testing.assert_allclose((before - p.detach()).numpy(), 0.1, rtol=1e-5)


def test_hooks_of_steps():
    p, seen = tg.ones(2, requires_grad=True), []
    optimizer = optim.SGD([p], lr=0.1)
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", p.tolist())))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", o is optimizer)))
    p.grad = tg.ones(2)
    optimizer.step()
    before.remove()
    optimizer.step()
    assert seen == [("before", [1.0, 1.0]), ("after", True), ("after", True)]
