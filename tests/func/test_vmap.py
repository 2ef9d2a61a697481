"""Functions of one sample mapped over a batch: as one sample after another, eagerly and captured in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from agreement import assert_agree
from captured import capture_of, observe
from folded import folded

import tracegraph as tg
from tracegraph import nn, vmap
from tracegraph.errors import ValueRangeError, VmapError
from tracegraph.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    replace_all_batch_norm_modules_,
    stack_module_state,
    vjp,
)

RNG = np.random.default_rng(5)
X, W, B = RNG.standard_normal((4, 3)), RNG.standard_normal(3), RNG.standard_normal((4, 3, 2))


class Cubed(tg.autograd.Function):
    """a ** 3 by `forward`, another slope by `backward`."""

    @staticmethod
    def forward(ctx: Any, a: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
        ctx.save_for_backward(a, w)
        return a**3 * w

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        a, w = ctx.saved_tensors
        return a * w * g, g * a * 5


def loss(w: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
    return (x @ w).tanh().square()


def filled(x: tg.Tensor) -> tg.Tensor:
    """A tensor made like the sample, written to element by element."""
    made = x.new_zeros(3)
    for i in range(3):
        made[i] = x[2 - i] * (i + 1)
    made.mul_(x)
    return made


def loop(x: tg.Tensor, w: tg.Tensor) -> Any:
    return tg.while_loop(lambda n, v: n < (x.abs() * 4).sum(), lambda n, v: (n + 1, v * w), (tg.tensor(0), x))


#: of one sample x and what is the same for all, w
FUNCTIONS: dict[str, Callable[[tg.Tensor, tg.Tensor], Any]] = {
    "arithmetic": lambda x, w: (x * w + 1).sum(),
    "tree": lambda x, w: {"a": [x.sin(), w * x], "b": (x.sum(),)},
    "the same for all": lambda x, w: (x, w * 2),
    "0-d in another dtype": lambda x, w: x.sum() + w.to(tg.float32).detach(),
    "indexing": lambda x, w: w[x.argsort()] + x[1:].sum() + x[None, :, 0 if x.ndim == 2 else None].sum(),
    "shape": lambda x, w: x.reshape(-1, 1).expand(3, x.shape[0]) @ w,
    "writes": lambda x, w: filled(x) + w,
    "grad": lambda x, w: grad(loss)(w, x),
    "grad by the sample": lambda x, w: grad(loss, argnums=1)(w, x),
    "grad_and_value": lambda x, w: grad_and_value(loss)(w, x),
    "vjp": lambda x, w: vjp(lambda x: (x * w).sin(), x)[1](w),
    "jvp": lambda x, w: jvp(lambda x: (x * w).sin(), (x,), (w,)),
    "jvp of what is the same": lambda x, w: jvp(lambda w: (x.sum() * w).sin(), (w,), (w,)),
    "jacrev": lambda x, w: jacrev(lambda x: (x * w).sin())(x),
    "jacfwd": lambda x, w: jacfwd(lambda x: (x * w).sin())(x),
    "hessian": lambda x, w: hessian(lambda x: (x * w).sin().prod())(x),
    "grad of grad": lambda x, w: grad(lambda a: grad(lambda b: loss(b, x))(a).sum())(w),
    "nested": lambda x, w: vmap(lambda a: vmap(lambda b: a * b + x, out_dims=1)(w))(x),
    "nested grad": lambda x, w: vmap(grad(lambda a, b: (a * b * x).sin().sum()), (0, None))(x, w),
    "grad of vmap": lambda x, w: grad(lambda w: vmap(lambda a: (a * w * x).sum())(w).exp().sum())(w),
    "chunks": lambda x, w: vmap(lambda a: a * w, chunk_size=2)(x),
    "cond": lambda x, w: tg.cond(x.sum() > 0, lambda x: x * w, lambda x: -x, (x,)),
    "cond of what is the same": lambda x, w: tg.cond(w.sum() > 0, lambda x: x * w, lambda x: -x, (x,)),
    "scan": lambda x, w: tg._higher_order_ops.scan(lambda c, s: (c + s * x, (c * s).sum()), w, w),
    "scan of the sample": lambda x, w: tg._higher_order_ops.scan(lambda c, s: (c * s, c + w), w.sum(), x),
    "while_loop": loop,
    "while_loop of what is the same": lambda x, w: tg.while_loop(
        lambda n, v: n < 3, lambda n, v: (n + 1, v * w), (tg.tensor(0), x)
    ),
    "function": lambda x, w: Cubed.apply(x, w) * x,
    "grad of function": lambda x, w: grad(lambda x: (Cubed.apply(x, w) * x).sum())(x),
    "no_grad": lambda x, w: x * tg.no_grad()(lambda: x * w)(),
}


def leaves(tree: Any) -> list[tg.Tensor]:
    return tg.utils._pytree.tree_leaves(tree)


def one_by_one(function: Callable[..., Any], x: tg.Tensor, w: tg.Tensor) -> list[tg.Tensor]:
    rows = [leaves(function(row, w)) for row in x.unbind(0)]
    return [tg.stack(list(column)) for column in zip(*rows, strict=True)]


def with_gradients(results: Sequence[tg.Tensor], inputs: Sequence[tg.Tensor]) -> list[np.ndarray]:
    """The results, and gradients of all of them."""
    roots = [r for r in results if r.requires_grad]
    found = tg.autograd.grad([r.sin().sum() for r in roots], list(inputs), allow_unused=True) if roots else ()
    return [r.detach().numpy() for r in results] + [np.zeros(()) if g is None else g.numpy() for g in found]


def assert_same(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    for f, w in zip(found, wanted, strict=True):
        assert_agree(f, w, zero_signs=False)


@pytest.mark.parametrize("requires_grad", [False, True], ids=["constant", "tracked"])
@folded("name", FUNCTIONS)
def test_is_one_sample_after_another(name: str, requires_grad: bool) -> None:
    function = FUNCTIONS[name]
    is_captured = requires_grad and "while" not in name  # which has no gradient in a graph
    is_captured |= not requires_grad and "while" in name
    x, w = tg.tensor(X, requires_grad=requires_grad), tg.tensor(W, requires_grad=requires_grad)
    wanted = with_gradients(one_by_one(function, x, w), (x, w))

    def mapped(x: tg.Tensor, w: tg.Tensor) -> Any:
        return vmap(function, in_dims=(0, None))(x, w)

    for run in (mapped, *([capture_of(mapped, fullgraph=True)] if is_captured else [])):
        assert_same(with_gradients(leaves(run(x, w)), (x, w)), wanted)


def test_where_samples_lie() -> None:
    x, w = tg.tensor(B), tg.tensor(W)

    def program(x: tg.Tensor, w: tg.Tensor) -> Any:
        f = vmap(lambda x, w: (x * w[:, None], x.sum(), w), in_dims=(-3, None), out_dims=(-1, 0, None))
        g = vmap(lambda d, n: d["a"] * n * d["b"], in_dims=({"a": 2, "b": None}, None), out_dims=1)
        h = vmap(lambda p: {"b": (p[0] - p[1],)}, in_dims=((1, 0),), out_dims={"b": 2})
        return *f(x, w), g({"a": x, "b": w}, 3), h((x, w))["b"][0]

    wanted = [
        np.moveaxis(B * W[:, None], 0, -1),
        B.sum((1, 2)),
        W,
        (B * 3 * W[:, None]).transpose(0, 2, 1),
        (B - W[:, None]).transpose(0, 2, 1),
    ]
    for run in (program, capture_of(program, fullgraph=True)):
        assert_same([f.numpy() for f in run(x, w)], wanted)


def test_per_sample_gradients_and_ensembles_compiled() -> None:
    """Compiled to native code, for batches of several sizes with one recompile."""
    tg.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    parameters = {n: p.detach() for n, p in net.named_parameters()}

    def loss_of(parameters: dict[str, tg.Tensor], x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.cross_entropy(functional_call(net, parameters, (x[None],)), y[None])

    def per_sample(x: tg.Tensor, y: tg.Tensor) -> Any:
        return vmap(grad(loss_of), in_dims=(None, 0, 0))(parameters, x, y)

    compiled = tg.compile(per_sample, fullgraph=True)
    for count in (3, 2, 4):
        x, y = tg.randn(count, 1, 6, 6), tg.randint(0, 3, (count,))
        rows = [leaves(grad(loss_of)(parameters, *sample)) for sample in zip(x, y, strict=True)]
        wanted = [tg.stack(list(column)).numpy() for column in zip(*rows, strict=True)]
        for run in (per_sample, compiled):
            assert_same([g.numpy() for g in leaves(run(x, y))], wanted)
    assert len(tg.compiler.explain(per_sample)(x, y).graphs) == 1

    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    params, buffers = stack_module_state(models)
    assert not buffers and all(p.requires_grad and p.is_leaf for p in params.values())

    def ensemble(params: dict[str, tg.Tensor], x: tg.Tensor) -> tg.Tensor:
        mapped = vmap(lambda p, x: functional_call(models[0], p, (x,)), in_dims=(0, None))
        return mapped(params, x)

    x = tg.randn(5, 3)
    wanted = with_gradients([tg.stack([m(x) for m in models])], [m[0].weight for m in models])
    for run in (ensemble, tg.compile(ensemble, fullgraph=True)):
        result, gradient = with_gradients([run(params, x)], [params["0.weight"]])
        assert_same([result, *gradient], wanted)


def test_batch_norm() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    mapped = vmap(net)
    with pytest.raises(VmapError, match="the same for all samples"):
        mapped(tg.ones(2, 5, 3))
    assert replace_all_batch_norm_modules_(net) is net
    x = tg.randn(2, 5, 3)
    assert_same([mapped(x).detach().numpy()], [tg.stack([net(a) for a in x]).detach().numpy()])


@pytest.mark.parametrize(
    "models",
    [[], [nn.Linear(1, 1), nn.Tanh()], [nn.Linear(1, 1), nn.Linear(1, 1).eval()],
     [nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False)]],
    ids=["none", "classes", "modes", "requires_grad"],
)  # fmt: skip
def test_models_that_cannot_be_stacked(models: list[nn.Module]) -> None:
    with pytest.raises(TypeError, match="stack_module_state"):
        stack_module_state(models)


# ------------------------------------------------------------------------------------------ random numbers


@pytest.mark.parametrize("is_captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_random_numbers(is_captured: bool, chunk_size: int | None) -> None:
    def program(x: tg.Tensor, randomness: str) -> Any:
        def draw(a: tg.Tensor) -> Any:
            gamma = tg.distributions.Gamma(a.exp(), a.exp(), validate_args=False).sample()
            return tg.rand(3), tg.randn_like(a), nn.functional.dropout(a * 0 + 1), tg.randperm(50), gamma

        return vmap(draw, randomness=randomness, chunk_size=chunk_size)(x)

    x = tg.zeros(4, 3)
    run = capture_of(program) if is_captured else program
    for randomness in ("same", "different"):
        tg.manual_seed(1)
        found = run(x, randomness)
        tg.manual_seed(1)
        for f, w in zip(found, program(x, randomness), strict=True):
            assert_agree(f.numpy(), w.numpy())
            assert all(bool((row == f[0]).all()) for row in f) is (randomness == "same") or f.shape == (4, 3)
    assert not bool((found[0][0] == found[0][1]).any())
    uniform = vmap(lambda a: tg.rand(1000), randomness="different")(tg.zeros(20))
    assert abs(float(uniform.mean()) - 0.5) < 0.01 and abs(float(uniform.std()) - 12**-0.5) < 0.01


def test_nested_random_numbers() -> None:
    """Each level has a say: the same for the samples of the one, different for those of the other."""
    x = tg.zeros(2, 3)

    def draw(outer: str, inner: str) -> tg.Tensor:
        return vmap(vmap(lambda a: a + tg.rand(()), randomness=inner), randomness=outer)(x)

    both = draw("different", "different")
    assert len(set(both.flatten().tolist())) == 6
    rows = draw("same", "different")
    assert bool((rows[0] == rows[1]).all()) and len(set(rows[0].tolist())) == 3
    columns = draw("different", "same")
    assert bool((columns == columns[:, :1]).all()) and columns[0, 0] != columns[1, 0]


# ------------------------------------------------------------------------------------------ effects and errors


def test_effects() -> None:
    """The function runs once; writes reach the tensors that are mapped over."""
    seen: list[int] = []

    def program(x: tg.Tensor) -> Any:
        def of_sample(a: tg.Tensor) -> tg.Tensor:
            seen.append(a.ndim)
            a.add_(1)
            return a * 2

        return vmap(of_sample, in_dims=1)(x)

    for run in (program, capture_of(program, fullgraph=True)):
        seen.clear()
        x = tg.tensor(X)
        result = run(x)
        assert seen == [1]
        assert_same([x.numpy(), result.numpy()], [X + 1, (X.T + 1) * 2])


def kept_and_used(x: tg.Tensor) -> tg.Tensor:
    kept: list[tg.Tensor] = []

    def of_sample(a: tg.Tensor) -> tg.Tensor:
        kept.append(a * 1)
        return a

    vmap(of_sample)(x)
    return kept[0] + 1


#: of a sample, with what the error says
REFUSED: dict[str, tuple[Callable[[tg.Tensor], Any], str]] = {
    "item": (lambda a: a.sum().item(), r"\.item\(\)"),
    "branch": (lambda a: a if a.sum() > 0 else -a, "truth value"),
    "float": (lambda a: float(a.sum()), r"float\(\)"),
    "numpy": (lambda a: a.numpy(), r"\.numpy\(\)"),
    "list": (lambda a: a.tolist(), r"\.tolist\(\)"),
    "dynamic shape": (lambda a: a.nonzero(), "nonzero gives depends on elements"),
    "mask": (lambda a: a[a > 0], "depends on elements"),
    "random": (lambda a: a + tg.rand(3), "randomness="),
    "write": (lambda a: tg.zeros(3).copy_(a), "the same for all samples"),
    "item assignment": (lambda a: tg.zeros(3).__setitem__(0, a[0]), "the same for all samples"),
    "requires_grad_": (lambda a: a.requires_grad_(), r"requires_grad_\(\)"),
    "backward": (lambda a: a.sum().backward(), r"backward\(\)"),
    "module backward": (lambda a: tg.autograd.backward([a.sum()]), r"backward\(\)"),
    "hook": (lambda a: a.register_hook(print), "hook"),
    "no tensor": (lambda a: 3, "must return tensors, got int"),
}


@folded("name", REFUSED)
def test_what_one_sample_can_do_and_all_cannot(name: str) -> None:
    function, message = REFUSED[name]
    x = tg.tensor(X)
    with pytest.raises(VmapError, match=message) as raised:
        vmap(function)(x)
    captured = observe(capture_of(vmap(function)), (x,))
    assert captured.error == (VmapError, str(raised.value))


def test_gradients_by_what_is_the_same_for_all_samples() -> None:
    w = tg.tensor(W, requires_grad=True)
    with pytest.raises(VmapError, match=r"use func\.grad"):
        vmap(lambda a: tg.autograd.grad((a * w).sum(), w)[0])(tg.tensor(X))


@pytest.mark.parametrize("is_captured", [False, True], ids=["eager", "captured"])
def test_a_sample_that_is_kept(is_captured: bool) -> None:
    run = capture_of(kept_and_used) if is_captured else kept_and_used
    with pytest.raises(VmapError, match="used after the call"):
        run(tg.tensor(X))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: vmap(lambda: x)(), "without positional arguments"),
        (vmap(lambda x: x, in_dims=None), "in_dims must be an int, or a tuple"),
        (vmap(lambda x: x, in_dims="0"), "in_dims must be an int, or a tuple"),
        (vmap(lambda x: x, in_dims=("0",)), "must hold ints and None, got '0'"),
        (lambda x: vmap(lambda x: x)(3), "in_dims=0 for an argument of type int"),
        (lambda x: vmap(lambda x, y: x)(x, x[:2]), r"one size, got sizes \[4, 2\]"),
        (vmap(lambda x: x, in_dims=2), r"in_dims=2 for a tensor of shape \[4, 3\]"),
        (lambda x: vmap(lambda x: x)(x.sum()), "has 0 dimensions"),
        (vmap(lambda x: x, in_dims=(0, 0)), "structure of the arguments"),
        (lambda x: vmap(lambda x: x, in_dims=({"b": 0},))({"a": x}), "structure of the arguments"),
        (vmap(lambda x: x, in_dims=(None,)), "maps over no tensor"),
        (vmap(lambda x: (x, x), out_dims=(0,)), "structure of the results"),
        (vmap(lambda x: x, out_dims="0"), "out_dims must hold ints and None"),
        (vmap(lambda x: x, out_dims=None), "differs between samples"),
    ],
)
def test_arguments_that_do_not_fit(call: Callable[[tg.Tensor], Any], message: str) -> None:
    x = tg.tensor(X)
    with pytest.raises(VmapError, match=message) as raised:
        call(x)
    assert isinstance(raised.value, ValueError)  # as in PyTorch
    assert observe(capture_of(call), (x,)).error == (VmapError, str(raised.value))


def test_settings_that_there_are_not() -> None:
    with pytest.raises(ValueRangeError, match="randomness"):
        vmap(abs, randomness="all")
    with pytest.raises(ValueRangeError, match="chunk_size"):
        vmap(abs, chunk_size=0)
    with pytest.raises(IndexError):
        vmap(lambda x: x, out_dims=5)(tg.tensor(X))


# ------------------------------------------------------------------------------------------ what else is asked


def test_samples_are_tensors() -> None:
    def of_sample(a: tg.Tensor) -> tg.Tensor:
        assert isinstance(a, tg.Tensor) and tg.is_tensor(a)
        assert (a.shape, a.ndim, len(a), a.numel(), a.stride(), a.dtype) == ((3,), 1, 3, 3, (1,), tg.float64)
        assert a.is_contiguous() and not a.requires_grad and a.is_leaf and a.data.shape == (3,)
        assert "level=0" in repr(a) and [b.shape for b in a] == [()] * 3
        a = a.clone()
        a.unsqueeze_(0)
        return a

    assert vmap(of_sample)(tg.tensor(X)).shape == (4, 1, 3)


def test_no_samples() -> None:
    empty = tg.zeros(0, 3)
    for run in (vmap(lambda a: a.sum()), capture_of(vmap(lambda a: a.sum()))):
        assert run(empty).shape == (0,)
    assert vmap(lambda a: tg.searchsorted(tg.ones(2), a))(empty).shape == (0, 3)


def test_cotangents_are_mapped_over() -> None:
    """A history from outside, gone back with a cotangent for each sample: rows of a Jacobian."""
    w = tg.tensor(W, requires_grad=True)
    y = (w * w).sin()
    eye = tg.eye(3, dtype=tg.float64)
    wanted = np.diag(2 * W * np.cos(W * W))
    rows = vmap(lambda g: tg.autograd.grad(y, w, g, retain_graph=True)[0])(eye)
    pull_back = vjp(lambda w: (w * w).sin(), tg.tensor(W))[1]
    nested = vmap(lambda x: vmap(vjp(lambda a: (a * a).sin(), x)[1])(eye)[0])(tg.tensor(np.stack([W, W])))
    for found in (rows, vmap(pull_back)(eye)[0], *nested):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)


def test_compiled_functions_in_mapped_ones() -> None:
    """A compiled function is mapped like the original, and stays compiled for other tensors."""
    compiled = tg.compile(lambda x: (x * 2).sin().sum())
    x = tg.tensor(X)
    compiled(x)
    assert_same([vmap(compiled)(x).numpy(), compiled(x).numpy()], [np.sin(2 * X).sum(1), np.sin(2 * X).sum()])
    assert_same([vmap(grad(compiled))(x).numpy()], [2 * np.cos(2 * X)])
