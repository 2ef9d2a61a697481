"""`explain`: graphs, breaks, guards, recompiles, times, costs."""

from __future__ import annotations

import functools

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ArgumentError, OptionError


def talking(x, scale):
    y = x * scale
    print("seen")
    return y.sum() + 1


LINE = talking.__code__.co_firstlineno


@pytest.mark.usefixtures("native")
def test_fields(capsys):
    explainer = tg.compiler.explain(talking)
    found = explainer(tg.ones(3), 2.0)
    assert capsys.readouterr().out == "seen\n"
    assert explainer.result.item() == 7.0
    assert (found.graph_count, found.graph_break_count, found.op_count) == (2, 1, 3)
    assert found.ops_per_graph == (("mul",), ("sum", "add"))
    # resumed behind the call of print, where its result is dropped
    assert [p.name for p in found.parts] == ["talking", f"talking from line {LINE + 3}"]
    (reason,) = found.break_reasons
    assert (reason.id, reason.location.line, reason.detail) == ("side-effect", LINE + 2, "print()")
    assert "Remove the call" in reason.hint
    conditions = {g.condition: g.location for g in found.guards}
    assert conditions["x is a Tensor f32[3]"].line == LINE + 1
    assert conditions["scale == 2.0"].line == LINE + 1
    assert found.recompiles == ()
    for part in found.parts:
        assert {"capture", "backend", "optimise", "load"} <= part.compile_times.keys()
        assert 0 < part.call_cost.guards < 1e5
        assert 0 < part.call_cost.graph < 1e5
    assert found.compile_seconds == found.compile_times["capture"] + found.compile_times["backend"]


def test_guards_on_definitions_are_counted():
    class Layer(tg.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tg.nn.Linear(3, 2)
            self.act = tg.nn.functional.relu
            self.scale = 2.0

        def forward(self, x):
            return self.act(self.inner(x)) * self.scale

    found = tg.compiler.explain(Layer())(tg.ones(1, 3))
    listed, everything, nothing = (found.parts[0].text(guards) for guards in ("main", "all", "none"))
    on_data = [g for g in found.guards if g.definition is None]
    assert all(f"    {g}" in everything for g in found.guards)
    assert all((f"    {g}" in listed.splitlines()) == (g.definition is None) for g in found.guards)
    conditions = [g.condition for g in on_data]
    assert "self.scale == 2.0" in conditions
    assert "args[0] is a Tensor f32[1, 3]" in conditions
    assert any(c.startswith("self.inner.weight is a Parameter") for c in conditions)
    assert any(c.startswith("self.act is ") for c in conditions)  # what an object holds is its data
    assert len(on_data) < 20 < len(found.guards) - len(on_data)
    assert f"    and {len(found.guards) - len(on_data)} on definitions: " in listed
    assert {"Layer", "Linear", "self", "self.inner", "hooks of all modules"} <= {
        g.definition or "" for g in found.guards
    }
    assert "guards:" not in nothing


def test_text():
    text = str(tg.compiler.explain(talking)(tg.ones(3), 2.0))
    assert text.startswith("talking: 2 graphs, 3 operations, 1 break, 0 recompiles, ")
    for line in (
        f"talking ({__file__}:{LINE})",
        "  inputs: %x: f32[3]",
        "  operations: sum, add",
        f"    scale == 2.0  ({__file__}:{LINE + 1})",
        f"  ends at {__file__}:{LINE + 2}: print()",
        f"  {__file__}:{LINE + 2}: print() [side-effect]",
    ):
        assert line in text.splitlines()


def test_further_calls_show_recompiles():
    explainer = tg.compiler.explain(lambda x, name: x * len(name), backend="eager")
    explainer(tg.ones(2), "a")
    found = explainer(tg.ones(2), "bb")
    (recompile,) = found.recompiles
    assert recompile.failed[0].guard == "name == 'a'"
    assert "name == 'a' failed: name was 'a', now 'bb'" in str(found)
    assert found.graph_count == 2


def test_measuring_changes_nothing():
    def step(x, log):
        x.add_(1)
        log.append(len(log))
        return x + tg.rand(2)

    results = []
    for function in (step, tg.compiler.explain(step)):
        tg.manual_seed(1)
        x, log = tg.ones(2), []
        function(x, log)
        results.append((x.tolist(), log, tg.rand(1).item()))
    assert results[0] == results[1]


def test_modules_methods_and_compiled_functions():
    net = nn.Linear(2, 2)
    assert tg.compiler.explain(net)(tg.ones(1, 2)).ops_per_graph == (("linear",),)
    assert tg.compiler.explain(net.forward)(tg.ones(1, 2)).graph_count == 1
    compiled = tg.compile(talking, backend="eager", dynamic=True)
    found = tg.compiler.explain(compiled)(tg.ones(3), 2.0)
    assert "functionalise" not in found.compile_times
    assert str(found.graphs[0].placeholders[0].type) == "f32[s0]"
    assert not compiled.family.units


def test_training_and_options():
    found = tg.compiler.explain(lambda x: (x * x).sum(), dynamic=True, options={"fuse": False})(
        tg.ones(3, requires_grad=True)
    )
    assert "joint" in found.compile_times
    assert "fuse" not in found.compile_times


def test_what_gave_up_is_told():
    explainer = tg.compiler.explain(lambda x, name: x * len(name), options={"recompile_limit": 1})
    explainer(tg.ones(1), "a")
    with pytest.warns(RuntimeWarning, match="recompile_limit"):
        found = explainer(tg.ones(1), "b")
    assert "recompile_limit" in found.eager[0]
    assert "compiled again" not in found.eager[0]
    assert "name == 'a' failed: name was 'a', now 'b'" in found.eager[0]
    assert "runs eagerly" in str(found)


def test_ints_that_vary_are_inputs_called_ints():
    explainer = tg.compiler.explain(lambda x, n, empty: x * n + empty.sum())
    for n in (2, 3):
        found = explainer(tg.ones(3), n, tg.ones(2, 0, dtype=tg.uint8))
    assert "inputs: %x: f32[3], %n: int s0, %empty: u8[2, 0]\n" in str(found)


def test_a_backend_that_failed_is_told():
    def failing(module, example_inputs):
        raise ValueError("no luck")

    with pytest.warns(RuntimeWarning, match="no luck"):
        found = tg.compiler.explain(lambda x: x + 1, backend=failing)(tg.ones(1))
    assert found.parts[0].fallback.endswith("failing failed: ValueError: no luck")
    assert found.eager[0].endswith("no luck")
    assert "  runs op by op: backend" in str(found)


def test_partial_functions_and_functions_of_c():
    explainer = tg.compiler.explain(functools.partial(lambda x, k, b=0: x * k + b, k=2))
    assert explainer(tg.ones(2)).ops_per_graph == (("mul", "add"),)
    assert explainer(tg.ones(2), b=3).recompiles[0].failed[0].guard == "b == 0"
    assert explainer.result.tolist() == [5.0, 5.0]
    found = tg.compiler.explain(functools.partial(tg.mul, other=2))(tg.ones(2))
    assert "partial: it is no Python function, so there is nothing to capture" in found.eager
    assert "nothing to capture" in str(found)


def test_bad_arguments():
    with pytest.raises(ArgumentError, match=r"got \d \(int\)"):
        tg.compiler.explain(3)
    with pytest.raises(OptionError, match="did you mean 'llvm'"):
        tg.compiler.explain(talking, backend="lvm")
    with pytest.raises(ArgumentError, match="disable"):
        tg.compiler.explain(tg.compiler.disable(talking))


# ------------------------------------------------------------------------------------------------ compile_times


def test_compile_times():
    tg.compiler.reset()
    for n in (1, 2):
        tg.compile(lambda x: x + 1, backend="interpreter")(tg.ones(n + 1))
    names, rows = tg.compiler.compile_times(repr="csv")
    assert names[0] == "capture"
    assert {"optimise", "backend"} <= set(names)
    assert [len(row) for name, row in zip(names, rows, strict=True) if name == "optimise"] == [2]
    table = tg.compiler.compile_times(aggregate=True)
    assert table.splitlines()[0].split() == ["stage", "seconds"]
    assert len(table.splitlines()) == len(names) + 1
    with pytest.raises(OptionError, match="'str', 'csv'"):
        tg.compiler.compile_times(repr="xml")
