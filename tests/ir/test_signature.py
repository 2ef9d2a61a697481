"""Signatures: equal for equal content, different wherever a kernel would differ, never a guard."""

import numpy as np
import pytest

from tracegraph.dtypes import float32, float64
from tracegraph.ir import Graph, parse
from tracegraph.ir.dim import sym
from tracegraph.ir.signature import call_signature, constant_key, graph_signature, value_key
from tracegraph.ir.types import TensorType


def graph(body: str, parameters: str = "%x: f32[s0, 4], %y: f32[4]") -> Graph:
    return parse(f"graph f({parameters}) {{\n  {body}\n  return %0\n}}")


def calls(text: str, parameters: str = "%x: f32[4], %y: f32[4]") -> list[object]:
    found = parse(f"graph f({parameters}) {{\n{text}\n  return %0\n}}")
    return [call_signature(node) for node in found.calls]


def test_numbers_differ_by_type_sign_and_value() -> None:
    keys = [value_key(x) for x in (0.0, -0.0, 0, False, 1, 1.0, True, None, "1", (1,), float32, float64)]
    assert len(set(keys)) == 12
    assert value_key(float("nan")) == value_key(float("nan"))


def test_sizes_are_compared_by_what_they_say() -> None:
    s0, s1 = sym("s0"), sym("s1")
    assert value_key((s0 + s1, 2)) == value_key((s1 + s0, 2))
    assert value_key(TensorType(float32, (s0, 4))) == value_key(TensorType(float32, (sym("s0"), 4)))
    assert value_key(TensorType(float32, (s0, 4))) != value_key(TensorType(float32, (s1, 4)))
    assert value_key(TensorType(float32, (4,))) != value_key(TensorType(float64, (4,)))


def test_names_of_values_do_not_matter() -> None:
    first, second = graph("%0: f32[s0, 4] = add(%x, %y)"), graph("%0: f32[s0, 4] = add(%x, %y)")
    renamed = graph("%0: f32[s0, 4] = add(%a, %b)", "%a: f32[s0, 4], %b: f32[4]")
    assert graph_signature(first) == graph_signature(second) == graph_signature(renamed)


@pytest.mark.parametrize(
    "other",
    [
        graph("%0: f32[s0, 4] = sub(%x, %y)"),
        graph("%0: f32[s0, 4] = add(%y, %x)"),
        graph("%0: f32[s0, 4] = add(%x, %x)"),
        graph("%0: f32[s0, 4] = add(%x, 1.0)"),
        graph("%0: f32[s1, 4] = add(%x, %y)", "%x: f32[s1, 4], %y: f32[4]"),
        graph("%0: f64[s0, 4] = add(%x, %y)", "%x: f64[s0, 4], %y: f64[4]"),
    ],
    ids=str,
)
def test_content_matters(other: Graph) -> None:
    assert graph_signature(other) != graph_signature(graph("%0: f32[s0, 4] = add(%x, %y)"))


def test_calls_are_alike_whatever_they_read() -> None:
    same = calls("  %0: f32[4] = add(%x, %y)\n  %1: f32[4] = add(%0, %x)\n  %2: f32[4] = add(%x, %x)")
    assert same[0] == same[1]
    assert same[0] != same[2]
    reduced = calls("  %0: f32[] = sum(%x, dim=[0], keepdim=false)\n  %1: f32[1] = sum(%x, dim=[0], keepdim=true)")
    assert reduced[0] != reduced[1]


def test_constants_by_bits_and_large_ones_by_identity() -> None:
    zero, negative = np.zeros(4, np.float32), np.full(4, -0.0, np.float32)
    assert constant_key(zero) == constant_key(zero.copy()) != constant_key(negative)
    large = np.zeros(5000, np.float32)
    assert constant_key(large) == constant_key(large) != constant_key(large.copy())
