"""Random generators of the library in captured code: eager's numbers, every generator left where eager leaves it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_same, capture_of, family_of, observe, specialisation_count

import tracegraph as tg
from tracegraph.nn import functional as F
from tracegraph.tensor import Tensor
from tracegraph.utils.checkpoint import checkpoint

GENERATOR = tg.Generator()
MakeArgs = Callable[[int], tuple[Any, ...]]


def one(call: int) -> tuple[Any, ...]:
    return (tg.ones(3),)


def runs(function: Callable[..., Any], make_args: MakeArgs, calls: int) -> list[Any]:
    """Results, printed text, exceptions, and states of the generators, of some calls after one seed."""
    tg.manual_seed(11)
    GENERATOR.manual_seed(12)
    found = []
    for call in range(calls):
        args = make_args(call)
        states = [a.get_state for a in args if isinstance(a, tg.Generator)]
        outcome = observe(function, args)
        found.append((outcome.result, outcome.printed, outcome.error, tg.get_rng_state(), GENERATOR.get_state()))
        found.append([state() for state in states])
    return found


def check(
    program: Callable[..., Any], make_args: MakeArgs = one, breaks: tuple[str, ...] = (), calls: int = 4, **options: Any
) -> Any:
    """Eager and captured calls one after another; the captured function."""
    function = capture_of(program, **options)
    expected, actual = runs(program, make_args, calls), runs(function, make_args, calls)
    assert_same(actual, expected)
    assert tuple(dict.fromkeys(stop.reason.id for _, stop in family_of(function).breaks)) == breaks
    return function


# ------------------------------------------------------------------------------------------ the default generator


def seeds(x: Tensor) -> Any:
    return tg.manual_seed(0) is tg.default_generator, x + tg.rand(3), tg.rand(2)


def seeds_after_drawing(x: Tensor) -> Any:
    before = tg.rand(3)
    tg.manual_seed(5)
    return before, tg.rand(3), tg.initial_seed()


def seeds_twice(x: Tensor) -> Any:
    tg.manual_seed(5)
    a = tg.rand(3)
    tg.manual_seed(5)
    return a, tg.rand(3)


def goes_back(x: Tensor) -> Any:
    tg.rand(1)
    state = tg.get_rng_state()
    a = tg.rand(3)
    tg.set_rng_state(state)
    return a, tg.rand(3), tg.rand(3)


def forks(x: Tensor) -> Any:
    a = tg.rand(3)
    with tg.random.fork_rng():
        b = tg.rand(3)
        tg.manual_seed(3)
        c = tg.rand(3)
    return a, b, c, tg.rand(3)


def forks_nothing(x: Tensor) -> Any:
    with tg.random.fork_rng(enabled=False):
        a = tg.rand(3)
    return a, tg.rand(3)


def returns_its_state(x: Tensor) -> Any:
    a = tg.rand(3)
    return a, tg.get_rng_state(), [tg.get_rng_state()]


def asks_for_the_seed(x: Tensor) -> Any:
    return x * (tg.initial_seed() % 7), tg.rand(1)


def seeds_and_drops(x: Tensor) -> Any:
    tg.manual_seed(1)
    return F.dropout(x, 0.5), tg.randperm(5), tg.bernoulli(x * 0.5), tg.multinomial(x, 2)


def seeds_in_a_handler(x: Tensor) -> Any:
    try:
        tg.manual_seed(2)
        raise KeyError("left")
    except KeyError:
        return x + tg.rand(3)


def bad_seeds(x: Tensor) -> Any:
    texts = []
    for seed in (1.5, True, "a", 1 << 70):
        try:
            tg.manual_seed(seed)
        except (TypeError, ValueError, RuntimeError) as error:
            texts.append(str(error))
    return x + tg.rand(3), texts


def bad_state(x: Tensor) -> Any:
    try:
        tg.set_rng_state((1, 2, 3))
    except TypeError as error:
        return str(error), tg.rand(3)


# ------------------------------------------------------------------------------------------ generators of its own


def makes_one(x: Tensor) -> Any:
    g = tg.Generator().manual_seed(3)
    return tg.rand(3, generator=g), tg.randn(3, generator=g), g.get_state(), g.initial_seed(), tg.rand(1)


def returns_one(x: Tensor) -> Any:
    g = tg.Generator(device="cpu").manual_seed(3)
    a = tg.rand(3, generator=g)
    return a, [g, g], tg.rand(3, generator=g)


def draws_from_outside(x: Tensor) -> Any:
    return tg.rand(3, generator=GENERATOR), tg.normal(0.0, 1.0, (2,), generator=GENERATOR), tg.rand(1)


def draws_for_nothing(x: Tensor) -> Any:
    tg.rand(3, generator=GENERATOR)
    return x * 2


def seeds_one_from_outside(x: Tensor) -> Any:
    a = tg.rand(3, generator=GENERATOR)
    GENERATOR.manual_seed(8)
    return a, tg.rand(3, generator=GENERATOR)


def copies_a_state(x: Tensor) -> Any:
    g = tg.Generator()
    g.set_state(GENERATOR.get_state())
    return tg.rand(3, generator=g), tg.rand(3, generator=GENERATOR), GENERATOR.initial_seed()


def passes_the_default(x: Tensor) -> Any:
    return tg.rand(3, generator=tg.default_generator), tg.rand(3)


def every_function(x: Tensor) -> Any:
    g = GENERATOR
    y = x.clone()
    y.uniform_(generator=g)
    y.normal_(generator=g)
    tg.nn.init.kaiming_uniform_(tg.empty(2, 2), generator=g)
    return y, tg.randint(5, (3,), generator=g), tg.randperm(4, generator=g), tg.bernoulli(x * 0.5, generator=g)


IN_ONE_GRAPH = [
    seeds, seeds_after_drawing, seeds_twice, goes_back, forks, forks_nothing, returns_its_state, asks_for_the_seed,
    seeds_and_drops, seeds_in_a_handler, bad_seeds, bad_state, makes_one, returns_one, draws_from_outside,
    draws_for_nothing, seeds_one_from_outside, copies_a_state, passes_the_default, every_function,
]  # fmt: skip


@pytest.mark.parametrize("program", IN_ONE_GRAPH, ids=lambda p: p.__name__)
def test_draws_what_eager_draws(program: Callable[..., Any]) -> None:
    assert specialisation_count(check(program)) == 1


@pytest.mark.parametrize("program", IN_ONE_GRAPH, ids=lambda p: p.__name__)
def test_draws_compiled_what_eager_draws(program: Callable[..., Any]) -> None:
    expected, actual = (runs(f, one, 3) for f in (program, tg.compile(program)))
    assert repr(actual) == repr(expected)


def test_a_break_leaves_generators_where_they_are() -> None:
    def program(x: Tensor) -> Any:
        tg.manual_seed(1)
        a = tg.rand(2), tg.rand(2, generator=GENERATOR)
        state = tg.get_rng_state()
        print(tg.get_rng_state(), GENERATOR.get_state())
        tg.set_rng_state(state)
        return a, tg.rand(2), tg.rand(2, generator=GENERATOR)

    check(program, breaks=("side-effect",))


def test_a_generator_from_the_arguments_takes_one_trace() -> None:
    def program(x: Tensor, g: tg.Generator) -> Any:
        return x + tg.rand(3, generator=g)

    assert specialisation_count(check(program, lambda i: (tg.ones(3), tg.Generator().manual_seed(i)))) == 1


def test_generators_that_are_one_in_another_call() -> None:
    def program(x: Tensor, g: tg.Generator, h: tg.Generator) -> Any:
        return tg.rand(3, generator=g), tg.rand(3, generator=h), tg.rand(3)

    def make(call: int) -> tuple[Any, ...]:
        g, h = tg.Generator().manual_seed(1), tg.Generator().manual_seed(2)
        return tg.ones(3), *((g, h), (g, g), (tg.default_generator, h), (g, tg.default_generator))[call]

    check(program, make)


def test_a_seed_that_varies_takes_two_traces() -> None:
    def program(x: Tensor, step: int) -> Any:
        tg.manual_seed(1000 + step)
        return x + tg.rand(3)

    assert specialisation_count(check(program, lambda i: (tg.ones(3), i), calls=6)) == 2


def test_a_state_that_was_saved() -> None:
    def program(x: Tensor, state: Any) -> Any:
        tg.set_rng_state(state)
        return x + tg.rand(3)

    assert specialisation_count(check(program, lambda i: (tg.ones(3), (7, i)), calls=6)) == 2


@pytest.mark.parametrize("action", [lambda x: tg.seed() and x, lambda x: GENERATOR.seed() and x])
def test_entropy_breaks_the_graph(action: Callable[..., Any]) -> None:
    function = capture_of(action)
    before = tg.get_rng_state(), GENERATOR.get_state()
    function(tg.ones(3))
    assert (tg.get_rng_state(), GENERATOR.get_state()) != before
    assert [stop.reason.id for _, stop in family_of(function).breaks] == ["native-call"]


def test_a_new_generator_is_seeded_anew_by_every_call() -> None:
    def program(x: Tensor) -> Any:
        g = tg.Generator()
        return tg.rand(3, generator=g), g.get_state()

    function = capture_of(program, fullgraph=True)
    (a, first), (b, second) = function(tg.ones(3)), function(tg.ones(3))
    assert a.tolist() != b.tolist() and first[0] != second[0] and first[1] == second[1] == 1


def test_a_derived_generator_breaks() -> None:
    class Loud(tg.Generator):
        def next_key(self) -> Any:
            print("drawn")
            return super().next_key()

    def program(x: Tensor, g: tg.Generator) -> Any:
        return x + tg.rand(3, generator=g)

    check(program, lambda i: (tg.ones(3), Loud().manual_seed(i)), breaks=("unsupported-value",))


def test_a_look_into_a_state_breaks() -> None:
    def program(x: Tensor) -> Any:
        seed, draws = tg.get_rng_state()
        return x + tg.rand(3), seed, draws

    check(program, breaks=("native-call",))


def test_a_failing_graph_gives_its_draws_back() -> None:
    def program(x: Tensor, i: Tensor) -> Any:
        return x[i] + tg.rand(1, generator=GENERATOR) + tg.rand(1)

    check(program, lambda call: (tg.ones(3), tg.tensor([(1, 5, 2, 7)[call]])))


def test_numbers_of_another_type_give_draws_back() -> None:
    def program(x: Tensor, generator: tg.Generator, numbers: random.Random) -> Any:
        return x * tg.rand(3, generator=generator) * numbers.choice([1.0, 2])

    check(program, lambda call: (tg.ones(3), tg.Generator().manual_seed(0), random.Random((1, 2, 5, 3)[call])))


def test_draws_in_a_checkpoint() -> None:
    """Those of the default generator are the same when it is run again; others are not, so eager runs it."""

    def default(x: Tensor) -> Any:
        y = checkpoint(lambda x: F.dropout(x, 0.5).sin(), x)
        (g,) = tg.autograd.grad(y.sum(), x)
        return y, g

    def other(x: Tensor) -> Any:
        y = checkpoint(lambda x: x.sin() * tg.rand(3, generator=GENERATOR), x)
        (g,) = tg.autograd.grad(y.sum(), x)
        return y, g

    def make(call: int) -> tuple[Any, ...]:
        return (tg.ones(3, requires_grad=True),)

    check(default, make)
    check(other, make, breaks=("native-call", "backward"))


def test_threads_share_a_generator_and_no_numbers() -> None:
    def program(x: Tensor) -> Any:
        return tg.rand(2, generator=GENERATOR) + x * 0

    function = tg.compile(program)
    function(tg.ones(2))
    drawn: list[tuple[float, ...]] = []
    GENERATOR.manual_seed(0)

    def work() -> None:
        for _ in range(50):
            drawn.append(tuple(function(tg.ones(2)).tolist()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 200 and GENERATOR.get_state() == (0, 200)
