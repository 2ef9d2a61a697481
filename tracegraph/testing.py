"""Comparisons for tests, under PyTorch's name: `testing.assert_close`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tracegraph.dtypes import bfloat16, float16, float32, float64, int64
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor, as_tensor

__all__ = ["assert_close"]

#: (rtol, atol) by dtype; other dtypes are compared exactly
_TOLERANCES = {
    float16: (1e-3, 1e-5),
    bfloat16: (1.6e-2, 1e-5),
    float32: (1.3e-6, 1e-5),
    float64: (1e-7, 1e-7),
}

#: the message of a difference, or what makes one of the message that there would be
Message = str | Callable[[str], str] | None


def assert_close(  # noqa: PLR0913 - PyTorch's arguments
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Assert that |actual - expected| <= atol + rtol * |expected|, element by element.

    Args:
        actual, expected: tensors, what `as_tensor` takes, numbers, None; or equally long sequences of these, or
            mappings with equal keys, nested as may be.
        allow_subclasses: whether types need only be related, not the same.
        rtol, atol: both or none; by default those of the dtypes (the larger ones of two), as in PyTorch.
        equal_nan: whether nan equals nan.
        check_dtype, check_stride: whether those of tensors must be equal too; `check_dtype` holds for numbers as well.
        check_device, check_layout: there is one of each.
        msg: the message of a failure, or a function from the message that there would be.

    Raises:
        AssertionError: something differs.
        ValueRangeError: only one of `rtol` and `atol` is given.
        ArgumentError: a pair cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueRangeError(f"assert_close: give both rtol and atol, or none; got rtol={rtol!r}, atol={atol!r}")
    if allow_subclasses is False and type(actual) is not type(expected):
        _fail(f"The types differ: {type(actual).__name__} and {type(expected).__name__}", "", msg)
    for a, b, place in _pairs(actual, expected, "", msg):
        tolerances = None if rtol is None or atol is None else (rtol, atol)
        if a is None or b is None:
            if a is not b:
                _fail(f"None mismatch: {described(a)} is not {described(b)}", place, msg)
        elif isinstance(a, bool | int | float) and isinstance(b, bool | int | float):
            if check_dtype and type(a) is not type(b):
                _fail(f"The (d)types do not match: {type(a).__name__} != {type(b).__name__}", place, msg)
            _compare(_tensor(a), _tensor(b), tolerances, equal_nan, place, msg)
        else:
            x, y = _tensor(a), _tensor(b)
            _check_attributes(x, y, check_dtype, check_stride, place, msg)
            _compare(x, y, tolerances, equal_nan, place, msg)


def _pairs(actual: Any, expected: Any, place: str, msg: Message) -> Iterator[tuple[Any, Any, str]]:
    """What is compared, each with where it lies: `[0]['weight']`."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            _fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place, msg)
        for index, (a, b) in enumerate(zip(actual, expected, strict=True)):
            yield from _pairs(a, b, f"{place}[{index}]", msg)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            only = [sorted(map(repr, one.keys() - other.keys())) for one, other in _both_ways(actual, expected)]
            _fail(f"The keys of the mappings do not match: only in actual {only[0]}, in expected {only[1]}", place, msg)
        for key, a in actual.items():
            yield from _pairs(a, expected[key], f"{place}[{key!r}]", msg)
    else:
        yield actual, expected, place


def _both_ways(a: Any, b: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (a, b), (b, a)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _tensor(value: Any) -> Tensor:
    if isinstance(value, float):
        return as_tensor(value, dtype=float64)  # as exact as the number
    try:
        return as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError(f"assert_close: {described(value)} is no tensor, number, sequence or mapping") from None


def _check_attributes(a: Tensor, b: Tensor, dtype: bool, stride: bool, place: str, msg: Message) -> None:
    if a.shape != b.shape:
        _fail(f"The values for attribute 'shape' do not match: {list(a.shape)} != {list(b.shape)}.", place, msg)
    if dtype and a.dtype is not b.dtype:
        _fail(f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}.", place, msg)
    if stride and a.stride() != b.stride():
        _fail(f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}.", place, msg)


def _compare(
    a: Tensor, b: Tensor, tolerances: tuple[float, float] | None, equal_nan: bool, place: str, msg: Message
) -> None:
    """Fail where elements of two tensors of one shape differ by too much."""
    if tolerances is None:
        both = [_TOLERANCES.get(dtype, (0.0, 0.0)) for dtype in (a.dtype, b.dtype)]
        tolerances = max(t[0] for t in both), max(t[1] for t in both)
    rtol, atol = tolerances
    wide = float64 if a.dtype.is_floating or b.dtype.is_floating else int64
    x, y = a.to(wide).numpy(), b.to(wide).numpy()
    with np.errstate(all="ignore"):
        difference = np.abs(x - y)
        close = (x == y) | (np.isfinite(difference) & (difference <= atol + rtol * np.abs(y)))
        if equal_nan:
            close |= np.isnan(x) & np.isnan(y)
        if close.all():
            return
        absolute, relative = np.where(close, 0, difference), np.where(close, 0, difference / np.abs(y))
    if not x.ndim:
        _fail(
            f"Scalars are not {_word(rtol, atol)}!\n\n"
            f"Expected {b.item()} but got {a.item()}.\n"
            f"Absolute difference: {absolute.item()} (up to {atol} allowed)\n"
            f"Relative difference: {relative.item()} (up to {rtol} allowed)",
            place,
            msg,
        )
    wrong = int((~close).sum())
    _fail(
        f"Tensor-likes are not {_word(rtol, atol)}!\n\n"
        f"Mismatched elements: {wrong} / {x.size} ({wrong / x.size:.1%})\n"
        f"Greatest absolute difference: {_greatest(absolute)} (up to {atol} allowed)\n"
        f"Greatest relative difference: {_greatest(relative)} (up to {rtol} allowed)",
        place,
        msg,
    )


def _word(rtol: float, atol: float) -> str:
    return "close" if rtol or atol else "equal"


def _greatest(values: np.ndarray) -> str:
    """The largest of differences, nan first, and where it lies."""
    flat = [math.inf if math.isnan(v) else float(v) for v in values.ravel()]
    at = max(range(len(flat)), key=flat.__getitem__)
    index = tuple(int(i) for i in np.unravel_index(at, values.shape))
    return f"{values[index]} at index {index}"


def _fail(message: str, place: str, msg: Message) -> NoReturn:
    if place:
        message = f"{message}\n\nThe failure occurred for item {place}"
    raise AssertionError(msg(message) if callable(msg) else message if msg is None else msg)
