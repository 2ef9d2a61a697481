"""One capture on its own: graph, inputs, guards and driver as text."""

from __future__ import annotations

import pytest
from captured import ramp

from tracegraph.capture import RunEagerly, capture_call
from tracegraph.tensor import Tensor


def scaled(x: Tensor, table: dict[str, int], log: list[str]) -> Tensor:
    log.append("called")
    return x * table["k"] + 1


def test_graph_and_driver() -> None:
    log: list[str] = []
    result = capture_call(scaled, (ramp(2), {"k": 3}, log))
    assert log == []
    assert str(result.graph).splitlines()[0] == "graph scaled(%x: f32[2] primal) {"
    assert [str(s) for s in result.input_sources] == ["L['x']"]
    assert result.stop is None
    assert result.continuations == ()
    expected = """
def run(args, cells):
    v0 = args[2]
    v1 = args[0]
    try: (t0, ) = graph([v1])
    except BaseException as error:
        if not is_of_an_op(error): raise
        return Tail(eagerly, args, cells)
    v0.extend(['called'])
    return t0
"""
    assert result.driver == expected.lstrip()


def test_guards_are_records() -> None:
    result = capture_call(scaled, (ramp(2), {"k": 3}, []))
    texts = [str(g) for g in result.guards]
    assert "is_grad_enabled() is True" in texts
    assert "x is a Tensor f32[2]" in texts
    assert "list(table) == ['k']" in texts
    assert "table['k'] == 3" in texts
    assert "type(log) is list" in texts
    assert not any(text.startswith(("len(log)", "log[")) for text in texts)  # it is appended to, not read


def talking(x: Tensor, n: int = 2) -> Tensor:
    y = x * n
    print("n", n)
    return y + 1


def test_driver_of_a_break() -> None:
    result = capture_call(talking, (ramp(2),))
    assert result.stop is not None
    assert result.stop.reason.id == "side-effect"
    assert result.stop.location is not None
    assert result.stop.location.line == talking.__code__.co_firstlineno + 2
    assert result.driver.splitlines()[-2:] == [
        "    r0 = v0('n', 2)",
        "    return Tail(resume0, [t0], ())",  # the result is dropped: it does not live on
    ]
    assert result.native_line == len(result.driver.splitlines()) - 1
    (way,) = result.continuations
    assert way.unit.names == ("y",)
    assert way.unit.stack == ()


def test_unused_arguments_are_neither_inputs_nor_guarded() -> None:
    result = capture_call(lambda x, unused, also: x * 2, (ramp(2), ramp(3), object()))
    assert [str(s) for s in result.input_sources] == ["L['x']"]
    assert not any("unused" in str(g) or "also" in str(g) for g in result.guards)


def test_nothing_to_compute_makes_no_graph() -> None:
    result = capture_call(lambda x: (x, 1), (ramp(2),))
    assert result.graph is None
    assert "graph" not in result.driver


def test_nodes_carry_the_users_lines() -> None:
    result = capture_call(talking, (ramp(2),))
    assert result.graph is not None
    (node,) = result.graph.calls
    assert str(node.location) == f"test_session.py:{talking.__code__.co_firstlineno + 1}"


def test_exceptions_leave_the_call_to_eager() -> None:
    def fails(x: Tensor) -> Tensor:
        raise ValueError("no")

    with pytest.raises(RunEagerly, match="ValueError: no"):
        capture_call(fails, (ramp(2),))


def test_generators_run_eagerly() -> None:
    def generate(x: Tensor):
        yield x

    with pytest.raises(RunEagerly, match="generator"):
        capture_call(generate, (ramp(2),))
