"""The registry and the runner of passes."""

from __future__ import annotations

from functools import partial

import pytest

from tracegraph import ir
from tracegraph.errors import CompileError, IRError, VerifyError
from tracegraph.ir import Graph
from tracegraph.passes import PASSES, PassRun, find_pass, graph_pass, run_passes, summary
from tracegraph.passes.dce import dce
from tracegraph.passes.pass_manager import name_of
from tracegraph.passes.pipeline import DefaultSettings, optimising_passes

GRAPH = """graph f(%x: f32[4]) {
  %0: f32[4] = exp(%x)
  %1: f32[4] = neg(%x)
  return %1
}"""


def parse(text: str = GRAPH) -> Graph:
    return ir.parse(text)


def breaks(graph: Graph) -> Graph:
    """A pass that leaves an invalid graph."""
    broken = parse(str(graph))
    broken.nodes.reverse()
    return broken


def fails(graph: Graph) -> Graph:
    """A pass that raises."""
    raise IRError("cannot do this")


def test_every_pass_says_what_it_does() -> None:
    for name in PASSES:
        assert summary(name).endswith(".") and "-->" in (PASSES[name].__doc__ or "")


def test_unknown_names_get_a_suggestion() -> None:
    assert find_pass("cse") is PASSES["cse"]
    with pytest.raises(IRError, match="unknown pass 'cs'; did you mean cse"):
        find_pass("cs")


def test_registering_refuses_a_name_twice_and_silence() -> None:
    with pytest.raises(IRError, match="'dce' is registered already"):
        graph_pass(dce)
    with pytest.raises(IRError, match="has no docstring"):
        graph_pass(lambda graph: graph)


def test_the_sink_is_told_of_every_run() -> None:
    runs: list[PassRun] = []
    graph = parse()
    result = run_passes(graph, [dce, dce], check=True, sink=runs.append)
    assert [r.name for r in runs] == ["dce", "dce"]
    assert runs[0].before is graph and runs[0].after is not graph
    assert runs[1].after is runs[1].before is result
    assert all(r.seconds >= 0 for r in runs)


def test_errors_name_the_pass_and_the_graph() -> None:
    with pytest.raises(CompileError, match="pass fails failed on graph f: cannot do this"):
        run_passes(parse(), [dce, fails])
    with pytest.raises(CompileError, match="pass breaks failed on graph f") as caught:
        run_passes(parse(), [breaks], check=True)
    assert isinstance(caught.value.__cause__, VerifyError)


def test_graphs_with_effects_are_refused() -> None:
    graph = parse("graph f(%x: f32[4], %y: f32[4]) {\n  copy_(%x, %y)\n  return %x\n}")
    with pytest.raises(CompileError, match=r"functionalise it first: copy_\(%x, %y\)"):
        run_passes(graph, [dce])


def test_settings_reach_the_passes() -> None:
    graph = parse("graph f(%x: f32[4]) {\n  %0: f32[4] = mul(%x, 0)\n  return %0\n}")
    for fastmath, calls in ((False, ["mul"]), (True, ["full"])):
        result = run_passes(graph, optimising_passes(DefaultSettings(fastmath=fastmath)))
        assert [n.call_op.name for n in result.calls] == calls


def test_names_of_passes_with_settings() -> None:
    assert name_of(partial(partial(dce))) == "dce"
