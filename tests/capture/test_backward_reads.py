"""What a backward function or a hook reads from outside, and what is another thing when backward runs.

Compiled code has eager execution's gradient or says what has changed; never another gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradient_formulas import function_of, hook_of

import tracegraph as tg
from tracegraph import nn
from tracegraph.autograd import Function
from tracegraph.capture.guards.observation import StateObserver
from tracegraph.errors import AutogradError, TracegraphError

BACKENDS = ["interpreter", "eager"]


class Settings:
    scale = 2.0

    def __init__(self) -> None:
        self.weights = tg.tensor([2.0, 3.0])
        self.factors = [2.0, 3.0]
        self.by_name: dict[str, Any] = {"a": 2.0}
        self.inner: Any = None
        self.mask: Any = None


def begin() -> None:
    """What programs read is as at first."""
    globals().update(number=2.0, tensor=tg.tensor([2.0, 3.0]), helper=double, settings=Settings())
    settings.inner = Settings()


def double(g: Any) -> Any:
    return g * 2


def triple(g: Any) -> Any:
    return g * 3


number: Any = None
tensor: Any = None
helper: Any = None
settings: Any = None


def put(**values: Any) -> Callable[[], None]:
    """A change of global variables."""
    return lambda: globals().update(values)


FORMULAS: dict[str, Callable[..., Any]] = {
    "number": lambda g: g * number,
    "tensor": lambda g: g * tensor,
    "view": lambda g: g * tensor.view(2)[:1],
    "helper": lambda g: helper(g) * 1,
    "attribute": lambda g: g * settings.scale,
    "weights": lambda g: g * settings.weights + settings.weights.exp(),
    "element": lambda g: g * settings.factors[1],
    "entry": lambda g: g * settings.by_name["a"],
    "inner": lambda g: g * settings.inner.scale,
    "presence": lambda g: g * 5 if hasattr(settings, "extra") else g,
    "shape": lambda g: g * tensor.shape[0],
    "both": lambda g: g * tensor + g * settings.weights * number,
}
CHANGES: dict[str, Callable[[], Any]] = {
    "another number": put(number=3.0),
    "an equal number": put(number=float("2.0")),
    "an int": put(number=2),
    "no number": lambda: globals().pop("number"),
    "another tensor": put(tensor=tg.tensor([5.0, 7.0])),
    "an equal tensor": put(tensor=tg.tensor([2.0, 3.0])),
    "written to": lambda: tensor.mul_(3),
    "another shape": put(tensor=tg.tensor(4.0)),
    "another dtype": put(tensor=tg.tensor([4.0, 5.0], dtype=tg.float64)),
    "one that requires grad": put(tensor=tg.tensor([4.0, 5.0], requires_grad=True)),
    "another helper": put(helper=triple),
    "an attribute of the instance": lambda: setattr(settings, "scale", 4.0),
    "an attribute of the class": lambda: setattr(Settings, "scale", 4.0),
    "other weights": lambda: setattr(settings, "weights", tg.tensor([1.0, 9.0])),
    "the same tensor twice": lambda: setattr(settings, "weights", tensor),
    "an element": lambda: settings.factors.__setitem__(1, 7.0),
    "another list": lambda: setattr(settings, "factors", [2.0, 8.0]),
    "an equal list": lambda: setattr(settings, "factors", [2.0, 3.0]),
    "an entry": lambda: settings.by_name.__setitem__("a", 6.0),
    "another inner object": lambda: setattr(settings, "inner", settings),
    "an inner attribute": lambda: setattr(settings.inner, "scale", 9.0),
    "a new attribute": lambda: setattr(settings, "extra", 1),
}


def outcome(program: Callable[..., Any], change: Callable[[], Any], **options: Any) -> Any:
    """The gradient, or the error of backward."""
    begin()
    try:
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        loss = program(x)
        change()
        loss.backward(**options)
        assert x.grad is not None
        return x.grad.tolist()
    except Exception as error:
        return error
    finally:
        Settings.scale = 2.0


def agrees(compiled: Any, eager: Any) -> bool:
    """Whether compiled code does what eager code does, or says that it does not."""
    if isinstance(compiled, AutogradError) and "backward of a compiled function reads" in str(compiled):
        return True
    return type(compiled) is type(eager) if isinstance(eager, Exception) else compiled == eager


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [function_of, hook_of])
@pytest.mark.parametrize("name", FORMULAS)
def test_changes(name: str, kind: Callable[..., Any], backend: str) -> None:
    begin()
    program = kind(FORMULAS[name])
    compiled = tg.compile(program, backend=backend, fullgraph=True)
    for what, change in CHANGES.items():
        for options in ({}, {"create_graph": True}):
            eager, found = outcome(program, change, **options), outcome(compiled, change, **options)
            assert agrees(found, eager), (what, found, eager)
    assert outcome(compiled, lambda: None) == outcome(program, lambda: None)


#: what is no change to a formula, or one that compiled code follows
FOLLOWED = [
    ("number", "an equal number"), ("tensor", "another tensor"), ("view", "another tensor"), ("tensor", "written to"),
    ("tensor", "another number"), ("number", "another tensor"), ("weights", "other weights"),
    ("element", "an equal list"), ("both", "other weights"), ("both", "another tensor"),
    ("inner", "an attribute of the instance"),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [function_of, hook_of])
def test_what_is_followed(kind: Callable[..., Any], backend: str) -> None:
    for name, change in FOLLOWED:
        begin()
        program = kind(FORMULAS[name])
        compiled = tg.compile(program, backend=backend, fullgraph=True)
        assert outcome(compiled, CHANGES[change]) == outcome(program, CHANGES[change]), (name, change)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_message(backend: str) -> None:
    error = outcome(tg.compile(hook_of(FORMULAS["attribute"]), backend=backend), CHANGES["an attribute of the class"])
    assert isinstance(error, AutogradError)
    assert "reads settings.scale" in str(error) or "reads Settings.scale" in str(error)
    assert "was 2.0 when the compiled function returned and is 4.0 now (read at " in str(error)
    assert "test_backward_reads.py:" in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_variable_of_an_enclosing_function(backend: str) -> None:
    def gradient(wrap: Callable[..., Any]) -> Any:
        scale = 2.0
        program = wrap(hook_of(lambda g: g * scale))

        def change() -> None:
            nonlocal scale
            scale = 3.0

        return outcome(program, change)

    assert gradient(lambda f: f) == [3.0, 3.0]
    error = gradient(lambda f: tg.compile(f, backend=backend))
    assert "reads scale, which was 2.0" in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_kept_is_not_looked_up_again(backend: str) -> None:
    """What forward found and backward holds may be put elsewhere meanwhile."""

    class Held(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.held = settings.inner
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * ctx.held.scale

    def program(x: Any) -> Any:
        return Held.apply(x).sum()

    compiled = tg.compile(program, backend=backend, fullgraph=True)
    assert outcome(compiled, CHANGES["another inner object"]) == outcome(program, CHANGES["another inner object"])
    assert "scale" in str(outcome(compiled, CHANGES["an inner attribute"]))


class Masked(nn.Module):
    """Its hook reads what its call leaves on it."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: Any = None
        self.factor = 2.0

    def scaled(self, g: Any) -> Any:
        return g * self.mask * self.factor

    def forward(self, x: Any) -> Any:
        self.mask = (x > 0).float() + 1
        y = x * 1
        y.register_hook(self.scaled)
        return y.sum()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_call_itself_leaves(backend: str) -> None:
    def gradients(wrap: Callable[..., Any], calls: int) -> Any:
        model = wrap(Masked())
        x = tg.tensor([1.0, -2.0], requires_grad=True)
        others = [tg.tensor([float(i), 1.0], requires_grad=True) for i in range(1, calls)]
        loss = model(x)
        for other in others:
            model(other)
        try:
            loss.backward()
        except AutogradError as error:
            return str(error)
        assert x.grad is not None
        return x.grad.tolist()

    assert gradients(lambda m: tg.compile(m, backend=backend), 1) == gradients(lambda m: m, 1)
    assert "reads self.mask" in gradients(lambda m: tg.compile(m, backend=backend), 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_call_itself_writes_to_what_is_read(backend: str) -> None:
    """Eager backward reads what the tensor holds by then, whoever has written it."""

    def program(x):
        y = scaled(x)
        tensor.add_(1)
        y = y * tensor.sum()
        tensor.mul_(2)
        return y

    def own(x):
        factor = x.detach() * 2
        y = function_of(lambda g: g * factor)(x)
        factor.add_(1)
        return y + factor.sum()

    scaled = function_of(FORMULAS["tensor"])
    for function in (program, own):
        compiled = tg.compile(function, fullgraph=True, backend=backend)
        for name in ("an element", "written to"):
            expected = outcome(function, CHANGES[name])
            assert isinstance(expected, list)
            assert outcome(compiled, CHANGES[name]) == expected


def test_tensors_in_containers_are_followed() -> None:
    """A tensor that is in the place of another in a list or a dictionary, unless the other is still elsewhere."""
    weights: list[Any] = []
    by_name: dict[str, Any] = {}
    formulas: list[Callable[..., Any]] = [
        lambda g: g * weights[0],
        lambda g: g * by_name["w"] * by_name["n"],
        lambda g: g * weights[0] + by_name["w"],
    ]
    other = tg.tensor([5.0, 7.0])
    changes: list[Callable[[], Any]] = [
        lambda: weights.__setitem__(0, other),
        lambda: by_name.update(w=other, n=float("2.0")),
        lambda: [weights.__setitem__(0, other), by_name.update(w=other)],
        lambda: weights.append(other),
    ]

    def run(program: Callable[..., Any], change: Callable[[], Any]) -> Any:
        weights[:] = [tg.tensor([2.0, 3.0])]
        by_name.update(w=weights[0], n=2.0)
        return outcome(program, change)

    followed = set()
    for i, formula in enumerate(formulas):
        for j, change in enumerate(changes):
            program = function_of(formula)
            expected = run(program, change)
            found = run(tg.compile(program, fullgraph=True, backend="interpreter"), change)
            assert agrees(found, expected), (i, j, found, expected)
            followed |= {(i, j)} if isinstance(found, list) else set()
    assert {(0, 0), (1, 1), (2, 2)} <= followed
    assert followed.isdisjoint({(0, 3), (2, 0), (2, 1)})


def test_a_later_write_of_the_call_runs_eagerly() -> None:
    def program(x: Any) -> Any:
        h = x * 1
        h.register_hook(lambda g: g * settings.scale)
        settings.scale = 7.0
        return h.sum()

    assert outcome(tg.compile(program), lambda: None) == outcome(program, lambda: None) == [7.0, 7.0]


@pytest.mark.parametrize("kind", [function_of, hook_of])
@pytest.mark.parametrize(
    "asks",
    [lambda g: tg.is_grad_enabled(), lambda g: (g * 2).requires_grad, lambda g: (g * 2).grad_fn is not None],
    ids=["grad mode", "requires_grad", "grad_fn"],
)
def test_what_depends_on_create_graph_is_asked_in_backward(kind: Callable[..., Any], asks: Callable[..., Any]) -> None:
    program = kind(lambda g: g * (2 if asks(g) else 3))
    compiled = tg.compile(program)
    for create_graph in (False, True):
        gradients = []
        for function in (program, compiled):
            x = tg.ones(2, requires_grad=True)
            gradients += tg.autograd.grad(function(x), x, create_graph=create_graph)
        assert gradients[0].tolist() == gradients[1].tolist()
    with pytest.raises(TracegraphError, match="which depends on create_graph="):
        tg.compile(program, fullgraph=True)(tg.ones(2, requires_grad=True))


def test_an_element_of_an_array_is_looked_up_in_backward() -> None:
    factors = np.array([2.0, 3.0])
    compiled = tg.compile(hook_of(lambda g: g * float(factors[0])))
    x = tg.ones(2, requires_grad=True)
    compiled(x).backward()
    assert x.grad.tolist() == [2.0, 2.0]
    y = compiled(x)
    factors[0] = 5.0
    with pytest.raises(AutogradError, match=r"factors\[0\].* was .*2.0.* when .* is .*5.0.* now"):
        y.backward()


@pytest.mark.parametrize(("name", "observed"), [("attribute", 0), ("helper", 0), ("inner", 0), ("tensor", 3)])
def test_what_guards_fix_is_not_observed_anew(name: str, observed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begin()
    compiled = tg.compile(function_of(FORMULAS[name]), backend="eager", fullgraph=True)
    compiled(tg.ones(2, requires_grad=True))
    states: list[Any] = []
    observe = StateObserver.__call__
    monkeypatch.setattr(StateObserver, "__call__", lambda *args: states.append(args) or observe(*args))
    for _ in range(3):
        compiled(tg.ones(2, requires_grad=True))
    assert len(states) == observed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_with_backward_hooks(backend: str) -> None:
    def gradient(wrap: Callable[..., Any], change: bool) -> Any:
        layer = nn.Linear(2, 2, bias=False)
        layer.weight.data.fill_(1.0)
        layer.register_full_backward_hook(lambda m, i, o: (i[0] * (2 if m.training else 3),))
        x = tg.ones(2, requires_grad=True)
        y = wrap(layer)(x).sum()
        if change:
            layer.eval()
        try:
            y.backward()
        except AutogradError as error:
            return str(error)
        assert x.grad is not None
        return x.grad.tolist()

    assert gradient(lambda m: tg.compile(m, backend=backend), False) == gradient(lambda m: m, False)
    assert "training, which was True when" in gradient(lambda m: tg.compile(m, backend=backend), True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_looked_up_at_each_backward_pass(backend: str) -> None:
    def gradients(wrap: Callable[..., Any]) -> list[Any]:
        begin()
        x = tg.ones(2, requires_grad=True)
        loss = wrap(function_of(FORMULAS["tensor"]))(x)
        found = []
        for n in range(3):
            put(tensor=tg.full((2,), float(n)))()
            found.append(tg.autograd.grad(loss, x, retain_graph=True)[0].tolist())
        return found

    assert gradients(lambda f: tg.compile(f, backend=backend)) == gradients(lambda f: f)


def variable(x: Any) -> Any:
    scale = 2.0
    y = x * 1
    y.register_hook(lambda g: g * scale)

    def change() -> None:
        nonlocal scale
        scale = 5.0

    return y.sum(), change


def instance(x: Any) -> Any:
    made = Settings()
    made.scale = 2.0
    y = x * 1
    y.register_hook(lambda g: g * made.scale)
    return y.sum(), lambda: setattr(made, "scale", 5.0)


def made_list(x: Any) -> Any:
    made = [2.0]
    y = x * 1
    y.register_hook(lambda g: g * made[0])
    return y.sum(), lambda: made.__setitem__(0, 5.0)


class KeepingList(Function):
    @staticmethod
    def forward(ctx, x, factors):
        ctx.factors = factors
        return x * factors[0]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factors[0], None


def list_from_outside(x: Any) -> Any:
    return KeepingList.apply(x, settings.factors).sum(), lambda: settings.factors.__setitem__(0, 5.0)


def behind_a_break(x: Any) -> Any:
    made = Settings()
    made.scale = 2.0
    y = x * 1
    y.register_hook(lambda g: g * made.scale)
    loss = y.sum()
    print(end="")
    made.scale = 3.0
    return loss, lambda: None


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_argument_that_only_the_hook_looks_at(backend: str) -> None:
    def program(x: Any, given: Settings, factors: list[float]) -> Any:
        y = x * 1
        y.register_hook(lambda g: g * given.scale * factors[0])
        return y.sum()

    compiled = tg.compile(program, backend=backend, fullgraph=True)
    for change, told in (
        (lambda factors: None, ""),
        (lambda factors: setattr(settings, "scale", 5.0), "'scale' not in vars"),
        (lambda factors: factors.append(1.0), r"factors, which was list\(2.0\)"),
    ):
        begin()
        x, factors = tg.ones(2, requires_grad=True), [2.0]
        loss = compiled(x, settings, factors)
        change(factors)
        with pytest.raises(AutogradError, match=told) if told else contextlib.nullcontext():
            loss.backward()
        assert (x.grad is None) is bool(told)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [variable, instance, made_list, list_from_outside, behind_a_break])
def test_what_the_call_made_or_was_given_and_others_change(program: Callable[..., Any], backend: str) -> None:
    def found(function: Callable[..., Any], is_changed: bool) -> Any:
        begin()
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        loss, change = function(x)
        if is_changed:
            change()
        try:
            loss.backward()
        except AutogradError as error:
            return error
        assert x.grad is not None
        return x.grad.tolist()

    compiled = tg.compile(program, backend=backend)
    assert agrees(found(compiled, True), found(program, True))
    assert agrees(found(compiled, False), found(program, False))
    if program is not behind_a_break:
        assert found(compiled, False) == found(program, False) == [2.0, 2.0]
