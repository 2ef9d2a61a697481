"""Input specifications: what they make, and what is said about bad ones."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tracegraph.cli.failure import Failure
from tracegraph.cli.inputs import TensorSpec, parse_input, parse_inputs
from tracegraph.cli.targets import Target

MODULE = ModuleType("model")
MODULE.pair = lambda: (1, 2)
MODULE.fails = lambda: 1 / 0
TARGET = Target("model.py:f", print, MODULE)


def test_tensor_of_the_type_asked_for() -> None:
    (x,), keywords = parse_inputs(["f32[3,4]"]).make(TARGET)
    assert (x.shape, x.dtype.name, x.requires_grad, keywords) == ((3, 4), "f32", False, {})


def test_same_seed_same_values() -> None:
    inputs = parse_inputs(["f64[5]", "i64[5]:9"])
    for a, b in zip(inputs.make(TARGET, 3)[0], inputs.make(TARGET, 3)[0], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_integers_stay_below_their_bound() -> None:
    (x,), _ = parse_inputs(["u8[1000]:7"]).make(TARGET)
    assert (x.numpy().min(), x.numpy().max()) == (0, 6)


def test_grad_option() -> None:
    (x,), _ = parse_inputs(["f32[]:grad"]).make(TARGET)
    assert x.requires_grad


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("-3", -3), ("'mean'", "mean"), ("(1, 2)", (1, 2))])
def test_literal(text: str, value: object) -> None:
    assert parse_input(text) == value


def test_keywords() -> None:
    inputs = parse_inputs(["1", "x=f32[2]", "reduction='sum'"])
    assert inputs.positional == (1,)
    assert isinstance(inputs.keyword["x"], TensorSpec)
    assert inputs.keyword["reduction"] == "sum"


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["q32[3]"], "input 'q32[3]': unknown dtype"),
        (["f32[3"], "no tensor specification and no Python literal"),
        (["f32[n,3]"], "input 'f32[n,3]' has a symbolic size"),
        (["f32[-1]"], "input 'f32[-1]' has a negative size"),
        (["f32[3]:10"], "option ':10' does not fit float32"),
        (["i64[3]:grad"], "option ':grad' does not fit int64"),
        (["hello"], "input 'hello' is no tensor specification"),
        (["x=1", "2"], "input '2' comes after a keyword argument"),
        (["x=1", "x=2"], "input 'x' is given twice"),
    ],
)
def test_bad_input_is_named_with_a_remedy(texts: list[str], problem: str) -> None:
    with pytest.raises(Failure) as failure:
        parse_inputs(texts)
    assert problem in failure.value.message
    assert failure.value.remedy


def test_supplied_arguments() -> None:
    assert parse_inputs(["@pair", "3"]).make(TARGET) == ((1, 2, 3), {})


@pytest.mark.parametrize(
    ("text", "problem"), [("@pairs", "there is no 'pairs' in model.py"), ("@fails", "calling fails() failed")]
)
def test_supplier_that_does_not_supply(text: str, problem: str) -> None:
    with pytest.raises(Failure) as failure:
        parse_inputs([text]).make(TARGET)
    assert problem in failure.value.message


def test_input_too_large() -> None:
    with pytest.raises(Failure, match="does not fit in memory"):
        parse_inputs(["f32[1000000,1000000,1000000]"]).make(TARGET)
