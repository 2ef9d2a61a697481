"""`autograd.Function` in captured code: one graph, with the gradients, of any order, that eager execution has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_close, assert_same, capture_of, check, derivatives, graphs_of
from programs import autograd_function_breaks as breaking
from programs import autograd_functions as programs
from programs import autograd_functions_made as made
from programs.autograd_functions import leaf

import tracegraph as tg
from tracegraph.autograd import Function, grad

CAPTURED = [
    programs.saved_result, programs.straight_through, programs.attributes_of_the_context, programs.applied_often,
    programs.returned_argument_of_the_trace, programs.viewed, programs.detached, programs.several_results,
    programs.some_inputs, programs.written_argument, programs.both_styles, programs.not_differentiable,
    programs.absent_gradients, programs.once, programs.nested, programs.broadcast_gradient, programs.without_grad_mode,
    made.made_here, programs.written_after, programs.in_branches, programs.in_a_loop_body,
    made.one_result_twice, made.parts_of_one_memory, programs.one_argument_twice, programs.written_result,
    made.no_grad_in_backward, programs.from_a_list, programs.options_changed_before,
]  # fmt: skip

BACKENDS = ["replay", "interpreter", "llvm"]


def compiled(program: Any, backend: str) -> Any:
    if backend == "replay":
        return capture_of(program, fullgraph=True)
    return tg.compile(program, backend=backend, fullgraph=True, options={"strict": True})


@pytest.mark.parametrize("program", CAPTURED, ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(program: Callable[..., Any], backend: str, order: int) -> None:
    function = compiled(program, backend)
    for shape in ((2, 3), (4, 3)):
        assert_close(derivatives(function, leaf(*shape), order), derivatives(program, leaf(*shape), order))


@pytest.mark.parametrize("program", CAPTURED, ids=lambda p: p.__name__)
def test_one_graph(program: Callable[..., Any]) -> None:
    assert len(graphs_of(check(program, lambda: (leaf(2, 3),), fullgraph=True))) == 1


def test_the_text_of_the_graph() -> None:
    function = check(programs.Exp.apply, lambda: (leaf(2, 3),), fullgraph=True)
    (graph,) = graphs_of(function)
    text = "\n".join(line.partition("//")[0].rstrip() for line in str(graph).splitlines())
    assert text == (
        """graph apply(%args_0: f32[2, 3] primal, %outside_state: f32[0] primal) {
  %0: f32[2, 3] = exp(%args_0)
  %1: f32[2, 3] = detach(%0)
  %2: f32[2, 3] = custom_vjp(%1, %args_0, %outside_state, backward=graph backward_fn(BODY) {
    %0: f32[2, 3] = mul(%arg0, %arg1)
    %1: f32[2, 3] = mul(%0, 3)
    return %1
  }, inputs=1, outputs=1, reads_outside=true, saved_results=[0], sizes=[], unversioned=[2])
  return %2
}""".replace("BODY", "%arg0: f32[2, 3], %arg1: f32[2, 3], %arg2: f32[0]")
    )


def test_a_missing_gradient_stays_missing() -> None:
    """As in eager: None, not zeros, where `backward` returns None."""

    class Stop(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g, None

    for function in (Stop.apply, *(compiled(Stop.apply, b) for b in BACKENDS)):
        x, y = leaf(2, 3), leaf(2, 3)
        z = function(x, y)
        assert z.requires_grad
        z.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [[1.0] * 3] * 2
        assert y.grad is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_gradient_of_several_results(backend: str) -> None:
    """Which results have a gradient is only known in backward; `Either` asks."""

    def program(x, y):
        return programs.Either.apply(x, y)

    def gradients(function: Any, used: int) -> list[Any]:
        x, y = leaf(2, 3), leaf(2, 3)
        function(x, y)[used].sum().backward()
        return [x.grad, y.grad]

    function = compiled(program, backend)
    for used in (0, 1):
        wanted, found = gradients(program, used), gradients(function, used)
        assert [w is None for w in wanted] == [u != used for u in (0, 1)]
        assert_same(found, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [breaking.Miscounted, breaking.Misshapen, breaking.Dependent, breaking.Noisy])
def test_backward_of_what_breaks(function: type[Function], backend: str) -> None:
    """The same gradients, or the same error, at the same time."""

    def program(x):
        return function.apply(x * 2) * 3

    def outcome(run: Any) -> Any:
        tg.manual_seed(0)
        x = leaf(2, 3)
        y = run(x)
        try:
            y.sum().backward()
        except tg.TracegraphError as error:
            return type(error), str(error)
        return x.grad

    run = capture_of(program) if backend == "replay" else tg.compile(program, backend=backend)
    wanted, found = outcome(program), outcome(run)
    assert type(found) is type(wanted)
    if isinstance(wanted, tuple):
        assert found == wanted
    else:
        assert tg.allclose(found, wanted)


@pytest.mark.parametrize(
    "program", [breaking.options_changed_later, breaking.absent_gradients_of_many_results], ids=lambda p: p.__name__
)
def test_gradients_of_what_breaks(program: Callable[..., Any]) -> None:
    assert_close(derivatives(capture_of(program), leaf(2, 3), 1), derivatives(program, leaf(2, 3), 1))


def test_effects_of_backward_happen_in_backward(capsys: pytest.CaptureFixture[str]) -> None:
    run = capture_of(breaking.backward_prints)
    x = leaf(2, 3)
    y = run(x)
    assert capsys.readouterr().out == ""
    y.sum().backward()
    assert capsys.readouterr().out == "backward tracegraph.Size([2, 3])\n"
    assert x.grad is not None
    assert x.grad.tolist() == [[6.0] * 3] * 2


def test_differentiating_what_is_differentiable_once_is_an_error() -> None:
    for run in (programs.once, *(compiled(programs.once, b) for b in BACKENDS)):
        x = leaf(2, 3)
        y = run(x)
        (g,) = grad(y, x, tg.ones(2, 3, requires_grad=True), create_graph=True)
        with pytest.raises(tg.TracegraphError, match="once_differentiable"):
            g.sum().backward()


def test_a_later_write_to_what_is_saved_is_an_error() -> None:
    def program(x, w):
        return programs.Attention.apply(x, 0.5, w)[0]

    for run in (program, *(compiled(program, b) for b in BACKENDS)):
        x, w = leaf(2, 3), tg.ones(2, 3)
        y = run(x, w)
        w.add_(1)
        with pytest.raises(tg.TracegraphError, match="modified by an in-place"):
            y.sum().backward()


def test_a_later_write_to_what_is_not_saved_is_none() -> None:
    def program(x, w):
        return programs.Reversed.apply(x * w.detach().round(), 2), programs.StraightThrough.apply(w)

    for run in (program, *(compiled(program, b) for b in BACKENDS)):
        x, w = tg.ones(3), leaf(3)
        y = run(x, w)[1]
        with tg.no_grad():
            w.add_(1)
        y.sum().backward()
        assert w.grad is not None
        assert w.grad.tolist() == [1.0] * 3


class Nudged(Function):
    """A gradient that is no linear map: something even where it gets zeros."""

    @staticmethod
    def forward(ctx: Any, x: tg.Tensor) -> tg.Tensor:
        return x * 1

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> tg.Tensor:
        return g + 1


def nudged_beside(x: tg.Tensor) -> Any:
    return (x * 2).sum(), Nudged.apply(x).sum(), (Nudged.apply(x) * x).sum()


def hooked_beside(x: tg.Tensor) -> Any:
    y, z = x * 2, x * 3
    y.register_hook(lambda g: g + 1)
    return (x * 2).sum(), y.sum(), (y * z).sum()


def nudged_in_a_branch(x: tg.Tensor) -> Any:
    return (x * 2).sum(), tg.cond(x.sum() > 0, Nudged.apply, tg.neg, (x,)).sum(), x.exp().sum()


@pytest.mark.parametrize("program", [nudged_beside, hooked_beside, nudged_in_a_branch], ids=lambda p: p.__name__)
@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
def test_what_is_not_gone_back_from_is_not_evaluated(program: Callable[..., Any], backend: str) -> None:
    function = compiled(program, backend)
    for number in range(3):
        x, y = leaf(2, 3), leaf(2, 3)
        for found, wanted in zip(
            grad(function(x)[number], x, create_graph=number == 2), grad(program(y)[number], y), strict=True
        ):
            assert_close([found.detach()], [wanted])


class Owner:
    """Something from outside whose tensor a backward function reads."""

    def __init__(self) -> None:
        self.scale = tg.ones(2, 3)


class ScaledByOwner(Function):
    @staticmethod
    def forward(ctx: Any, x: tg.Tensor, owner: Owner) -> tg.Tensor:
        ctx.owner = owner
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> Any:
        return g * g * ctx.owner.scale, None


class ScaledByAttribute(Function):
    @staticmethod
    def forward(ctx: Any, x: tg.Tensor, owner: Owner) -> tg.Tensor:
        ctx.scale = owner.scale[0]
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> Any:
        return g * g * ctx.scale.exp(), None


class ScaledBySaved(Function):
    @staticmethod
    def forward(ctx: Any, x: tg.Tensor, owner: Owner) -> tg.Tensor:
        ctx.save_for_backward(owner.scale)
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: tg.Tensor) -> Any:
        return g * ctx.saved_tensors[0], None


def hooked_by_owner(x: tg.Tensor, owner: Owner) -> Any:
    y = x * 2
    y.register_hook(lambda g: g * g * owner.scale)
    return y.sin()


READERS = {
    "an attribute of an object": lambda x, owner: ScaledByOwner.apply(x, owner).sin(),
    "a view in the context": lambda x, owner: ScaledByAttribute.apply(x.sin(), owner),
    "a saved tensor": ScaledBySaved.apply,
    "a hook": hooked_by_owner,
    "what forward reads too": lambda x, owner: ScaledByOwner.apply(x * owner.scale, owner),
}


def write_first(result: tg.Tensor, x: tg.Tensor, owner: Owner) -> Any:
    owner.scale.mul_(3)
    result.sum().backward()


def write_between(result: tg.Tensor, x: tg.Tensor, owner: Owner) -> Any:
    result.sum().backward(retain_graph=True)
    owner.scale.mul_(3)
    result.sum().backward(retain_graph=True)
    owner.scale.mul_(3)
    result.sum().backward()


def write_before_the_second_order(result: tg.Tensor, x: tg.Tensor, owner: Owner) -> Any:
    owner.scale.mul_(3)
    (first,) = grad((result * result).sum(), x, create_graph=True)
    first.square().sum().backward()


def write_between_the_orders(result: tg.Tensor, x: tg.Tensor, owner: Owner) -> Any:
    (first,) = grad((result * result).sum(), x, create_graph=True)
    owner.scale.mul_(3)
    first.square().sum().backward()


@pytest.mark.parametrize(
    "use",
    [write_first, write_between, write_before_the_second_order, write_between_the_orders],
    ids=lambda u: u.__name__,
)
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
def test_what_backward_reads_from_outside_is_written_to(name: str, use: Callable[..., Any], backend: str) -> None:
    seen: list[tuple[Any, Any]] = []
    for function in (READERS[name], compiled(READERS[name], backend)):
        x, owner = leaf(2, 3), Owner()
        result = function(x, owner)
        try:
            use(result, x, owner)
            seen.append((None, x.grad))
        except tg.TracegraphError as e:
            seen.append((type(e), x.grad))
    (error, wanted), (found_error, found) = seen
    assert found_error is error
    if wanted is not None:
        assert_close([found], [wanted])
