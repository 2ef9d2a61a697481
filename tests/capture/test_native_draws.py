"""Random numbers of Python and numpy in captured code: drawn by each call as eager code draws them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from captured import assert_same, capture_of, family_of, graphs_of, observe, specialisation_count

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.trace.native_draws import Snapshot
from tracegraph.tensor import Tensor
from tracegraph.utils.checkpoint import checkpoint

PYTHON = random.Random(3)
NUMPY = np.random.default_rng(0)
LEGACY = np.random.RandomState(4)
MakeArgs = Callable[[int], tuple[Any, ...]]


class Augmentation:
    """Generators as attributes."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.numpy = np.random.default_rng(5)


OBJECT = Augmentation()


def seed() -> None:
    random.seed(1)
    np.random.seed(1)
    PYTHON.seed(2)
    OBJECT.random.seed(3)
    LEGACY.seed(5)
    for generator in (NUMPY, OBJECT.numpy):
        generator.bit_generator.state = np.random.default_rng(6).bit_generator.state


def states() -> list[str]:
    return [
        *(repr(g.getstate()) for g in (random, PYTHON, OBJECT.random)),
        *(repr(g.bit_generator.state) for g in (NUMPY, OBJECT.numpy)),
        *(repr(g.get_state()) for g in (LEGACY, np.random)),
    ]


def one(call: int) -> tuple[Any, ...]:
    return (tg.ones(3),)


def runs(function: Callable[..., Any], make_args: MakeArgs, calls: int) -> list[Any]:
    seed()
    found = []
    for call in range(calls):
        outcome = observe(function, make_args(call))
        found.append((outcome.result, outcome.printed, outcome.error, states()))
    return found


def check(program: Callable[..., Any], make_args: MakeArgs = one, breaks: tuple[str, ...] = (), calls: int = 6) -> Any:
    """Eager and captured calls one after another; the captured function."""
    function = capture_of(program)
    expected, actual = runs(program, make_args, calls), runs(function, make_args, calls)
    assert_same(actual, expected)
    assert tuple(dict.fromkeys(stop.reason.id for _, stop in family_of(function).breaks)) == breaks
    assert not family_of(function).given_up
    return function


# ------------------------------------------------------------------------------------------ without a break


def number(x: Tensor) -> Any:
    return x * random.random(), random.random()


def several(x: Tensor) -> Any:
    a = x * random.random() + random.gauss(0, 1) * random.uniform(-1, 1)
    return a, random.betavariate(1, 2), random.choice([0.5, 0.25]), random.triangular()


def of_objects(x: Tensor) -> Any:
    return x * PYTHON.random() * PYTHON.uniform(1, 2), OBJECT.random.random(), OBJECT.numpy.normal(scale=2.0)


def seeded(x: Tensor) -> Any:
    random.seed(4)
    a = x * random.random()
    np.random.seed(3)
    return a + np.random.rand(), np.random.randn(3)


def computed(x: Tensor) -> Any:
    noise = 1 + 0.1 * random.random() ** 2
    return x * noise, -noise, abs(noise), f"{noise:.3f}", str(noise)


def unused(x: Tensor) -> Any:
    random.random()
    return x * 2


def argument_drawn(x: Tensor) -> Any:
    return x * random.uniform(0.0, random.random())


def raises_and_goes_on(x: Tensor) -> Any:
    a = random.random()
    try:
        random.uniform("a", 1)
    except TypeError as error:
        return x * a, str(error)


def arrays(x: Tensor) -> Any:
    a = np.random.rand(3)
    b = (a - a.mean()) / a.std()
    return x * tg.from_numpy(b), tg.tensor(NUMPY.normal(size=(2, 3))), b.shape, b.dtype, LEGACY.randint(0, 5, (2,))


def array_shared(x: Tensor) -> Any:
    a = np.random.rand(3)
    t = tg.from_numpy(a)
    t += x
    return t, a


def as_index(x: Tensor) -> Any:
    return x[tg.from_numpy(np.random.permutation(3))]


def noise_of_numpy(x: Tensor) -> Any:
    return x + tg.from_numpy(np.random.normal(0.0, 1.0, size=3).astype(np.float32)), np.float32(np.random.rand()) * x


def made_in_the_trace(x: Tensor) -> Any:
    r, n = random.Random(3), np.random.default_rng(0)
    items = [1, 2, 3, 4]
    r.shuffle(items)
    y = x * r.randint(1, 9) if r.random() < 0.5 else x - r.choice(items)
    return y, items, tg.tensor(n.normal(size=3)), n.integers(5), np.random.RandomState(2).rand(2)


def whole_number(x: Tensor) -> Any:
    n = random.randint(-5, 5)
    return x * n, x * int(random.random() * 10), NUMPY.integers(7), n // 2, -n % 4, x + random.choice([2, 7, 5])


def whole_index(x: Tensor) -> Any:
    i = random.randrange(2)
    return x[random.randint(0, 2)], x[i : i + 2], tg.roll(x, np.random.randint(0, 9)), x[-random.randint(1, 3)]


def whole_in_random_terms(x: Tensor) -> Any:
    n = random.getrandbits(3)
    return x * random.randint(0, n), x - random.randrange(-9, 9, 3) * random.randrange(9, -9, -4), f"{n}", n / 2


IN_ONE_GRAPH = [
    number, several, of_objects, seeded, computed, unused, argument_drawn, raises_and_goes_on, arrays, array_shared,
    as_index, noise_of_numpy, made_in_the_trace, whole_number, whole_index, whole_in_random_terms,
]  # fmt: skip


@pytest.mark.parametrize("program", IN_ONE_GRAPH, ids=lambda p: p.__name__)
def test_draws_what_eager_draws(program: Callable[..., Any]) -> None:
    function = check(program)
    assert specialisation_count(function) == 1 and len(graphs_of(function)) == 1


@pytest.mark.parametrize("program", IN_ONE_GRAPH, ids=lambda p: p.__name__)
def test_draws_compiled_what_eager_draws(program: Callable[..., Any]) -> None:
    expected, actual = (runs(f, one, 3) for f in (program, tg.compile(program)))
    assert [r[1:] for r in actual] == [r[1:] for r in expected]
    for (found, *_), (wanted, *_) in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(_elements(found), _elements(wanted))


def _elements(value: Any) -> list[str]:
    """Numbers to the rounding of compiled code."""
    if isinstance(value, tuple | list):
        return [text for part in value for text in _elements(part)]
    if isinstance(value, Tensor | np.ndarray):
        return [f"{v:.5f}" for v in np.ravel(value.numpy() if isinstance(value, Tensor) else value)]
    return [repr(value)]


def test_generators_from_the_arguments() -> None:
    def program(x: Tensor, r: random.Random, n: np.random.Generator) -> Any:
        return x * r.random() + n.normal(), r.random()

    function = check(program, lambda i: (tg.ones(3), random.Random(i), np.random.default_rng(i)))
    assert specialisation_count(function) == 1


def test_one_generator_under_two_names() -> None:
    def program(x: Tensor, r: random.Random, s: random.Random) -> Any:
        return r.random(), s.random(), r.random()

    def make(call: int) -> tuple[Any, ...]:
        r, s = random.Random(1), random.Random(2)
        return tg.ones(3), r, (r if call % 2 else s)

    check(program, make)


def test_a_generator_made_in_the_trace_leaves_it() -> None:
    def program(x: Tensor) -> Any:
        r = random.Random(3)
        return x * r.random(), r

    function = capture_of(program, fullgraph=True)
    (_, a), (_, b), (_, eager) = function(tg.ones(3)), function(tg.ones(3)), program(tg.ones(3))
    assert a is not b
    assert a.random() == b.random() == eager.random()


# ------------------------------------------------------------------------------------------ with one


def decides(x: Tensor) -> Any:
    y = x * 2
    if random.random() < 0.5:
        return y + random.random()
    return y - 1


def decides_later(x: Tensor) -> Any:
    r = random.random()
    y = x * r
    z = random.random()
    return (y + z, random.random()) if r < 0.5 else (y - z, r)


def decides_by_an_array(x: Tensor) -> Any:
    a = np.random.rand(3)
    return x + tg.from_numpy(a) if a[0] > 0.5 else x - tg.from_numpy(a)


def whole_size(x: Tensor) -> Any:
    return x * 2, x[: random.randint(2, 3)].sum(), random.random()


def whole_position(x: Tensor) -> Any:
    layers = [x + 1, x * 2, x.sin()]
    return layers[random.randint(0, 2)] * random.randint(1, 4)


def whole_of_unknown_range(x: Tensor) -> Any:
    return x * 2, x[int(random.random() * 3)]


def shuffles(x: Tensor) -> Any:
    items = [1, 2, 3]
    random.shuffle(items)
    return x * items[0], random.sample(items, 2), random.random()


def prints_in_between(x: Tensor) -> Any:
    a = random.random()
    print("drawn", a)
    return x * a * random.random()


@pytest.mark.parametrize(
    "program",
    [decides, decides_later, decides_by_an_array, whole_size, whole_position, whole_of_unknown_range, shuffles],
)
def test_what_decides_breaks_and_draws_once(program: Callable[..., Any]) -> None:
    function = check(program, breaks=("side-effect",))
    assert specialisation_count(function) == 1


def test_a_seed_that_is_an_array_breaks() -> None:
    check(lambda x: x * np.random.default_rng(np.array([1, 2])).random(), breaks=("side-effect",))


def test_draws_before_another_break() -> None:
    check(prints_in_between, breaks=("side-effect",))


def test_the_line_and_reason_of_a_decision() -> None:
    function = capture_of(decides)
    function(tg.ones(3))
    text = family_of(function).breaks[0][1].describe()
    assert "a decision by a random number" in text and f":{decides.__code__.co_firstlineno + 2}:" in text


def test_a_drawn_number_of_another_type_runs_eagerly() -> None:
    """`choice` gives a float when it is traced, and an int later: the draw is taken back, and eager code makes it."""
    items = [0.5, 0.25, 3, 4]

    def program(x: Tensor) -> Any:
        return tg.full((2,), 1.0) * random.choice(items), random.random()

    random.seed(0)
    first = next(s for s in range(100) if random.Random(s).choice(items) == 0.5)
    function = capture_of(program)
    for start in (first, *range(20)):
        random.seed(start)
        expected = program(tg.ones(3)), random.getstate()
        random.seed(start)
        assert_same((function(tg.ones(3)), random.getstate()), expected)


def test_a_failing_graph_gives_its_draws_back() -> None:
    def program(x: Tensor, i: Tensor) -> Any:
        return x[i] * random.random() + np.random.rand() + NUMPY.normal()

    check(program, lambda call: (tg.ones(3), tg.tensor([(1, 5, 2, 7, 0, 0)[call]])))


def test_draws_in_a_checkpoint_are_made_again_by_backward() -> None:
    def program(x: Tensor) -> Any:
        y = checkpoint(lambda x: x.sin() * random.random(), x)
        (g,) = tg.autograd.grad(y.sum(), x)
        return y, g

    check(program, lambda call: (tg.ones(3, requires_grad=True),), breaks=("native-call", "backward"))


def test_a_trace_draws_from_copies() -> None:
    seed()
    before = states()
    with pytest.raises(tg.errors.CaptureError):
        capture_of(lambda x: print(x * random.random(), NUMPY.normal()), fullgraph=True)(tg.ones(3))
    assert states() == before


def test_a_failing_call_takes_no_draws_from_others() -> None:
    def fails(x: tg.Tensor, index: tg.Tensor) -> tg.Tensor:
        return x[index] * random.random()

    compiled = tg.compile(fails)
    x = tg.ones(3)
    compiled(x, tg.tensor([0]))
    state = random.getstate()
    before = Snapshot(random._inst)
    random.random()
    before.end()
    elsewhere = random.random()  # as another thread does
    before.put_back()
    assert random.random() != elsewhere
    random.setstate(state)
    with pytest.raises(IndexError):
        compiled(x, tg.tensor([9]))
    found = random.getstate()
    random.setstate(state)
    with pytest.raises(IndexError):
        fails(x, tg.tensor([9]))
    assert found == random.getstate()


def test_what_no_call_can_draw_from_is_named() -> None:
    layers = nn.ModuleList([nn.Linear(3, 3), nn.ReLU()])

    def program(x: Tensor) -> Tensor:
        y: Tensor = random.choice(layers)(x)
        return y

    function = capture_of(program)
    function(tg.ones(3))
    assert [stop.detail for _, stop in family_of(function).breaks] == ["Random.choice()"]
