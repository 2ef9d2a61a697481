"""Hooks of leaves see the whole gradient, once, as those of inner tensors do."""

import pytest

import tracegraph as tg
from tracegraph.autograd import grad
from tracegraph.errors import AutogradError


def test_a_leaf_used_twice() -> None:
    seen: list[list[float]] = []
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * x + x).sum().backward()
    assert seen == [[3.0, 5.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 5.0]


def test_a_hook_that_clips_clips_the_sum() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g.clamp(max=4.0))
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]
    (g,) = grad((x * x).sum(), x)
    assert g.tolist() == [2.0, 4.0]


def test_gradients_add_up_over_passes() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6.0, 12.0]


def test_hooks_after_accumulation() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    seen: list[list[float]] = []

    def hook(leaf: tg.Tensor) -> None:
        assert leaf is x
        assert leaf.grad is not None
        seen.append(leaf.grad.tolist())

    handle = x.register_post_accumulate_grad_hook(hook)
    x.register_hook(lambda g: g * 2)
    (x * x + x).sum().backward()
    (x * 3).sum().backward()
    assert seen == [[6.0, 10.0], [12.0, 16.0]]
    grad(x.sum(), x)
    handle.remove()
    x.sum().backward()
    assert len(seen) == 2
    for tensor in (x * 2, tg.ones(2)):
        with pytest.raises(AutogradError, match="leaves that require grad"):
            tensor.register_post_accumulate_grad_hook(hook)
