"""Autocasting: what each op computes in, eagerly and compiled, and what becomes of gradients."""

import threading
import warnings

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir, nn
from tracegraph.errors import ArgumentError
from tracegraph.ops.core.autocast import CASTING, Autocast
from tracegraph.ops.core.definition import Definition

F = nn.functional


def ones(*shape, dtype=tg.float32):
    return tg.ones(shape, dtype=dtype)


def dtype_under_autocast(function, *args, dtype=tg.bfloat16):
    with tg.autocast("cpu", dtype=dtype):
        return function(*args).dtype


@pytest.mark.parametrize("dtype", [tg.bfloat16, tg.float16])
@pytest.mark.parametrize(
    ("function", "args"),
    [
        (tg.matmul, (ones(2, 2), ones(2, 2))),
        (lambda a, b: a @ b, (ones(2, 2), ones(2, 2, dtype=tg.bfloat16))),
        (F.linear, (ones(2, 3), ones(4, 3), ones(4))),
        (F.conv2d, (ones(1, 1, 4, 4), ones(1, 1, 3, 3))),
        (F.scaled_dot_product_attention, (ones(1, 2, 4), ones(1, 2, 4), ones(1, 2, 4))),
        (lambda a, b: tg.einsum("ij,jk->ik", a, b), (ones(2, 2), ones(2, 2))),
    ],
)
def test_products_are_low(function, args, dtype):
    assert dtype_under_autocast(function, *args, dtype=dtype) is dtype


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (F.mse_loss, (ones(3, dtype=tg.bfloat16), ones(3, dtype=tg.bfloat16))),
        (F.cross_entropy, (ones(2, 3, dtype=tg.bfloat16), tg.tensor([0, 1]))),
        (tg.prod, (ones(3, dtype=tg.float16),)),
        (F.l1_loss, (ones(3, dtype=tg.bfloat16), ones(3, dtype=tg.bfloat16))),
    ],
)
def test_losses_and_products_of_many_are_float32(function, args):
    assert function(*args).dtype is not tg.float32
    assert dtype_under_autocast(function, *args) is tg.float32


def test_joining_takes_the_widest():
    low, high = ones(2, dtype=tg.bfloat16), ones(2)
    assert dtype_under_autocast(tg.cat, [low, high]) is tg.float32
    assert dtype_under_autocast(tg.stack, [low, high]) is tg.float32
    assert dtype_under_autocast(tg.cat, [low, low]) is tg.bfloat16


def test_other_ops_and_other_dtypes_stay():
    assert dtype_under_autocast(tg.exp, ones(2)) is tg.float32
    assert dtype_under_autocast(tg.exp, ones(2, dtype=tg.bfloat16)) is tg.bfloat16
    assert dtype_under_autocast(tg.matmul, *[ones(2, 2, dtype=tg.float64)] * 2) is tg.float64
    assert dtype_under_autocast(tg.matmul, *[tg.ones((2, 2), dtype=tg.int64)] * 2) is tg.int64


def test_what_an_op_is_made_of_is_not_cast():
    """Attention holds two products and a softmax; its value is that of 16-bit operands, nothing cast on the way."""
    x = tg.tensor(np.arange(24.0, dtype=np.float32).reshape(1, 4, 6) / 10)
    with tg.autocast("cpu", dtype=tg.bfloat16):
        inside = F.scaled_dot_product_attention(x, x, x)
    low = x.bfloat16()
    np.testing.assert_array_equal(inside.float().numpy(), F.scaled_dot_product_attention(low, low, low).float().numpy())


def test_derived_ops_leave_it_to_what_they_call():
    assert dtype_under_autocast(lambda x: tg.linalg.multi_dot([x, x, x]), ones(2, 2)) is tg.bfloat16
    assert dtype_under_autocast(lambda x: tg.hstack([x, x.bfloat16()]), ones(2, 2)) is tg.float32


def test_every_op_says_a_known_rule():
    rules = {op.autocast for op in map(ir.lookup, tg.ops.names()) if isinstance(op, Definition)}
    assert rules == {None, *Autocast}


def test_blocks_nest_and_end():
    x = ones(2, 2)
    with tg.autocast("cpu", dtype=tg.float16):
        assert tg.is_autocast_enabled()
        assert tg.get_autocast_dtype("cpu") is tg.float16
        with tg.autocast("cpu", enabled=False):
            assert not tg.is_autocast_enabled("cpu")
            assert (x @ x).dtype is tg.float32
        assert (x @ x).dtype is tg.float16
    assert not tg.is_autocast_enabled()
    assert tg.get_autocast_dtype() is tg.bfloat16
    with pytest.raises(ZeroDivisionError), tg.autocast("cpu"):
        _ = 1 / 0
    assert not tg.is_autocast_enabled()
    assert not CASTING


def test_other_threads_are_not_cast():
    found = []
    with tg.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append(tg.matmul(ones(2, 2), ones(2, 2)).dtype))
        thread.start()
        thread.join()
    assert found == [tg.float32]


def test_functions_are_decorated():
    @tg.amp.autocast("cpu", dtype=tg.bfloat16)
    def f(x):
        """Square."""
        return x @ x

    assert f.__doc__ == "Square."
    assert f(ones(2, 2)).dtype is tg.bfloat16


def test_switches_without_a_block():
    tg.set_autocast_enabled("cpu", True)
    tg.set_autocast_dtype("cpu", tg.float16)
    try:
        assert (ones(2, 2) @ ones(2, 2)).dtype is tg.float16
    finally:
        tg.set_autocast_enabled("cpu", False)
        tg.set_autocast_dtype("cpu", tg.bfloat16)


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentError, match=r"'device_type' must be .cpu., the only device, got 'cuda'"):
        tg.autocast("cuda")
    with pytest.raises(ArgumentError, match="'dtype' must be a dtype, got 'bf16'"):
        tg.autocast("cpu", dtype="bf16")
    with pytest.warns(UserWarning, match="only to bfloat16 and float16"), tg.autocast("cpu", dtype=tg.float64):
        assert not tg.is_autocast_enabled()
    with pytest.raises(ArgumentError, match="must be bfloat16 or float16"):
        tg.set_autocast_dtype("cpu", tg.float32)


# ------------------------------------------------------------------------------------------ gradients


def model():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2))


def loss_of(net, x):
    with tg.autocast("cpu", dtype=tg.bfloat16):
        return F.mse_loss(net(x), tg.zeros(3, 2))


def test_gradients_have_the_parameters_dtypes_and_follow_forward():
    net, x = model(), tg.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
    loss_of(net, x).backward()
    low = [p.grad for p in net.parameters()]
    assert all(g.dtype is tg.float32 for g in low)
    net.zero_grad()
    F.mse_loss(net(x), tg.zeros(3, 2)).backward()
    for g, p in zip(low, net.parameters(), strict=True):
        np.testing.assert_allclose(g.numpy(), p.grad.numpy(), rtol=0.1, atol=0.02)


def test_backward_inside_the_block_is_the_same():
    w = tg.tensor(np.array([[1.2345678, 2.3456789]], np.float32), requires_grad=True)
    x = tg.tensor(np.array([[1.1111111], [2.2222222]], np.float32))
    gradients = []
    for inside in (False, True):
        y = w @ x  # in float32
        with tg.autocast("cpu", enabled=inside):
            (g,) = tg.autograd.grad(y.sum(), w)
        gradients.append(g.numpy())
    np.testing.assert_array_equal(*gradients)


def test_two_backward_passes_through_one_block():
    w = tg.ones((2, 2), requires_grad=True)
    with tg.autocast("cpu"):
        first, second = (w @ ones(2, 2)).sum(), (w @ ones(2, 2)).sum()
    first.backward()
    second.backward()
    assert w.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_checkpoints_run_again_in_the_same_precision():
    w = tg.tensor(np.array([[1.2345678, 2.3456789]], np.float32), requires_grad=True)
    x = tg.tensor(np.array([[1.1111111], [2.2222222]], np.float32))
    seen = []

    def product(w, x):
        y = w @ x
        seen.append(y.dtype)
        return y

    with tg.autocast("cpu"):
        y = tg.utils.checkpoint.checkpoint(product, w, x)
    y.float().sum().backward()
    assert seen == [tg.bfloat16, tg.bfloat16]
    assert w.grad.dtype is tg.float32


# ------------------------------------------------------------------------------------------ compiled


def test_compiled_training_step_agrees():
    x = tg.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
    results = []
    for compiles in (False, True):
        net = model()
        step = tg.compile(loss_of, fullgraph=True) if compiles else loss_of
        loss = step(net, x)
        loss.backward()
        results.append([loss.detach().numpy(), *(p.grad.numpy() for p in net.parameters())])
    for eager, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=2e-2, atol=2e-3)


def test_the_state_at_entry_is_guarded_in_the_users_terms():
    calls = []

    def backend(module, inputs):
        calls.append(module)
        return module

    @tg.compile(backend=backend)
    def f(x):
        return x @ x

    x = ones(2, 2)
    assert f(x).dtype is tg.float32
    with tg.autocast("cpu", dtype=tg.bfloat16):
        assert f(x).dtype is tg.bfloat16
    with tg.autocast("cpu", dtype=tg.float16):
        assert f(x).dtype is tg.float16
    assert f(x).dtype is tg.float32
    with tg.autocast("cpu", dtype=tg.bfloat16):
        assert f(x).dtype is tg.bfloat16
    assert len(calls) == 3
    found = tg.compiler.explain(f)(x)
    assert any('is_autocast_enabled("cpu") is False' in str(g) for g in found.guards)


def test_compiled_inside_a_block_off_inside():
    @tg.compile(fullgraph=True)
    def f(x):
        with tg.autocast("cpu", enabled=False):
            y = x @ x
        return y, x @ x

    x = tg.tensor(np.array([[1.2345678, 2.3456789], [1.0, 3.3333333]], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tg.autocast("cpu", dtype=tg.bfloat16):
            high, low = f(x)
    assert (high.dtype, low.dtype) == (tg.float32, tg.bfloat16)
    np.testing.assert_allclose(high.numpy(), x.numpy() @ x.numpy(), rtol=1e-6)


def test_gradients_inside_a_compiled_function_are_not_cast():
    def f(w, x):
        y = w @ x
        with tg.autocast("cpu"):
            return tg.autograd.grad(y.sum(), w)[0]

    w = tg.tensor(np.array([[1.2345678, 2.3456789]], np.float32), requires_grad=True)
    x = tg.tensor(np.array([[1.1111111], [2.2222222]], np.float32))
    np.testing.assert_array_equal(tg.compile(f)(w, x).numpy(), f(w, x).numpy())
