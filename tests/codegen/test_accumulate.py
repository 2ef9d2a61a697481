"""Accumulators: what a reduction starts from, and in how many passes it runs."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import dtypes
from tracegraph.codegen.loops.scalar_ops import identity
from tracegraph.codegen.lowering.accumulate import accumulators
from tracegraph.errors import IRError
from tracegraph.ir.rules import Reduce

UPDATES = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("dtype", [d for d in dtypes.ALL if not d.is_bool], ids=lambda d: d.name)
def test_combining_with_the_identity_changes_nothing(update: str, dtype: dtypes.DType) -> None:
    values = np.array([0, 1, 100, 127], dtype.np)
    start = np.array(identity(update, dtype), dtype.np)
    np.testing.assert_array_equal(UPDATES[update](values, start), values)


def reduction(combine: str, dtype: dtypes.DType) -> Reduce:
    return Reduce((4,), combine, dtype, lambda k, load, index, inner: None, lambda k, total: total)


def test_plain_reductions_take_one_pass() -> None:
    (one,) = accumulators(reduction("add", dtypes.float32))
    assert (one.update, one.start, one.dtype) == ("add", 0, dtypes.float32)


@pytest.mark.parametrize(("combine", "update"), [("add", "or"), ("maximum", "or"), ("mul", "and"), ("minimum", "and")])
def test_bools_combine_logically(combine: str, update: str) -> None:
    assert accumulators(reduction(combine, dtypes.bool_))[0].update == update


def test_positions_take_two_passes() -> None:
    extreme, position = accumulators(reduction("argmin", dtypes.float32))
    assert (extreme.update, extreme.start) == ("minimum", np.inf)
    assert (position.update, position.dtype) == ("minimum", dtypes.int64)


def test_unknown_combination() -> None:
    with pytest.raises(IRError, match="unknown combination 'average'; one of add"):
        accumulators(reduction("average", dtypes.float32))
