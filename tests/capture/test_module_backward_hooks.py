"""Backward hooks of Modules in captured code: part of the graph or a clean break; gradients and effects as eager."""

import contextlib
import io
from typing import Any

import pytest
from captured import assert_close

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.nn import module as modules


def net():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def leaf(rows=4):
    tg.manual_seed(1)
    return tg.rand(rows, 3).requires_grad_()


def taken(*holders):
    """The gradients of the parameters and tensors, which have none afterwards."""
    tensors = [t for h in holders for t in (h.parameters() if isinstance(h, nn.Module) else [h])]
    found = [None if t.grad is None else t.grad.clone() for t in tensors]
    for tensor in tensors:
        tensor.grad = None
    return found


def assert_same(found, wanted):
    """Equal structures, with tensors that are close."""
    assert type(found) is type(wanted)
    if isinstance(wanted, tg.Tensor):
        assert_close([found], [wanted])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            assert_same(f, w)
    else:
        assert found == (pytest.approx(wanted, rel=1e-5) if isinstance(wanted, float) else wanted)


# ------------------------------------------------------------------------------------------ one graph
# Each takes what compiles a function, and returns what is to be the same as in eager execution.


def every_kind(wrap):
    model, x = net(), leaf()
    model[0].register_full_backward_hook(lambda m, into, out: (into[0] * out[0].sum(),))
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2 + out[0],))
    model[1].register_full_backward_hook(lambda m, into, out: (into[0].exp(),))
    model[1].register_full_backward_pre_hook(lambda m, out: (out[0] * 3,))
    model[2].register_full_backward_hook(lambda m, into, out: None)
    model.register_full_backward_hook(lambda m, into, out: (into[0] * out[0].mean(),))
    wrap(model)(x).square().sum().backward()
    return taken(model, x)


def in_a_training_step(wrap):
    model, x = net(), leaf()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * out[0].sum(),))
    model[0].register_full_backward_pre_hook(lambda m, out: (out[0].clamp(-0.1, 0.1),))
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = wrap(step)
    return [compiled(x).item() for _ in range(3)], [p.detach() for p in model.parameters()]


def added_and_removed(wrap):
    model, x, found = net(), leaf(), []
    compiled = wrap(model)

    def note():
        compiled(x).sum().backward()
        found.append(taken(model, x))

    handle = model[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2,))
    note()
    handle.remove()
    note()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * 3,))
    note()
    model[2].register_full_backward_pre_hook(lambda m, out: (out[0] * 5,))
    note()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] + 1,), prepend=True)
    note()
    return found


def of_all_modules(wrap):
    model, x, found = net(), leaf(), []
    compiled = wrap(model)
    for hook in (
        modules.register_module_full_backward_hook(lambda m, into, out: (into[0] * 2,)),
        modules.register_module_full_backward_pre_hook(lambda m, out: (out[0] * 2,)),
        contextlib.nullcontext(),
    ):
        with hook:
            compiled(x).sum().backward()
        found.append(taken(model, x))
    return found


def without_grad(wrap):
    model, x = net(), leaf()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2,))
    compiled = wrap(model)
    with tg.no_grad():
        assert not compiled(x).requires_grad
    compiled(x).sum().backward()
    return taken(model, x)


def shared(wrap):
    tg.manual_seed(0)
    layer, x = nn.Linear(3, 3), leaf()
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), layer)
    layer.register_full_backward_hook(lambda m, into, out: (into[0] * 2 + out[0].sum(),))
    wrap(model)(x).sum().backward()
    return taken(model, x)


def inputs_that_need_no_grad(wrap):
    model, x, found = net(), leaf().detach(), []
    model[0].requires_grad_(False)
    model[0].register_full_backward_hook(lambda m, into, out: None)
    model[0].register_full_backward_pre_hook(lambda m, out: (out[0] * 2,))
    model[2].register_full_backward_hook(lambda m, into, out: None if into[0] is None else (into[0] * 2,))
    compiled = wrap(model)
    for _ in range(2):
        compiled(x).sum().backward()
        found.append(taken(model))
        model[0].requires_grad_(True)
    return found


def sizes(wrap):
    model, found = net(), []
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * out[0].sum(),))
    compiled = wrap(model)
    for rows in (4, 5, 6, 1):
        x = leaf(rows)
        compiled(x).square().sum().backward()
        found.append(taken(model, x))
    return found


class Several(nn.Module):
    """Tensors that need gradients or not, and other things, in and out."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x, factor, y):
        return self.layer(x) * factor, y * x, x.argmax(1)


def some_of_several_results(wrap):
    tg.manual_seed(0)
    model, found = Several(), []
    model.register_full_backward_pre_hook(lambda m, out: tuple(None if g is None else g * 2 for g in out))
    model.register_full_backward_hook(
        lambda m, into, out: (into[0] * (2 if out[1] is None else 3), None, into[2] * 5 if len(into) == 3 else 0)
    )
    compiled = wrap(model)
    for select in (lambda a, b: a, lambda a, b: b, lambda a, b: a * b):
        x, y = leaf(), (leaf() * 2).detach().requires_grad_()
        a, b, _ = compiled(x, 2, y)
        select(a, b).sum().backward()
        found.append(taken(model, x, y))
    return found


class Selecting(nn.Module):
    def __init__(self):
        super().__init__()
        tg.manual_seed(0)
        self.several = Several()

    def forward(self, x):
        return self.several(x, 2, x.detach().exp())[0]


def results_that_nothing_uses(wrap):
    model, x = Selecting(), leaf()
    model.several.register_full_backward_hook(lambda m, into, out: (into[0] * (1 if out[1] is None else 9), None, None))
    wrap(model)(x).sum().backward()
    return taken(model, x)


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        tg.manual_seed(0)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.recurrent = nn.LSTM(4, 4, batch_first=True)
        self.attention.register_full_backward_hook(lambda m, into, out: (into[0] * 2, into[1], into[2] * 3))
        self.recurrent.register_full_backward_hook(lambda m, into, out: (into[0] * 2,) if len(into) == 1 else None)

    def forward(self, x):
        return self.recurrent(self.attention(x, x, x)[0])[0]


def layers_with_several_tensors(wrap):
    model, x = Attending(), tg.linspace(0, 1, 24).reshape(2, 3, 4).requires_grad_()
    wrap(model)(x).sum().backward()
    return taken(model, x)


def gradients_of_gradients(wrap):
    model, x = net(), leaf()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * out[0],))

    def penalty(x):
        (gradient,) = tg.autograd.grad(model(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    wrap(penalty)(x)
    return taken(model, x)


def state_that_changes(wrap):
    model, x, found = net(), leaf(), []
    model[1].scale = 2.0
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * m.scale,))
    compiled = wrap(model)
    for scale in (2.0, 3.0, 4.0):
        model[1].scale = scale
        compiled(x).sum().backward()
        found.append(taken(model, x))
    return found


def twice_through_one_graph(wrap):
    model, x = net(), leaf()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0] * out[0].sum(),))
    loss = wrap(model)(x).sum()
    loss.backward(retain_graph=True)
    first = taken(model, x)
    loss.backward()
    return first, taken(model, x)


class Caching(nn.Module):
    """Keeps its result, which the hooks do not see used."""

    def __init__(self):
        super().__init__()
        tg.manual_seed(0)
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        self.kept = self.inner(x)
        return self.kept


def kept_and_overwritten(wrap):
    model, x = nn.Sequential(Caching(), nn.Identity()), leaf()
    model[0].register_full_backward_hook(lambda m, into, out: (into[0] * 5,))

    def program(x):
        y = model(x)
        y.mul_(2)
        return y.exp() + model[0].kept

    wrap(program)(x).sum().backward()
    return taken(model, x)


def registered_in_the_trace(wrap):
    model, x = net(), leaf()

    def program(x):
        with model[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2,)):
            return model(x).sum()

    wrap(program)(x).backward()
    found = taken(model, x)
    model(x).sum().backward()
    return found, taken(model, x)


def guided_backpropagation(wrap):
    tg.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), leaf()
    model[1].register_full_backward_hook(lambda m, into, out: (into[0].clamp(min=0.0),))
    return wrap(lambda x: tg.autograd.grad(model(x)[:, 0].sum(), x)[0])(x)


ONE_GRAPH = [
    every_kind, in_a_training_step, added_and_removed, of_all_modules, without_grad, shared, inputs_that_need_no_grad,
    sizes, some_of_several_results, results_that_nothing_uses, layers_with_several_tensors, gradients_of_gradients,
    state_that_changes, twice_through_one_graph, kept_and_overwritten, registered_in_the_trace, guided_backpropagation,
]  # fmt: skip


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("program", ONE_GRAPH, ids=lambda p: p.__name__)
def test_hooks_in_one_graph(program, backend):
    found = program(lambda f: tg.compile(f, fullgraph=True, backend=backend))
    assert_same(found, program(lambda f: f))


# ------------------------------------------------------------------------------------------ breaks


def collecting(wrap):
    model, x, seen = net(), leaf(), {}
    model[1].register_full_backward_hook(lambda m, into, out: seen.update(into=into[0], out=out[0]))
    wrap(model)(x).sum().backward()
    return seen["into"], seen["out"], taken(model, x)


def collecting_in_a_step(wrap):
    model, x = net(), leaf()

    def keep(module, into, out):
        module.seen = out[0]

    model[1].register_full_backward_hook(keep)
    wrap(lambda x: model(x).sum().backward())(x)
    return model[1].seen, taken(model, x)


def printing(wrap):
    model, x, text = net(), leaf(), io.StringIO()
    model[1].register_full_backward_hook(lambda m, into, out: print("hook", out[0].shape))
    model[1].register_full_backward_pre_hook(lambda m, out: print("before"))
    with contextlib.redirect_stdout(text):
        loss = wrap(model)(x).sum()
        print("forward")
        loss.backward()
    return text.getvalue(), taken(model, x)


class Talking(nn.Module):
    def __init__(self):
        super().__init__()
        tg.manual_seed(0)
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        y = self.inner(x)
        print("forward")
        return y * 2


@pytest.mark.parametrize("is_entry", [True, False])
def test_a_break_between_inputs_and_outputs(is_entry):
    def program(wrap):
        talking, x = Talking(), leaf()
        talking.register_full_backward_hook(lambda m, into, out: (into[0] * 5 + out[0].sum(),))
        model = talking if is_entry else nn.Sequential(nn.Identity(), talking)
        wrap(model)(x).sum().backward()
        return taken(model, x)

    assert_same(program(tg.compile), program(lambda f: f))


@pytest.mark.parametrize("program", [collecting, collecting_in_a_step, printing], ids=lambda p: p.__name__)
def test_hooks_with_effects(program):
    assert_same(program(tg.compile), program(lambda f: f))


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda m, into, out: (into[0], into[0]), "invalid number of grad_input, got 2, but expected 1"),
        (lambda m, into, out: (into[0][:1, :2],), "invalid gradient"),
        (lambda m, into, out: 1 / 0, "division by zero"),
    ],
)
def test_errors_are_raised_in_backward(hook, message):
    for wrap in (tg.compile, lambda f: f):
        model = net()
        model[1].register_full_backward_hook(hook)
        loss = wrap(model)(leaf()).sum()
        with pytest.raises((RuntimeError, ZeroDivisionError), match=message):
            loss.backward()


@pytest.mark.parametrize(
    "register",
    [
        lambda m, k: m.register_full_backward_hook(lambda m, i, o: (i[0] * k,)),
        lambda m, k: m.register_full_backward_pre_hook(lambda m, o: (o[0] * k,)),
        lambda m, k: m.register_forward_hook(lambda m, i, o: o * k),
        lambda m, k: m.register_forward_pre_hook(lambda m, i: (i[0] * k,)),
    ],
)
def test_instances_with_hooks_of_the_same_code_share_a_graph(register: Any) -> None:
    """Numbers of registrations are no facts of a trace; numbers that hooks close over vary."""

    def call(model: nn.Module, x: tg.Tensor) -> tg.Tensor:
        return model(x).sum()

    compiled = tg.compile(call, fullgraph=True)
    for factor in (2.0, 3.0, 4.0, 5.0, 6.0):
        model = nn.Linear(2, 2)
        register(model, factor)
        gradients = []
        for function in (call, compiled):
            x = tg.ones(2, requires_grad=True)
            function(model, x).backward()
            assert x.grad is not None
            gradients.append(x.grad.tolist())
        assert gradients[1] == pytest.approx(gradients[0], rel=1e-5, abs=1e-6)
    assert len(family_of(compiled).recompiles) <= 1
    other = nn.Linear(2, 2)
    register(other, 2.0)
    register(other, 3.0)
    x, y = (tg.ones(2, requires_grad=True) for _ in range(2))
    compiled(other, x).backward()
    call(other, y).backward()
    assert x.grad is not None and y.grad is not None
    assert x.grad.tolist() == pytest.approx(y.grad.tolist(), rel=1e-5, abs=1e-6)
