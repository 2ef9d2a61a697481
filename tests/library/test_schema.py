"""Schemas of custom ops, from the annotations of their functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import pytest

from tracegraph import Tensor
from tracegraph.dtypes import DType, float32
from tracegraph.errors import ArgumentError
from tracegraph.library import infer_schema


def everything(
    x: Tensor,
    y: Tensor | None,
    many: list[Tensor],
    n: int,
    p: float = 0.5,
    *,
    flag: bool = True,
    mode: str = "mean",
    dtype: DType = float32,
    sizes: Sequence[int] = (1, 2),
    scales: list[float] | None = None,
    k: int | float = 1,
    limit: Optional[int] = None,  # noqa: UP045 - users write both
    maybe: bool | None = None,
) -> tuple[Tensor, Tensor]:
    raise AssertionError


def test_text():
    schema = infer_schema(everything, name="ns::f", mutates_args=("x",))
    assert str(schema) == (
        "ns::f(x: Tensor, y: OptionalTensor, many: Tensors, n: int, p: float = 0.5, *, flag: bool = True, "
        "mode: str = 'mean', dtype: dtype = 'float32', sizes: ints = (1, 2), scales: any = None, k: number = 1, "
        "limit: OptionalInt = None, maybe: any = None) -> 2 tensors"
    )
    assert schema.mutated == ("x",)
    assert next(p.name for p in schema.parameters if p.keyword_only) == "flag"


def unannotated(x, n: int) -> Tensor: ...
def of_dict(x: dict) -> Tensor: ...
def starred(*xs: Tensor) -> Tensor: ...
def two_lists(a: list[Tensor], b: list[Tensor]) -> Tensor: ...
def no_return(x: Tensor): ...
def returns_list(x: Tensor) -> list[Tensor]: ...
def returns_single(x: Tensor) -> tuple[Tensor]: ...
def returns_none(x: Tensor) -> None: ...
def odd_default(x: Tensor, n: int = len) -> Tensor: ...
def unknown(x: Tensr) -> Tensor: ...  # noqa: F821 - an unknown name is what is tested


def fine(x: Tensor, n: int) -> Tensor: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, "parameter 'x' has no annotation"),
        (of_dict, "annotation dict is not supported; use Tensor, int"),
        (starred, "fixed number of parameters"),
        (two_lists, "only one parameter may be a list of tensors"),
        (no_return, "the return annotation is missing"),
        (returns_list, r"the return annotation list\[.*Tensor\] is not supported"),
        (returns_single, "use Tensor, tuple"),
        (returns_none, "returns nothing and writes to no argument"),
        (odd_default, "default <built-in function len> of 'n' is no literal"),
        (unknown, "cannot be evaluated: name 'Tensr' is not defined"),
    ],
)
def test_bad_functions(function, message):
    with pytest.raises(ArgumentError, match=f"custom op ns::f.*{message}"):
        infer_schema(function, name="ns::f")


@pytest.mark.parametrize("name", ["f", "ns:f", "ns::", "::f", "a::b::c", "ns::f g", 3])
def test_bad_names(name):
    with pytest.raises(ArgumentError, match="namespace::name"):
        infer_schema(fine, name=name)


def test_bad_mutates_args():
    with pytest.raises(ArgumentError, match=r"mutates_args must be names of parameters, got 3 \(int\)"):
        infer_schema(fine, name="ns::f", mutates_args=3)
    with pytest.raises(
        ArgumentError, match="mutates_args names 'y', which is no parameter of type Tensor; there are x"
    ):
        infer_schema(fine, name="ns::f", mutates_args=("y",))
    with pytest.raises(ArgumentError, match="names 'n'"):
        infer_schema(fine, name="ns::f", mutates_args="n")
