"""Programs called with numbers that vary, eagerly and captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from captured import capture_of, family_of

import tracegraph as tg


def assert_agree(expected: Any, actual: Any) -> None:
    """Same types, values and dtypes, through tuples."""
    if isinstance(expected, tuple):
        assert len(expected) == len(actual)
        for a, b in zip(expected, actual, strict=True):
            assert_agree(a, b)
    elif isinstance(expected, tg.Tensor):
        assert (expected.dtype, tuple(expected.shape)) == (actual.dtype, tuple(actual.shape))
        assert tg.allclose(expected.double(), actual.double(), rtol=1e-5, atol=1e-6, equal_nan=True)
    else:
        assert type(expected) is type(actual)
        assert expected == actual


def traces(program: Callable[..., Any], calls: Sequence[tuple[Any, ...]], **options: Any) -> int:
    """Run eagerly and captured with each set of arguments; the number of specialisations this took."""
    captured = capture_of(program, **options)
    for args in calls:
        assert_agree(program(*args), captured(*args))
    return sum(len(unit.specialisations) for unit in family_of(captured).units.values())


def x() -> tg.Tensor:
    return tg.arange(24, dtype=tg.float32).reshape(4, 6) - 7.5
