"""Histories of views: random programs of views and writes, eager and compiled, against a purely functional reference.

The reference has no views and no writes. It keeps the elements of every memory in a flat array, and of every tensor
that is no view (a memory's first tensor, or what was detached of one) a flat pure expression that carries its
gradient. A view is a table of positions in that; a write scatters into the expression out of place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import AutogradError
from tracegraph.tensor import Tensor

PROGRAMS = 300
COMPILED = 40


# ------------------------------------------------------------------------------------------ the reference


class Memory:
    """The elements, flat."""

    def __init__(self, elements: np.ndarray) -> None:
        self.elements = elements.reshape(-1).copy()


class Base:
    """A tensor that is no view: a history over all of a memory."""

    def __init__(self, memory: Memory, history: Tensor | None) -> None:
        self.memory = memory
        self.history = history  # flat; its values do not matter, its gradient does


@dataclass
class Reference:
    """A tensor of the reference: places in the memory of a base."""

    base: Base
    places: np.ndarray

    @staticmethod
    def of(tensor: Tensor) -> Reference:
        array = tensor.detach().numpy()
        history = tensor.reshape(-1) if tensor.requires_grad else None
        return Reference(Base(Memory(array), history), np.arange(array.size).reshape(array.shape))

    @property
    def requires_grad(self) -> bool:
        return self.base.history is not None

    def view(self, change: Callable[[Any], Any]) -> Reference:
        return Reference(self.base, change(self.places))

    def detach(self) -> Reference:
        return Reference(Base(self.base.memory, None), self.places)

    def read(self) -> Tensor:
        """A pure tensor of the elements now, with the history."""
        elements = tg.tensor(self.base.memory.elements[self.places])
        if self.base.history is None or not tg.is_grad_enabled():
            return elements
        history = self.base.history[tg.tensor(self.places.reshape(-1))].reshape(self.places.shape)
        return elements + (history - history.detach())

    def write(self, new: Tensor) -> None:
        flat = self.places.reshape(-1)
        if tg.is_grad_enabled() and (new.requires_grad or self.requires_grad):
            old = self.base.history
            if old is None:
                old = tg.zeros(self.base.memory.elements.size)
            kept = np.ones(self.base.memory.elements.size, np.float32)
            kept[flat] = 0
            put = tg.zeros(kept.size).index_put((tg.tensor(flat),), new.expand(self.places.shape).reshape(-1))
            self.base.history = old * tg.tensor(kept) + put
        self.base.memory.elements[flat] = np.broadcast_to(new.detach().numpy(), self.places.shape).reshape(-1)


# ------------------------------------------------------------------------------------------ random programs

VIEWS: dict[str, Callable[[Any], Any]] = {
    "x[:-1]": lambda x: x[:-1],
    "x[1:]": lambda x: x[1:],
    "x[0]": lambda x: x[0],
    "x[-1:]": lambda x: x[-1:],
    "x[::2]": lambda x: x[::2],
    "x[:]": lambda x: x[:],
    "x[..., :-1]": lambda x: x[..., :-1],
    "x[..., 1]": lambda x: x[..., 1],
    "x[None]": lambda x: x[None],
    "x.swapaxes(0, -1)": lambda x: x.swapaxes(0, -1),
}


@dataclass(frozen=True)
class Step:
    """`tensors[source]` is viewed (`what` a view), detached, or written to; `other` is what is written."""

    what: str
    source: int
    other: int = 0
    grad_mode: bool = True

    def __str__(self) -> str:
        mode = "" if self.grad_mode else "  # under no_grad"
        if self.what in VIEWS:
            return f"t.append({self.what.replace('x', f't[{self.source}]', 1)}){mode}"
        if self.what == "detach":
            return f"t.append(t[{self.source}].detach())"
        return f"t[{self.source}].{self.what}(...t[{self.other}]...){mode}"


def ways(write: str, other: Any) -> Any:
    """The operand of a write, of a shape that broadcasts to any: a number's worth of `other`."""
    return other.sum() * (0.5 if write == "mul_" else 0.25)


def grow(seed: int) -> list[Step]:
    """A program on t[0], whose history is empty, t[1], which was computed, and t[2], a leaf to write from."""
    choose = random.Random(seed)
    shapes = [np.empty((3, 3)), np.empty((4,)), np.empty((2,))]
    steps = []
    for _ in range(choose.randint(4, 9)):
        kind = choose.choice(["view", "view", "write", "write", "write", "detach"])
        candidates = [i for i in range(len(shapes)) if i != 2]
        source = choose.choice(candidates)
        if kind == "view":
            possible = [v for v in VIEWS if _is_possible(v, shapes[source])]
            if possible:
                steps.append(Step(choose.choice(possible), source))
                shapes.append(VIEWS[steps[-1].what](shapes[source]))
        elif kind == "detach":
            if choose.random() < 0.5:
                steps.append(Step("detach", source))
                shapes.append(shapes[source])
        else:
            write = choose.choice(["mul_", "add_", "copy_"])
            other = choose.choice([2, 2, choose.randrange(len(shapes))])
            steps.append(Step(write, source, other, choose.random() < 0.8))
    return steps


def _is_possible(view: str, array: np.ndarray) -> bool:
    try:
        return VIEWS[view](array).size > 0
    except IndexError:
        return False


def run(steps: Sequence[Step], x: Tensor, y: Tensor, w: Tensor) -> list[Tensor]:
    """The program, with views and writes."""
    t = [x, y, w]
    for step in steps:
        if step.what in VIEWS:
            t.append(VIEWS[step.what](t[step.source]))
        elif step.what == "detach":
            t.append(t[step.source].detach())
        elif step.grad_mode:
            getattr(t[step.source], step.what)(ways(step.what, t[step.other]))
        else:
            with tg.no_grad():
                getattr(t[step.source], step.what)(ways(step.what, t[step.other]))
    return t


def run_pure(steps: Sequence[Step], x: Tensor, y: Tensor, w: Tensor) -> list[Reference]:
    """The program, by the reference."""
    t = [Reference.of(x), Reference.of(y), Reference.of(w)]
    for step in steps:
        target = t[step.source]
        if step.what in VIEWS:
            t.append(target.view(VIEWS[step.what]))
            continue
        if step.what == "detach":
            t.append(target.detach())
            continue
        with tg.set_grad_enabled(step.grad_mode):
            other = ways(step.what, t[step.other].read())
            if step.what == "copy_":
                target.write(other)
            else:
                target.write(target.read() * other if step.what == "mul_" else target.read() + other)
    return t


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """A tensor without history, one with, and the leaf that all gradients are of."""
    w = tg.tensor([0.75, 1.5], requires_grad=True)
    x = tg.tensor(np.arange(1, 10, dtype=np.float32).reshape(3, 3) / 4)
    y = w[0] * tg.tensor([1.0, 2.0, -1.0, 3.0]) + w[1]
    return x, y, w


def gradient(results: Sequence[Tensor], w: Tensor) -> np.ndarray:
    """Of a sum of all results in which each element has a weight of its own."""
    total = w.sum() * 0
    for i, r in enumerate(results):
        weights = np.linspace(1, 2, r._np.size, dtype=np.float32).reshape(r.shape) * (i + 1)
        total = total + (r * r * tg.tensor(weights)).sum() * 0.1
    total.backward()
    assert w.grad is not None
    return w.grad.numpy()


def check(steps: Sequence[Step], program: Callable[..., list[Tensor]]) -> None:
    x, y, w = inputs()
    wanted = run_pure(steps, x, y, w)
    wanted_gradient = gradient([r.read() for r in wanted], w)
    x, y, w = inputs()
    found = program(x, y, w)
    for f, r in zip(found, wanted, strict=True):
        assert f.requires_grad == r.requires_grad
        np.testing.assert_allclose(f.detach().numpy(), r.read().detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(gradient(found, w), wanted_gradient, rtol=1e-4)


@pytest.mark.parametrize("start", range(0, PROGRAMS, 50))
def test_eager_programs_agree_with_the_reference(start: int) -> None:
    for seed in range(start, start + 50):
        steps = grow(seed)
        try:
            check(steps, lambda *tensors, steps=steps: run(steps, *tensors))
        except Exception as error:
            error.add_note("\n".join(map(str, [f"seed {seed}", *steps])))
            raise


@pytest.mark.parametrize("start", range(0, COMPILED, 10))
def test_compiled_programs_agree_with_the_reference(start: int) -> None:
    for seed in range(start, start + 10):
        steps = grow(seed)

        def program(x: Tensor, y: Tensor, w: Tensor, steps: Sequence[Step] = tuple(steps)) -> list[Tensor]:
            return run(steps, x, y, w)

        try:
            check(steps, tg.compile(program))
        except Exception as error:
            error.add_note("\n".join(map(str, [f"seed {seed}", *steps])))
            raise


# ------------------------------------------------------------------------------------------ single cases


def leaf(*values: float) -> Tensor:
    return tg.tensor(list(values), requires_grad=True)


def through_a_sibling(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    u, v = x[:2], x[1:]
    before = u + w  # reads no element that is about to go
    v.mul_(w)
    return before, u, u * w


@pytest.mark.parametrize("compiled", [False, True])
def test_a_view_learns_what_was_written_through_its_sibling(compiled: bool) -> None:
    w, x = leaf(2.0, 3.0), tg.ones(3)
    program = tg.compile(through_a_sibling) if compiled else through_a_sibling
    before, u, after = program(x, w)
    assert before.tolist() == [3, 4] and u.tolist() == [1, 2] and after.tolist() == [2, 6]
    assert u.requires_grad and x.requires_grad and not u.is_leaf
    (before.sum() + u.sum() + after.sum()).backward()
    assert w.grad.tolist() == [1 + 1 + 1 + 3, 1 + 2]  # u[1] is w[0]


@pytest.mark.parametrize("compiled", [False, True])
def test_tensors_outside_learn_what_a_function_wrote_to_a_view(compiled: bool) -> None:
    def double(view: Tensor, w: Tensor) -> Tensor:
        return view.mul_(w)

    w, x = leaf(2.0, 3.0), tg.ones(3)
    sibling, view = x[1:][:1], x[1:]
    written = (tg.compile(double) if compiled else double)(view, w)
    assert written is view
    assert sibling.requires_grad and x.requires_grad
    (sibling.sum() * 10 + x.sum()).backward()
    assert w.grad.tolist() == [11, 1]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_write_without_history_ends_that_of_the_target(compiled: bool) -> None:
    def fill(view: Tensor, w: Tensor) -> Tensor:
        view.copy_(w.detach())
        return w * 2

    w = leaf(2.0, 3.0)
    y = w * 3
    (tg.compile(fill) if compiled else fill)(y[:1], leaf(7.0))
    assert y.tolist() == [7, 9]
    y.sum().backward()
    assert w.grad.tolist() == [0, 3]


@pytest.mark.parametrize("compiled", [False, True])
def test_views_of_leaves_are_refused(compiled: bool) -> None:
    def write(view: Tensor, w: Tensor) -> None:
        view.mul_(w)

    p = leaf(1.0, 2.0)
    with pytest.raises(AutogradError, match="a view of a leaf that requires grad"):
        (tg.compile(write) if compiled else write)(p[:1], leaf(2.0))
    assert p.tolist() == [1, 2] and p.is_leaf


def written_in_grad_mode(x: Tensor, w: Tensor) -> Tensor:
    with tg.no_grad():
        view = x[:2]
    view.mul_(w)
    return x


def base_written_in_grad_mode(x: Tensor, w: Tensor) -> Tensor:
    with tg.no_grad():
        view = x[:2][:1]
    x[1:].mul_(w)
    return view * 2


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("program", [written_in_grad_mode, base_written_in_grad_mode])
@pytest.mark.parametrize("has_history", [False, True])
def test_views_made_outside_grad_mode_do_not_follow(program: Any, compiled: bool, has_history: bool) -> None:
    x = leaf(1.0, 2.0, 3.0) * 2 if has_history else tg.ones(3)
    with pytest.raises(AutogradError, match="made outside"):
        (tg.compile(program) if compiled else program)(x, leaf(2.0, 3.0))


@pytest.mark.parametrize("compiled", [False, True])
def test_views_made_and_written_to_outside_grad_mode(compiled: bool) -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        with tg.no_grad():
            view = x[:1]
            view.mul_(10)
        return x * 2, view * 3

    w = leaf(1.0, 2.0)
    found, view = (tg.compile(program) if compiled else program)(w * 1)
    assert found.tolist() == [20, 4] and view.tolist() == [30] and not view.requires_grad
    found.sum().backward()
    assert w.grad.tolist() == [2, 2]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_detached_tensor_has_a_history_of_its_own(compiled: bool) -> None:
    def program(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        detached = x.detach()
        view = detached[:1]
        detached.mul_(w)
        x.add_(1)
        return detached, view, detached * w

    w, x = leaf(2.0, 3.0), tg.ones(2)
    detached, view, product = (tg.compile(program) if compiled else program)(x, w)
    assert not x.requires_grad and detached.requires_grad and view.requires_grad
    assert x.tolist() == detached.tolist() == [3, 4] and product.tolist() == [6, 12]
    assert detached._version == x._version
    x.zero_()
    assert detached.tolist() == [0, 0]
    (detached.sum() + 10 * view.sum()).backward()
    assert w.grad.tolist() == [11, 1]


def test_hooks_registered_after_a_write_belong_to_the_new_history() -> None:
    x, seen = leaf(1.0, 2.0) * 1, []
    x.register_hook(lambda g: seen.append(("before", g.tolist())))
    x.mul_(2)
    x.register_hook(lambda g: seen.append(("after", g.tolist())))
    x.sum().backward()
    assert seen == [("after", [1, 1]), ("before", [2, 2])]


def test_offsets_count_from_the_start_of_the_memory() -> None:
    x = tg.ones(4)
    assert x[1:].detach()[2:].storage_offset() == 3 and x[1:].detach()._base is None
