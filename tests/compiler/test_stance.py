"""Stances and settings of the whole process."""

from __future__ import annotations

import pytest
from captured import assert_same, capture_of, ramp, specialisation_count

import tracegraph as tg
from tracegraph.errors import OptionError, RecompileError


def scaled(x, name):
    return x * len(name)


def test_force_eager_runs_the_originals():
    function, net = capture_of(scaled), capture_of(tg.nn.Linear(2, 2))
    with tg.compiler.set_stance("force_eager"):
        assert_same(function(ramp(2), "abc"), ramp(2) * 3)
        net(ramp(2, 2))
    assert specialisation_count(function) == specialisation_count(net) == 0
    function(ramp(2), "abc")
    assert specialisation_count(function) == 1


def test_eager_on_recompile_uses_what_there_is():
    function = capture_of(scaled)
    function(ramp(2), "abc")
    with tg.compiler.set_stance("eager_on_recompile"):
        assert_same(function(ramp(2), "ab"), ramp(2) * 2)
        assert_same(function(ramp(2), "abc"), ramp(2) * 3)
    assert specialisation_count(function) == 1


def test_fail_on_recompile_names_the_guard():
    function = capture_of(scaled)
    missing = r"scaled \(.*test_stance.py:\d+\) is not compiled yet"
    with tg.compiler.set_stance("fail_on_recompile"), pytest.raises(RecompileError, match=missing):
        function(ramp(2), "abc")
    function(ramp(2), "abc")
    with tg.compiler.set_stance("fail_on_recompile"):
        assert_same(function(ramp(2), "abc"), ramp(2) * 3)
        with pytest.raises(
            RecompileError, match=r"(?s)fail_on_recompile.* would be compiled again.*'abc' failed: .*'x'"
        ):
            function(ramp(2), "x")
    assert_same(function(ramp(2), "x"), ramp(2))


def test_a_stance_may_be_set_for_good_and_as_a_decorator():
    function = capture_of(scaled)

    @tg.compiler.set_stance("force_eager")
    def eager(x):
        return function(x, "abc")

    eager(ramp(2))
    assert specialisation_count(function) == 0
    function(ramp(2), "abc")
    assert specialisation_count(function) == 1
    try:
        tg.compiler.set_stance("force_eager")
        function(ramp(2), "ab")
        assert specialisation_count(function) == 1
    finally:
        tg.compiler.set_stance("default")
    function(ramp(2), "ab")
    assert specialisation_count(function) == 2


def test_stances_nest():
    with tg.compiler.set_stance("force_eager"), tg.compiler.set_stance("default"):
        function = capture_of(scaled)
        function(ramp(2), "abc")
        assert specialisation_count(function) == 1


def test_unknown_stances_are_named():
    with pytest.raises(OptionError, match="did you mean 'force_eager'"):
        tg.compiler.set_stance("force_eagr")


# ------------------------------------------------------------------------------------------------ settings


def test_error_on_recompile():
    function = tg.compile(scaled, backend="eager", options={"error_on_recompile": True})
    function(ramp(2), "abc")
    with pytest.raises(
        RecompileError,
        match=r"(?s)error_on_recompile.* would be compiled again.*'abc' failed.*used at",
    ):
        function(ramp(2), "x")
    other = tg.compile(scaled, backend="eager")
    other(ramp(2), "abc")
    with tg.compiler.config.patch(error_on_recompile=True), pytest.raises(RecompileError):
        other(ramp(2), "x")
    assert_same(other(ramp(2), "x"), ramp(2))


def test_recompile_limit_of_the_config_and_of_one_function():
    with tg.compiler.config.patch(recompile_limit=1):
        function = tg.compile(scaled, backend="eager")
        own = tg.compile(scaled, backend="eager", options={"recompile_limit": 3})
        for f in (function, own):
            f(ramp(2), "abc")
        with pytest.warns(RuntimeWarning, match=r"captured 1 times \(recompile_limit\)"):
            assert_same(function(ramp(2), "x"), ramp(2))
        own(ramp(2), "x")
    assert specialisation_count(own) == 2
    assert tg.compiler.config.recompile_limit == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [({"recompile_limt": 2}, "no setting 'recompile_limt'"), ({"recompile_limit": "2"}, "expected int"),
     ({"recompile_limit": -1}, "must not be negative"), ({"error_on_recompile": 1}, "expected bool")],
)  # fmt: skip
def test_wrong_settings_are_named_and_change_nothing(change, message):
    with pytest.raises(OptionError, match=message), tg.compiler.config.patch(**change):
        pass
    assert (tg.compiler.config.recompile_limit, tg.compiler.config.error_on_recompile) == (8, False)


def test_reset_forgets_what_was_compiled():
    function, net = capture_of(scaled), capture_of(tg.nn.Linear(2, 2))
    function(ramp(2), "abc")
    function(ramp(2), "x")
    net(ramp(2, 2))
    tg.compiler.reset()
    assert specialisation_count(function) == specialisation_count(net) == 0
    assert not function.family.recompiles
    assert tg.compiler.compile_times(repr="csv") == ([], [])
    assert_same(function(ramp(2), "x"), ramp(2))
    assert specialisation_count(function) == 1


def test_eager_then_compile_learns_from_the_first_call():
    with tg.compiler.set_stance("eager_then_compile"):
        compiled = tg.compile(lambda x, rate: x * rate)
        assert compiled(tg.ones(2, 3), 0.5).sum().item() == 3
        assert not any(unit.specialisations for unit in compiled.family.units.values())
        compiled(tg.ones(4, 3), 0.25)
        assert compiled(tg.ones(7, 3), 0.125).sum().item() == 21 / 8
    (unit,) = compiled.family.units.values()
    (made,) = unit.specialisations
    assert str(made.graph.placeholders[0].type) == "f32[s0, 3]"
