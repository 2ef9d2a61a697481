"""Symbolic sizes: canonical form, and agreement with integer arithmetic under every binding."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegraph.errors import UndecidableError
from tracegraph.ir import ShapeEnv, dim, parse_type, sym

S, T = sym("s0"), sym("s1")


def expressions():
    leaves = st.one_of(st.integers(0, 6), st.just(S), st.just(T))

    def extend(children):
        pairs = st.tuples(children, children)
        return st.one_of(
            pairs.map(lambda p: p[0] + p[1]),
            pairs.map(lambda p: p[0] * p[1]),
            st.tuples(children, st.integers(1, 5)).map(lambda p: dim.floordiv(*p)),
            st.tuples(children, st.integers(1, 5)).map(lambda p: dim.mod(*p)),
            pairs.map(lambda p: dim.minimum(*p)),
            pairs.map(lambda p: dim.maximum(*p)),
        )

    return st.recursive(leaves, extend, max_leaves=6)


def naive(expression, binding):
    """Evaluate by the printed text, independently of `dim.evaluate`."""
    functions = {"floordiv": operator.floordiv, "mod": operator.mod, "min": min, "max": max}
    return eval(str(expression), {}, {**functions, **binding})


@given(expressions(), st.integers(0, 9), st.integers(0, 9))
def test_evaluation_agrees_with_the_text(expression, a, b):
    binding = {"s0": a, "s1": b}
    assert dim.evaluate(expression, binding) == naive(expression, binding)


@given(expressions())
def test_text_parses_back_to_the_same_expression(expression):
    (parsed,) = parse_type(f"f32[{expression}]").shape
    assert dim.same(parsed, expression)


@given(expressions(), expressions(), expressions())
def test_arithmetic_is_canonical(a, b, c):
    assert dim.same(a + b, b + a)
    assert dim.same(a * b, b * a)
    assert dim.same((a + b) * c, a * c + b * c)
    assert dim.same(a - a, 0)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (2 * S + 1, "2*s0 + 1"),
        (S * T - T, "s0*s1 - s1"),
        ((4 * S + 2) // 2, "2*s0 + 1"),
        ((4 * S + 3) % 2, "1"),
        ((S + 3) // 2, "floordiv(s0 + 3, 2)"),
        ((6 * S * T) // (2 * T), "3*s0"),
        (dim.maximum(S, 1), "max(1, s0)"),
        (0 * S + 7, "7"),
    ],
)
def test_canonical_text(expression, text):
    assert str(expression) == text


def test_comparison_without_facts_is_an_error_that_says_what_to_do():
    with pytest.raises(UndecidableError, match="static size"):
        bool(S == 5)


def test_facts_decide_without_a_guard():
    env = ShapeEnv()
    s = env.fresh(8)
    with env.active():
        assert s != 1
        assert s > 1
        assert s + 1 >= 3
        assert not s * 2 < 4
    assert env.guards == []


def test_undecidable_comparisons_guard_on_the_example():
    env = ShapeEnv()
    s = env.fresh(8)
    with env.active():
        assert s == 8
        assert not s > 10
        assert s == 8
    assert [str(g) for g in env.guards] == ["s0 == 8", "10 >= s0"]
    assert env.guards[0].holds({"s0": 8})
    assert not env.guards[0].holds({"s0": 9})


def test_int_of_a_size_specialises():
    env = ShapeEnv()
    s = env.fresh(8)
    with env.active():
        assert list(range(s))[-1] == 7
    assert [str(g) for g in env.guards] == ["s0 == 8"]


def test_a_minimum_is_known_to_be_at_most_its_operands():
    env = ShapeEnv()
    s, t = env.fresh(8), env.fresh(3)
    with env.active():
        assert dim.minimum(s, 4) <= s
        assert s - dim.minimum(s, t) >= 0
        assert dim.maximum(s, t) - t >= 0
        assert not dim.maximum(s, 4) < 4
    assert env.guards == []
    assert env.known("<=", dim.minimum(s, 4), 3) is None


def test_symbols_asked_to_be_equal_stand_for_each_other():
    env = ShapeEnv()
    s, t, n = env.fresh(8), env.fresh(8), env.fresh(8, low=0)
    with env.active():
        assert s == t
        assert n == t
        assert 2 * n == s + t
        assert n >= 2
    assert [str(g) for g in env.guards] == ["s0 == s1", "s2 == s0"]
    assert {name: str(other) for name, other in env.equal.items()} == {"s1": "s0", "s2": "s0"}


def test_many_minima_are_decided_without_trying_all_choices():
    env = ShapeEnv()
    total = sum((dim.minimum(env.fresh(8), 4) for _ in range(12)), 0)
    assert env.known("<=", total, 12 * 4) is True
    assert env.known("<=", total, 12 * 4 - 1) is None
