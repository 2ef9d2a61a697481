"""GradScaler: scaled losses, unscaled gradients, steps that are skipped, and the scale that follows."""

import pytest

import tracegraph as tg
from tracegraph import amp, optim
from tracegraph.errors import ArgumentError, DTypeError, ValueRangeError


def setup(**options):
    p = tg.tensor([1.0, 2.0], requires_grad=True)
    return p, optim.SGD([p], lr=0.5), amp.GradScaler("cpu", **options)


def backward(p, scaler, factor=1.0):
    p.grad = None
    scaler.scale((p * factor).sum()).backward()


def test_a_step_is_that_of_the_unscaled_loss():
    p, optimizer, scaler = setup(init_scale=8.0)
    backward(p, scaler, 2.0)
    assert p.grad.tolist() == [16.0, 16.0]
    scaler.step(optimizer)
    scaler.update()
    assert p.grad.tolist() == [2.0, 2.0]
    assert p.tolist() == [0.0, 1.0]
    assert scaler.get_scale() == 8.0


def test_gradients_that_are_not_finite_skip_the_step_and_shrink_the_scale():
    p, optimizer, scaler = setup(init_scale=8.0, backoff_factor=0.25)
    backward(p, scaler, float("inf"))
    assert scaler.step(optimizer) is None
    scaler.update()
    assert (p.tolist(), scaler.get_scale()) == ([1.0, 2.0], 2.0)


def test_the_scale_grows_after_as_many_good_steps():
    p, optimizer, scaler = setup(init_scale=8.0, growth_factor=4.0, growth_interval=2)
    scales = []
    for factor in (1.0, 1.0, 1.0, float("nan"), 1.0, 1.0):
        backward(p, scaler, factor)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [8.0, 32.0, 32.0, 16.0, 16.0, 64.0]


def test_gradients_may_be_clipped_in_between():
    p, optimizer, scaler = setup(init_scale=8.0)
    backward(p, scaler, 3.0)
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3.0, 3.0]
    tg.nn.utils.clip_grad_value_([p], 1.0)
    scaler.step(optimizer)
    assert p.tolist() == [0.5, 1.5]
    with pytest.raises(ValueRangeError, match="since the last update"):
        scaler.unscale_(optimizer)
    with pytest.raises(ValueRangeError, match=r"step\(\) was called for this optimizer already"):
        scaler.step(optimizer)


def test_several_losses_and_optimizers():
    p, first, scaler = setup(init_scale=2.0)
    q = tg.ones(1, requires_grad=True)
    second = optim.SGD([q], lr=1.0)
    losses = scaler.scale([p.sum(), (q * float("inf")).sum()])
    assert [type(losses), losses[0].item()] == [list, 6.0]
    for loss in losses:
        loss.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (p.tolist(), q.tolist(), scaler.get_scale()) == ([0.5, 1.5], [1.0], 1.0)


def test_disabled():
    p, optimizer, scaler = setup(enabled=False)
    backward(p, scaler)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert (p.tolist(), scaler.get_scale(), scaler.is_enabled(), scaler.state_dict()) == ([0.5, 1.5], 1.0, False, {})


def test_state():
    p, optimizer, scaler = setup(init_scale=8.0, growth_interval=3)
    backward(p, scaler)
    scaler.step(optimizer)
    scaler.update()
    saved = scaler.state_dict()
    assert saved == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3, "_growth_tracker": 1,
    }  # fmt: skip
    other = amp.GradScaler()
    other.load_state_dict(saved)
    assert other.state_dict() == saved
    scaler.update(new_scale=4.0)
    assert scaler.get_scale() == 4.0


def test_a_compiled_training_step():
    losses = []
    for wrap in (lambda f: f, tg.compile):
        p, optimizer, scaler = setup(init_scale=8.0, growth_interval=2)

        def step(p, optimizer=optimizer, scaler=scaler):
            optimizer.zero_grad()
            loss = (p * p).sum()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss.detach()

        step = wrap(step)
        losses.append(([step(p).item() for _ in range(4)], scaler.get_scale()))
    assert losses[0] == losses[1]
    assert losses[0][1] == 32.0


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="got 'cuda'"):
        amp.GradScaler("cuda")
    with pytest.raises(ValueRangeError, match=r"growth_factor=1\.0 must be above 1"):
        amp.GradScaler(growth_factor=1.0)
    _, optimizer, scaler = setup()
    with pytest.raises(ArgumentError, match="no closure"):
        scaler.step(optimizer, lambda: 1)
    with pytest.raises(ArgumentError, match=r"got 3 \(int\)"):
        scaler.scale(3)
    with pytest.raises(ValueRangeError, match="call step"):
        scaler.update()
    with pytest.raises(ArgumentError, match="enabled GradScaler"):
        scaler.load_state_dict({})
    half = tg.ones(1, dtype=tg.float16, requires_grad=True)
    half.grad = tg.ones(1, dtype=tg.float16)
    with pytest.raises(DTypeError, match="float16"):
        scaler.unscale_(optim.SGD([half], lr=1.0))
