"""Every rewrite rule applies to its own left side, and the results agree as exactly as the rule says."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest
from random_graphs import assert_same, run

from tracegraph import dtypes, ir
from tracegraph.dtypes import DType
from tracegraph.errors import IRError, TracegraphError
from tracegraph.ir import Builder, Graph, TensorType, lookup
from tracegraph.passes.rewrite import ATTRIBUTES, NUMBERS, OPERANDS, TENSORS, Call, Exactness, Number, Rule, Term
from tracegraph.passes.rules import ALL_RULES
from tracegraph.passes.simplify import apply_rules

NUMBERS_TRIED = (2, 0.25, 3, -4.0)
DTYPES = {
    "b": (dtypes.bool_,),
    "i": (dtypes.int32, dtypes.int64, dtypes.uint8),
    "f": (dtypes.float32, dtypes.float64, dtypes.float16),
}
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 0.1, -0.7, 3.0, 1e30, -1e30, 7.0, 1.5, 2.5e-3]
)
ORDINARY = np.linspace(0.1, 3.0, 17)


def variables(term: Term) -> set[str]:
    if isinstance(term, Call):
        return set().union(*map(variables, (*term.operands, *(t for _, t in term.attrs))))
    return {term.name} if hasattr(term, "name") else set()


def choices(rule: Rule, name: str, dtype: DType) -> tuple[Any, ...]:
    """What a variable may stand for: TensorTypes for tensors, numbers, attributes."""
    shape = SPECIAL.shape
    if "index=" in rule.text and name in TENSORS:
        return (TensorType(dtype, shape), TensorType(dtype, (3,)), TensorType(dtype, ()))
    if "index=" in rule.text:
        return (((1, 4, 1),), ((6, 12, 2),), (5,), ())
    if "keepdim=" in rule.text:
        return {
            "x": (TensorType(dtype, (*shape, 1)),),
            "p": ((1,),),
            "q": (dtype,) if "dtype=q" in rule.text else (True, False),
            "r": (shape,) if "size=r" in rule.text else (dtype,),
        }[name]
    if name == "w":
        return (TensorType(dtypes.bool_, shape),)
    if name in TENSORS:
        return (TensorType(dtype, shape), TensorType(dtypes.float16, shape), TensorType(dtypes.int32, shape))
    if name in NUMBERS:
        return NUMBERS_TRIED
    if name in OPERANDS:
        return (TensorType(dtype, shape), 0, 1)
    assert name in ATTRIBUTES
    return (dtype, dtypes.int32, dtypes.float64) if "dtype=" in rule.text else (0.0, 1.0)


def graphs(rule: Rule, dtype: DType) -> Iterator[Graph]:
    """Graphs of the left side, for every way to choose the variables that makes one."""
    names = sorted(variables(rule.pattern))
    for chosen in itertools.product(*(choices(rule, n, dtype) for n in names)):
        builder = Builder("rule")
        values = {
            n: builder.placeholder(c, n) if isinstance(c, TensorType) else c for n, c in zip(names, chosen, strict=True)
        }
        try:
            graph = builder.output(made(rule.pattern, values, builder))
            ir.verify(graph)
        except (TracegraphError, TypeError, AttributeError, KeyError):
            continue  # the op is not defined for this choice
        yield graph


def made(term: Term, values: dict[str, Any], builder: Builder) -> Any:
    if isinstance(term, Call):
        attrs = {k: made(t, values, builder) for k, t in term.attrs}
        return builder.call(lookup(term.op), *(made(t, values, builder) for t in term.operands), **attrs)
    return term.value if isinstance(term, Number) else values[term.name]


def rewritten(rule: Rule, graph: Graph) -> Graph | None:
    after = apply_rules(graph, {rule.pattern.op: [rule]})
    return None if after is graph else after


def inputs(graph: Graph, exactness: Exactness) -> list[np.ndarray]:
    arrays = []
    for i, p in enumerate(graph.placeholders):
        values = np.roll(ORDINARY if exactness is Exactness.FASTMATH else SPECIAL, 3 * i)
        dtype = p.type.dtype
        if not dtype.is_floating:
            low = 1 if exactness is Exactness.FASTMATH else -2 * dtype.is_signed
            values = np.roll(np.arange(len(values)) % 5, 3 * i) + low
        values = values[: int(np.prod(p.type.shape))].reshape(p.type.shape)
        with np.errstate(all="ignore"):
            arrays.append(values.astype(dtype.np))
    return arrays


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_rule(rule: Rule) -> None:
    applied = 0
    for dtype in reduce(operator.add, (DTYPES[c] for c in rule.on)):
        for graph in itertools.islice(graphs(rule, dtype), 40):
            arrays = inputs(graph, rule.exactness)
            try:
                (wanted,) = run(graph, arrays)
            except (ValueError, IndexError):  # regions that do not fit
                continue
            after = rewritten(rule, graph)
            if after is None:
                continue
            applied += 1
            ir.verify(after)
            (found,) = run(after, arrays)
            if rule.exactness is Exactness.EXACT:
                assert_same(found, wanted)
            else:
                assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
                tolerance = 4 * float(dtypes.from_numpy(wanted.dtype).np.type(1) * _epsilon(wanted.dtype))
                np.testing.assert_allclose(
                    found.astype(np.float64), wanted.astype(np.float64), rtol=4 * tolerance, atol=tolerance
                )
    assert applied, "the rule never applies"


def _epsilon(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def test_no_rule_is_written_twice() -> None:
    assert len({(r.text, r.on, r.exactness) for r in ALL_RULES}) == len(ALL_RULES)


def parse(text: str) -> Graph:
    return ir.verify(ir.parse(text))


def check_kept(rule: str, text: str) -> None:
    assert rewritten(Rule(rule), parse(text)) is None


def test_a_replacement_of_another_type_is_refused() -> None:
    check_kept("mul(x, 1) -> x", "graph f(%x: i64[3]) {\n  %0: f32[3] = mul(%x, 1.0)\n  return %0\n}")
    check_kept("sub(x, y) -> x", "graph f(%x: f32[1], %y: f32[3]) {\n  %0: f32[3] = sub(%x, %y)\n  return %0\n}")


def test_zeros_have_signs_and_bools_are_no_numbers() -> None:
    for number in ("0.0", "0", "false"):
        check_kept("add(x, -0.0) -> x", f"graph f(%x: f32[3]) {{\n  %0: f32[3] = add(%x, {number})\n  return %0\n}}")
    check_kept("mul(x, 1) -> x", "graph f(%x: f32[3]) {\n  %0: f32[3] = mul(%x, true)\n  return %0\n}")


def test_a_variable_is_one_value() -> None:
    check_kept("sub(x, x) -> x", "graph f(%x: f32[3], %y: f32[3]) {\n  %0: f32[3] = sub(%x, %y)\n  return %0\n}")


@pytest.mark.parametrize("text", ["mul(x, -> x", "x -> x", "mul(x, foo) -> x", "mul(x, 'a') -> x"])
def test_a_malformed_rule_says_what_is_wrong(text: str) -> None:
    with pytest.raises(IRError, match="rule"):
        assert Rule(text).pattern
