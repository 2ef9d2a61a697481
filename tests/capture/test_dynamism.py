"""Symbolic sizes and ints: static first, symbolic once they vary, right for every size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from captured import assert_close, assert_same, capture_of, graphs_of, ramp, specialisation_count

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn
from tracegraph.tensor import Tensor, from_numpy


def size_dependent(x: Tensor) -> Tensor:
    if x.shape[0] > 4:
        return x * 2
    return x * x.shape[0] + len(x)


@pytest.mark.parametrize("dynamic", [None, True, False])
def test_right_for_every_size(dynamic: bool | None) -> None:
    function = capture_of(size_dependent, dynamic=dynamic, recompile_limit=20)
    for n in (3, 5, 1, 2, 7, 4, 0, 6, 3, 1):
        assert_same(function(ramp(n, 2)), size_dependent(ramp(n, 2)))


def test_automatic_dynamic_recompiles_once() -> None:
    function = capture_of(lambda x: (x * 2).sum(dim=0))
    for n in (3, 4, 5, 6, 7):
        assert_same(function(ramp(n, 2)), (ramp(n, 2) * 2).sum(dim=0))
    static, dynamic = graphs_of(function)
    assert str(static.placeholders[0].type) == "f32[3, 2]"
    assert str(dynamic.placeholders[0].type) == "f32[s0, 2]"


def test_dynamic_from_the_start() -> None:
    function = capture_of(lambda x: x * 2, dynamic=True)
    for n in (3, 4, 5):
        function(ramp(n, n + 1))
    assert [str(g.placeholders[0].type) for g in graphs_of(function)] == ["f32[s0, s1]"]


def test_static_recompiles_each_time() -> None:
    function = capture_of(lambda x: x * 2, dynamic=False)
    for n in (3, 4, 5):
        function(ramp(n))
    assert specialisation_count(function) == 3


def test_equal_sizes_share_a_symbol_and_a_guard() -> None:
    def both(x, y):
        return x.sum() + y.sum()

    function = capture_of(both, dynamic=True)
    assert_same(function(ramp(3), ramp(3)), both(ramp(3), ramp(3)))
    assert_same(function(ramp(4), ramp(5)), both(ramp(4), ramp(5)))
    types = [[str(p.type) for p in g.placeholders] for g in graphs_of(function)]
    assert types == [["f32[s0]", "f32[s0]"], ["f32[s0]", "f32[s1]"]]


@pytest.mark.parametrize("shapes", [((3, 3), (5, 5), (6, 5)), ((3, 4), (5, 5), (7, 2))])
def test_equal_sizes_that_vary_have_symbols_of_their_own(shapes: tuple[tuple[int, int], ...]) -> None:
    def both(x: Tensor, y: Tensor) -> Tensor:
        return x.sum() + y.sum()

    function = capture_of(both)
    for n, m in shapes:
        assert_same(function(ramp(n), ramp(m)), both(ramp(n), ramp(m)))
    assert [str(p.type) for p in graphs_of(function)[-1].placeholders] == ["f32[s0]", "f32[s1]"]
    assert specialisation_count(function) == 2


def test_sizes_that_the_program_wants_equal_share_a_symbol_in_the_graph() -> None:
    def sums(x: Tensor, y: Tensor, n: int) -> Tensor:
        return (x + y) @ y.T + y.view(n, 2).sum()

    function = capture_of(sums)
    for n in (3, 4, 6):
        assert_same(function(ramp(n, 2), ramp(n, 2), n), sums(ramp(n, 2), ramp(n, 2), n))
    graph = graphs_of(function)[-1]
    assert [str(p.type) for p in graph.placeholders[:2]] == ["f32[s0, 2]", "f32[s0, 2]"]
    assert [str(o.type) for o in graph.outputs] == ["f32[s0, s0]"]
    assert specialisation_count(function) == 2
    with pytest.raises(RuntimeError):
        function(ramp(3, 2), ramp(4, 2), 3)


def test_sizes_as_values() -> None:
    def sizes(x):
        n, m = x.shape
        return (
            n * m,
            n // 2 + 1,
            [i * 2 for i in range(m)],
            f"{n}x{m}",
            n / 2,
            x.reshape(m, n).shape,
            isinstance(n, int),
        )

    function = capture_of(sizes, dynamic=True)
    for shape in ((2, 3), (4, 3), (4, 5), (2, 3)):
        assert_same(function(ramp(*shape)), sizes(ramp(*shape)))


def wave(*shape: int) -> Tensor:
    return ramp(*shape).cos()


#: programs of a tensor and a number that varies
OF_A_NUMBER = {
    "padding": lambda x, n: F.conv1d(x, tg.ones(2, 1, 3), padding=n),
    "padding of images": lambda x, n: F.conv2d(x, tg.ones(1, 1, 3, 3), padding=(n, 1)),
    "padding, stride and dilation": lambda x, n: F.conv1d(x, tg.ones(2, 1, 3), padding=n, stride=n, dilation=n),
    "a kernel": lambda x, n: F.conv1d(x, tg.ones(2, 1, n)),
    "scale_factor": lambda x, n: F.interpolate(x, scale_factor=n),
    "scale_factor, linear": lambda x, n: F.interpolate(x, scale_factor=n, mode="linear"),
    "an int for a float": lambda x, n: tg.linspace(0, n, 4) + F.leaky_relu(-x[..., :4], n),
    "an adaptive pool": lambda x, n: F.adaptive_avg_pool1d(x, n) * 2,
}


@pytest.mark.parametrize("name", OF_A_NUMBER)
def test_two_graphs_serve_numbers_that_vary(name: str) -> None:
    program = OF_A_NUMBER[name]
    function = capture_of(program)
    x = wave(1, 24, 24) if name == "padding of images" else wave(1, 1, 24)
    for n in (3, 5, 4, 6, 2):
        assert_close([function(x, n)], [program(x, n)])
    assert specialisation_count(function) == 2


#: programs of a tensor whose sizes vary
OF_SIZES = {
    "math.prod": lambda x: x.sum() / math.prod(x.shape),
    "triu_indices": lambda x: tg.triu_indices(x.shape[0], x.shape[0], 1),
    "tril_indices": lambda x: tg.tril_indices(x.shape[0], x.shape[1], -1),
    "linspace": lambda x: tg.linspace(0, x.shape[0] - 1, x.shape[0]),
    "adaptive pools": lambda x: F.adaptive_avg_pool2d(x[None], 3) + F.adaptive_max_pool2d(x[None], 3),
    "distances": lambda x: tg.cdist(x, x),
    "partial windows of maxima": lambda x: F.max_pool2d(x[None], 2, ceil_mode=True) + 1,
    "partial windows past padding": lambda x: F.max_pool2d(x[None], 3, stride=2, padding=1, ceil_mode=True) + 1,
    "partial windows of means": lambda x: F.avg_pool2d(x[None], 3, stride=2, padding=1, ceil_mode=True) + 1,
    "partial windows, padding not counted": lambda x: F.avg_pool1d(
        x[None], 3, 2, 1, ceil_mode=True, count_include_pad=False
    ),
}


@pytest.mark.parametrize("name", [name for name in OF_SIZES if name.startswith("partial")])
def test_compiled_once_for_all_partial_windows(name: str) -> None:
    program = OF_SIZES[name]
    function = tg.compile(program)
    for n in (3, 6, 5, 8, 9):
        inputs = wave(n, n + 3).requires_grad_(), wave(n, n + 3).requires_grad_()
        results = [f(x) for f, x in zip((function, program), inputs, strict=True)]
        for result in results:
            result.sin().sum().backward()
        assert_close([results[0].detach(), inputs[0].grad], [results[1].detach(), inputs[1].grad])
    assert specialisation_count(function) == 2


@pytest.mark.parametrize("name", OF_SIZES)
def test_two_graphs_serve_sizes_that_vary(name: str) -> None:
    program = OF_SIZES[name]
    function = capture_of(program)
    for n in (3, 5, 4, 6, 9):
        assert_close([function(wave(n, n + 1))], [program(wave(n, n + 1))])
    assert specialisation_count(function) == 2


def test_the_longest_sequence_may_be_any() -> None:
    def program(*sequences: Tensor) -> Tensor:
        return nn.utils.rnn.pad_sequence(sequences, batch_first=True)

    function = capture_of(program)
    for lengths in ((2, 3, 4), (4, 5, 3), (3, 3, 5), (7, 2, 2), (2, 8, 9)):
        sequences = list(map(wave, lengths))
        assert_same(function(*sequences), program(*sequences))
    assert specialisation_count(function) == 2


def test_distances_come_from_a_product_where_eager_takes_one() -> None:
    function = capture_of(tg.cdist, dynamic=True)
    for n in (20, 30, 12, 40):
        assert_same(function(wave(n, 3), wave(n, 3)), tg.cdist(wave(n, 3), wave(n, 3)))


def test_sizes_as_keys_and_types() -> None:
    def keyed(x):
        return {x.shape[0]: 1}[int(x.shape[0])], type(x.shape[0]) is int, x * (x.shape[0] ** 0.5), -x.shape[0] & 3

    function = capture_of(keyed, dynamic=True)
    for n in (2, 3, 9):
        assert_same(function(ramp(n)), keyed(ramp(n)))


def test_varying_int_argument_across_a_break() -> None:
    def loop(x, n):
        for i in range(n):
            print("step", i)
            x = x + 1
        return x, n

    function = capture_of(loop)
    for n in (2, 12):
        assert_same(function(ramp(2), n), loop(ramp(2), n))
    assert all(len(u.specialisations) <= 3 for u in function.family.units.values())


def test_size_guard_reads_in_the_users_terms() -> None:
    function = capture_of(size_dependent, dynamic=True)
    function(ramp(6, 2))
    function(ramp(3, 2))
    ((_, recompile),) = function.family.recompiles
    (failed,) = recompile.failed
    assert failed.guard == "x.shape[0] > 4"
    assert (failed.was, failed.now) == ("x.shape[0] was 6", "3")
    assert failed.location.line == size_dependent.__code__.co_firstlineno + 1


STRIDED = {
    "column": (lambda n: ramp(n, 2)[:, 0], "f32[s0]"),
    "transposed": (lambda n: ramp(n, 3).T, "f32[3, s0]"),
    "columns": (lambda n: ramp(n, 6)[:, 2:4], "f32[s0, 2]"),
    "permuted": (lambda n: ramp(2, n, 4, 3).permute(0, 2, 1, 3), "f32[2, 4, s0, 3]"),
    "part of a cache": (lambda n: ramp(2, n, 12)[:, :, 4:8].view(2, n, 2, 2).permute(0, 2, 1, 3), "f32[2, 2, s0, 2]"),
    "expanded": (lambda n: ramp(1, 3).expand(n, 3), "f32[s0, 3]"),
    "two at once": (lambda n: ramp(n, n + 1).T, "f32[s0, s1]"),
}


@pytest.mark.parametrize("name", STRIDED)
def test_tensors_that_are_not_contiguous(name: str) -> None:
    """Their sizes become symbolic too, and their strides with them as far as they follow from sizes."""

    def layout(x: Tensor) -> tuple[object, ...]:
        return x * 2, x.reshape(-1), x.is_contiguous(), x.stride()

    make, type_text = STRIDED[name]
    function = capture_of(layout)
    for n in (3, 4, 5, 7, 2):
        assert_same(function(make(n)), layout(make(n)))
    assert [str(g.placeholders[0].type) for g in graphs_of(function)][1:] == [type_text]


def test_strides_that_do_not_follow_from_sizes_are_guarded() -> None:
    function = capture_of(lambda x: x.stride())
    wide, narrow = (lambda n, width=width: ramp(n, width)[:, :2] for width in (6, 4))
    for make in (wide, narrow, wide, narrow):
        for n in (3, 4, 5):
            assert function(make(n)) == make(n).stride()
    assert specialisation_count(function) == 3


class Counted:
    calls = 0


def test_a_counter_of_a_class_takes_one_trace() -> None:
    def program(x: Tensor) -> Tensor:
        Counted.calls += 1
        return x * Counted.calls

    Counted.calls = 0
    function = capture_of(program)
    for n in range(1, 5):
        assert_same(function(ramp(2)), ramp(2) * n)
        assert Counted.calls == n
    assert specialisation_count(function) == 1
    Counted.calls = 10
    assert_same(function(ramp(2)), ramp(2) * 11)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rate, self.step = width, 0.5, 0
        self.linear = nn.Linear(width, width)
        self.register_buffer("cache", tg.zeros(0, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).view(-1, self.width) * self.rate

    def append(self, x: Tensor) -> Tensor:
        self.cache = tg.cat([self.cache, x])
        self.step += 1
        return self.cache.sum(0) * self.step


def test_modules_of_several_widths_have_static_graphs_each() -> None:
    function = capture_of(lambda block, x: block(x))
    for width in (2, 3, 4):
        block = Block(width)
        for n in (2, 3, 5):
            assert_same(function(block, ramp(n, width)), block(ramp(n, width)))
    types = [[str(p.type) for p in graph.placeholders] for graph in graphs_of(function)]
    assert [t[1:] for t in types[1:]] == [[f"f32[{w}, {w}]", f"f32[{w}]"] for w in (2, 3, 4)]


def test_what_changes_on_one_module_varies() -> None:
    function = capture_of(lambda block, x: (block(x), block.append(x)))
    block, other = Block(4), Block(4)
    other.load_state_dict(block.state_dict())
    for n in range(6):
        block.rate = other.rate = 1 / (n + 1)
        assert_same(function(block, ramp(2, 4)), (other(ramp(2, 4)), other.append(ramp(2, 4))))
    assert specialisation_count(function) == 2


def test_sizes_of_arrays_vary_as_those_of_tensors() -> None:
    function = capture_of(lambda a: (from_numpy(a) * 2, from_numpy(a).sum(0), a.shape[0] + 1))
    for n in (3, 4, 5, 6):
        a = np.arange(n * 2, dtype=np.float32).reshape(n, 2)
        assert_same(function(a), (from_numpy(a) * 2, from_numpy(a).sum(0), n + 1))
    assert [str(g.placeholders[0].type) for g in graphs_of(function)] == ["f32[3, 2]", "f32[s0, 2]"]
    wide = np.ones((4, 6), np.float32)
    assert_same(function(wide[:, ::2]), (from_numpy(wide[:, ::2]) * 2, from_numpy(wide[:, ::2]).sum(0), 5))
