"""Text form: round trip, and errors that point at the place."""

import numpy as np
import pytest

import tracegraph  # noqa: F401 - registers the ops
from tracegraph import dtypes, ir
from tracegraph.errors import IRError, ParseError, VerifyError
from tracegraph.ir.printer import constant_digest

TEXTS = [
    """\
graph mlp.forward(%x: f32[s0, 64] primal, %w: f32[64] parameter) {
  %0: f32[s0, 64] = mul(%x, %w)                               // model.py:12
  %1: f32[s0, 64] = add(%0, 2.5)
  return %1, %0
}""",
    """\
graph numbers(%x: i64[3]) {
  %0: i64[3] = add(%x, -2)
  %1: f32[3] = mul(%0, -1.5e-07)
  %2: f32[3] = mul(%1, inf)
  %3: f32[3] = add(%2, nan)
  %4: i64[3] = mul(%0, true)
  return %3, %4, 3, none
}""",
    """\
graph sizes(%x: f32[s0, 2*s0 + 1], %y: f32[floordiv(s0, 2)]) {
  %0: f32[s0, 2*s0 + 1] = mul(%x, s0 - 1)
  return %0
}""",
    """\
graph constants() {
  %c0: f32[2] = constant([1.0, 2.5])
  %c1: bool[2] = constant([true, false])
  %0: f32[2] = mul(%c0, %c1)
  return %0
}""",
    "graph empty() {\n  return\n}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(text):
    graph = ir.parse(text)
    assert str(graph) == text
    ir.verify(graph)


def test_large_constants_travel_by_digest():
    array = np.arange(100, dtype=np.float32)
    builder = ir.Builder("big")
    graph = builder.output(builder.constant(array))
    digest = constant_digest(array)
    assert f"constant(#{digest})" in str(graph)
    again = ir.parse(str(graph), {digest: array})
    assert str(again) == str(graph)
    with pytest.raises(ParseError, match="not among the constants"):
        ir.parse(str(graph))


def test_accidental_value_numbers_do_not_survive():
    text = "graph f(%a: f32[2]) {\n  %7: f32[2] = add(%a, %a)\n  %3: f32[2] = mul(%7, %a)\n  return %3\n}"
    assert "%0: f32[2] = add(%a, %a)\n  %1: f32[2] = mul(%0, %a)" in str(ir.parse(text))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%0: f32[2] = ad(%x, 1)", "did you mean .*add"),
        ("%0: f32[3] = add(%x, 1)", r"stated as f32\[3\], inference gives f32\[2\]"),
        ("%0: f32[2] = add(%y, 1)", "%y is not defined above"),
        ("%0: g32[2] = add(%x, 1)", "unknown dtype"),
        ("%x: f32[2] = add(%x, 1)", "defined twice"),
        ("%0: f32[2] = add(%x, 1", "expected ','"),
        ("%0: f32[2] = add(%x, @)", "unexpected character '@'"),
        ("%0: f32[2], %1: f32[2] = add(%x, 1)", "has 1 results, the text names 2"),
        ("%0: f32[2] = relu(%x, slope=1)", r"relu\(.*\) has no attribute 'slope'"),
        ("%0: f32[2] = relu(%x, %x)", r"relu\(.*\) takes 1 operand, got 2"),
        ("%0: f32[2] = relu(none)", "operand 'input' must be a Tensor, got None"),
        ("%0: f32[2] = relu(1)", "operand 'input' must be a Tensor, got 1"),
        ("%0: f32[2] = cat(dim=0)", r"cat\(.*\) takes 1 operand, got 0"),
        ("%0: f32[2] = constant([1, 2, 3])", r"the elements do not make a constant f32\[2\]"),
        ("%0: u8[1] = constant([256])", r"the elements do not make a constant u8\[1\]"),
        ("%0: f32[2] = fused(%x)", "fused: the attribute 'body' must be a graph"),
        ("%0: f32[2] = while_loop(%x, body_graph=1)", "while_loop: the attribute '.*' must be a graph"),
        ("%0: f32[2] = cast(%x, dtype=3)", "cast: argument 'dtype'"),
        ("%0: f32[] = sum(%x, dim=[7], keepdim=false)", "dim=7 is out of range"),
        ("%0: f32[] = sum(%x, dim=[-1], keepdim=false)", r"sum: dim=\(-1,\) is not canonical; graphs have \(0,\)"),
    ],
)
def test_parse_errors_show_the_line(line, message):
    with pytest.raises(ParseError, match=message) as caught:
        ir.parse(f"graph f(%x: f32[2]) {{\n  {line}\n  return %0\n}}")
    assert line.strip() in str(caught.value) or "return" in str(caught.value)
    assert "line " in str(caught.value)


def test_builder_refuses_foreign_operands():
    one, two = ir.Builder("one"), ir.Builder("two")
    x = one.placeholder(ir.TensorType(dtypes.float32, (2,)), "x")
    with pytest.raises(IRError, match="belongs to graph one"):
        two.call(ir.lookup("neg"), x)
    with pytest.raises(IRError, match="neither a Value nor a number"):
        one.call(ir.lookup("neg"), "x")


def test_verifier_finds_a_stale_type_and_shows_the_lines():
    graph = ir.parse(TEXTS[0])
    add = list(graph.calls)[1]
    add.values[0].type = ir.TensorType(dtypes.float64, (1,))
    with pytest.raises(VerifyError, match="inference gives f32") as caught:
        ir.verify(graph)
    assert "> %1" in str(caught.value)


def test_verifier_finds_an_attribute_that_the_op_has_not():
    builder = ir.Builder("f")
    x = builder.placeholder(ir.TensorType(dtypes.float32, (2,)), "x")
    graph = builder.output(builder.call(ir.lookup("relu"), x, slope=1))
    with pytest.raises(VerifyError, match="has no attribute 'slope'"):
        ir.verify(graph)


def test_verifier_finds_a_use_before_the_definition():
    graph = ir.parse(TEXTS[0])
    calls = [n for n in graph.nodes if n.op == "call"]
    i, j = graph.nodes.index(calls[0]), graph.nodes.index(calls[1])
    graph.nodes[i], graph.nodes[j] = calls[1], calls[0]
    with pytest.raises(VerifyError, match="not defined above"):
        ir.verify(graph)


def test_verifier_finds_a_wrong_use_list():
    graph = ir.parse(TEXTS[0])
    graph.placeholders[0].users.clear()
    with pytest.raises(VerifyError, match="use list"):
        ir.verify(graph)


def test_fx_surface():
    graph = ir.parse(TEXTS[0])
    node = next(graph.calls)
    assert (node.op, node.target.name, node.kwargs) == ("call", "mul", {})
    assert [u.op for u in node.users] == ["call", "output"]
    assert graph.placeholders[1].role is ir.Role.PARAMETER


def test_interpreter_binds_sizes_and_refuses_others():
    graph = ir.parse(TEXTS[2])
    x, y = np.ones((4, 9), np.float32), np.ones(2, np.float32)
    assert ir.interpret(graph, x, y)[0][0, 0] == 3
    with pytest.raises(RuntimeError, match="input 1 has shape"):
        ir.interpret(graph, x, np.ones(3, np.float32))


def test_a_call_that_lacks_attributes() -> None:
    text = "graph f(%x: i64[2]) {\n  %0: f32[2] = philox_normal(%x)\n  return %0\n}"
    with pytest.raises(ParseError, match="philox_normal: the call lacks size=, dtype="):
        ir.parse(text)
