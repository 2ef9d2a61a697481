"""Sizes that the user marks as varying or fixed."""

from __future__ import annotations

import gc

import pytest
from captured import assert_same, capture_of, graphs_of, ramp, specialisation_count

import tracegraph as tg
from tracegraph.capture.trace import size_marks
from tracegraph.errors import ArgumentError, ConstraintViolationError, IndexRangeError, ValueRangeError


def doubled(x):
    return x * 2


def types_of(function):
    return [str(p.type) for g in graphs_of(function) for p in g.placeholders]


def marked(*shape, dim=0, **bounds):
    x = ramp(*shape)
    tg.compiler.mark_dynamic(x, dim, **bounds)
    return x


def test_a_marked_size_is_symbolic_from_the_first_call():
    function = capture_of(doubled)
    for x in (marked(3, 4), ramp(5, 4), ramp(7, 4)):
        assert_same(function(x), doubled(x))
    assert types_of(function) == ["f32[s0, 4]"]


def test_negative_and_several_dimensions():
    function = capture_of(doubled)
    function(marked(3, 4, 5, dim=(0, -1)))
    assert types_of(function) == ["f32[s0, 4, s1]"]


def test_marks_hold_where_everything_else_is_static():
    function = capture_of(lambda x, y: x.sum() + y.sum(), dynamic=False)
    function(marked(3), ramp(3))
    function(ramp(4), ramp(3))
    assert types_of(function) == ["f32[s0]", "f32[3]"]


def test_equal_marked_sizes_are_independent():
    function = capture_of(lambda x, y: x.sum() + y.sum())
    function(marked(3), marked(3))
    function(ramp(4), ramp(5))
    assert types_of(function) == ["f32[s0]", "f32[s1]"]


def test_bounds_are_facts_and_guards():
    def f(x):
        return x * 2 if x.shape[0] <= 8 else x * 3

    function = capture_of(f)
    for x in (marked(4, min=3, max=8), ramp(8), ramp(3)):
        assert_same(function(x), f(x))
    assert specialisation_count(function) == 1
    assert {"x.shape[0] >= 3", "x.shape[0] <= 8"} <= {
        str(g) for u in function.family.units.values() for s in u.specialisations for g in s.guards
    }
    for n in (12, 2, 1):
        assert_same(function(ramp(n)), f(ramp(n)))
    assert specialisation_count(function) > 1


def test_a_size_outside_the_bounds_is_an_error():
    with pytest.raises(ConstraintViolationError, match=r"x.shape\[0\] is 12, outside the range \[2, 8\]"):
        capture_of(doubled)(marked(12, min=2, max=8))
    with pytest.raises(ConstraintViolationError, match=r"is 3, outside the range \[5, no bound\]"):
        capture_of(doubled)(marked(3, min=5))


def test_a_marked_size_that_the_program_fixes_is_an_error_with_the_line():
    def fixing(x):
        y = x + 1
        return y.reshape(5, 3) if x.shape[0] % 5 == 0 else y

    line = fixing.__code__.co_firstlineno + 2
    with pytest.raises(
        ConstraintViolationError, match=rf"x.shape\[0\] was marked as dynamic, but .* fixes it to 5 at .*:{line};"
    ):
        capture_of(fixing)(marked(5, 3))
    assert_same(capture_of(fixing)(ramp(5, 3)), fixing(ramp(5, 3)))


def test_sizes_zero_and_one_get_graphs_of_their_own():
    function = capture_of(doubled)
    for n in (1, 0, 4, 6):
        assert_same(function(marked(n, 3)), ramp(n, 3) * 2)
    assert types_of(function)[-1] == "f32[s0, 3]"


def test_static_sizes_never_become_symbolic():
    function = capture_of(doubled)
    for n in (3, 4, 5):
        x = ramp(n, 2)
        tg.compiler.mark_static(x, 0)
        function(x)
    assert types_of(function) == ["f32[3, 2]", "f32[4, 2]", "f32[5, 2]"]
    dynamic = capture_of(doubled, dynamic=True)
    x = ramp(3, 4)
    tg.compiler.mark_static(x, 1)
    dynamic(x)
    assert types_of(dynamic) == ["f32[s0, 4]"]
    y = ramp(3, 4)
    tg.compiler.mark_static(y)
    dynamic = capture_of(doubled, dynamic=True)
    dynamic(y)
    assert types_of(dynamic) == ["f32[3, 4]"]


def test_other_layouts():
    function = capture_of(doubled)
    for n in (4, 6):
        x = ramp(n, 6).t()
        tg.compiler.mark_dynamic(x, 1)
        assert_same(function(x), doubled(x))
    assert types_of(function) == ["f32[6, s0]"]


def test_marks_end_with_the_tensor():
    gc.collect()
    x = marked(3)
    assert size_marks.marks_of(x)
    count = len(size_marks._MARKS)
    del x
    gc.collect()
    assert len(size_marks._MARKS) == count - 1


def test_bad_marks():
    with pytest.raises(ArgumentError, match=r"mark_dynamic.*got .* \(list\)"):
        tg.compiler.mark_dynamic([1.0], 0)
    with pytest.raises(ArgumentError, match=r"mark_static.*got \d \(int\)"):
        tg.compiler.mark_static(1)
    with pytest.raises(IndexRangeError, match="index=2 is out of range"):
        tg.compiler.mark_dynamic(ramp(3, 3), 2)
    with pytest.raises(ValueRangeError, match="max=1"):
        tg.compiler.mark_dynamic(ramp(3), 0, max=1)


def test_a_probable_mark_is_given_up_where_the_program_fixes_the_size():
    x = ramp(4, 3)
    tg.compiler.maybe_mark_dynamic(x, 0)
    function = capture_of(lambda x: x * 2)
    function(x)
    (graph,) = graphs_of(function)
    assert str(graph.placeholders[0].type) == "f32[s0, 3]"
    assert capture_of(lambda x: x.reshape(12) * 2)(x).shape == (12,)
