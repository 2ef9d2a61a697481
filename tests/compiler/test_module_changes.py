"""A compiled module that is changed between calls computes, and differentiates, what the eager one does."""

import numpy as np

import tracegraph as tg
from tracegraph import nn


def double_output(module, args, output):
    return output * 2


def halve_gradient(module, grad_input, grad_output):
    return (grad_input[0] / 2,)


def add_one(module, args, kwargs):
    return (args[0] + 1,), kwargs


CHANGES = [
    lambda m: None,
    lambda m: m.requires_grad_(False),
    lambda m: m[0].requires_grad_(True),
    lambda m: m.eval(),
    lambda m: m.train(),
    lambda m: m.append(nn.ReLU()),
    lambda m: m[0].register_forward_hook(double_output),
    lambda m: m[2].register_full_backward_hook(halve_gradient),
    lambda m: m.load_state_dict({k: v * 0 + 1 for k, v in m.state_dict().items()}),
    lambda m: m[0].register_forward_pre_hook(add_one, with_kwargs=True),
    lambda m: setattr(m[0], "bias", None),
    lambda m: m.double(),
]


def run(wrap):
    tg.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    call, seen = wrap(module), []
    for change in CHANGES:
        change(module)
        module.zero_grad()
        y = call(tg.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]], dtype=module[0].weight.dtype))
        if y.requires_grad:
            y.sum().backward()
        seen.append((y.detach().numpy(), y.requires_grad, [p.grad for p in module.parameters()]))
    return seen


def test_every_change_is_seen(monkeypatch):
    monkeypatch.setattr(tg.compiler.config, "recompile_limit", 100)
    for number, (expected, actual) in enumerate(zip(run(lambda m: m), run(tg.compile), strict=True)):
        np.testing.assert_allclose(actual[0], expected[0], rtol=1e-4, atol=1e-5, err_msg=f"change {number}")
        assert actual[1] == expected[1]
        assert [g is None for g in actual[2]] == [g is None for g in expected[2]]
        for a, e in zip(actual[2], expected[2], strict=True):
            if e is not None:
                np.testing.assert_allclose(a.numpy(), e.numpy(), rtol=1e-4, atol=1e-4, err_msg=f"change {number}")
