"""Creation: default dtypes, values at the edges, and what is refused, as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import DTypeError
from tracegraph.ops.graphs.recording import Recorder


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (lambda: tg.zeros(2), tg.float32),
        (lambda: tg.zeros(2, dtype=tg.int8), tg.int8),
        (lambda: tg.full((2,), 1), tg.int64),
        (lambda: tg.full((2,), 1.0), tg.float32),
        (lambda: tg.full((2,), True), tg.bool),
        (lambda: tg.full((2,), 1, dtype="float64"), tg.float64),
        (lambda: tg.arange(3), tg.int64),
        (lambda: tg.arange(True, 3), tg.int64),
        (lambda: tg.arange(3.0), tg.float32),
        (lambda: tg.arange(0, 3, 0.5), tg.float32),
        (lambda: tg.linspace(0, 1, 3), tg.float32),
        (lambda: tg.eye(2), tg.float32),
        (lambda: tg.zeros_like(tg.ones(2, dtype=tg.int16)), tg.int16),
        (lambda: tg.ones_like(tg.ones(2, dtype=tg.int16), dtype=tg.float16), tg.float16),
        (lambda: tg.full_like(tg.ones(2, dtype=tg.int32), 2.5), tg.int32),
        (lambda: tg.ones(1, dtype=tg.bfloat16).new_zeros(3), tg.bfloat16),
        (lambda: tg.ones(1, dtype=tg.int32).new_full((3,), 1.5), tg.int32),
        (lambda: tg.ones(1).new_empty(2, dtype=tg.uint8), tg.uint8),
    ],
)
def test_default_dtypes(call, dtype) -> None:
    assert call().dtype is dtype


@pytest.mark.parametrize(
    "args", [(5,), (2, 11, 3), (5, 0, -2), (0, 1, 0.1), (1.0, 2.0, 0.3), (0,), (3, 3), (0, -5, -1)]
)
def test_arange_agrees_with_numpy(args) -> None:
    found = tg.arange(*args)
    np.testing.assert_allclose(found.numpy(), np.arange(*args), rtol=1e-6)
    assert tg.arange(end=4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("start", "end", "steps"), [(0, 1, 7), (3, -2, 4), (1, 9, 1), (1, 9, 0), (-1e30, 1e30, 5)])
def test_linspace_is_exact_at_both_ends(start, end, steps) -> None:
    found = tg.linspace(start, end, steps).numpy()
    np.testing.assert_allclose(found, np.linspace(start, end, steps), rtol=1e-6)
    if steps > 1:
        assert found[0] == np.float32(start)
        assert found[-1] == np.float32(end)


def test_linspace_is_symmetric() -> None:
    found = tg.linspace(-1, 1, 101)
    assert (found + found.flip(0) == 0).all().item()


def test_integers_must_fit_and_floats_keep_signed_zero() -> None:
    with pytest.raises(DTypeError, match=r"full: fill_value=300 does not fit uint8, which holds 0 to 255"):
        tg.full((1,), 300, dtype=tg.uint8)
    with pytest.raises(DTypeError, match=r"full: fill_value=inf does not fit int32"):
        tg.full((1,), float("inf"), dtype=tg.int32)
    assert tg.full((1,), -1, dtype=tg.uint8).item() == 255
    assert np.signbit(tg.full((1,), -0.0).numpy())[0]
    assert np.isnan(tg.full((1,), float("nan")).item())


def test_sizes_may_be_spread_listed_or_symbolic() -> None:
    assert tg.zeros(2, 3).shape == tg.zeros((2, 3)).shape == tg.zeros([2, 3]).shape == (2, 3)
    assert tg.ones(()).shape == ()
    builder = ir.Builder("f")
    with Recorder(builder).active():
        x = tg.ops.functional.arange(ir.sym("s0"))
    assert (
        str(builder.output(x.value)).splitlines()[1].strip()
        == "%0: i64[s0] = arange(dtype=i64, end=s0, start=0, step=1)"
    )


def test_creation_takes_device_and_requires_grad() -> None:
    x = tg.ones(2, device="cpu", requires_grad=True)
    assert x.is_leaf
    assert x.requires_grad
    assert tg.zeros_like(x).requires_grad is False
    assert x.new_zeros(2, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.zeros(2, -1), RuntimeError, r"negative size -1, in \[2, -1\]"),
        (lambda: tg.zeros(2.5), TypeError, "'size' must be an int, got 2.5"),
        (lambda: tg.zeros(2, device="cuda"), TypeError, "device 'cuda' does not exist"),
        (lambda: tg.zeros(2, dtype="float8"), RuntimeError, "unknown dtype 'float8'"),
        (tg.arange, TypeError, "'end' is missing"),
        (lambda: tg.arange(0, 5, 0), ValueError, "step must not be zero"),
        (lambda: tg.arange(5, 0), ValueError, "step of 1 does not lead from start=5 to end=0"),
        (lambda: tg.arange(3, dtype="bool"), RuntimeError, "not defined for dtype bool"),
        (lambda: tg.linspace(0, 1, -1), ValueError, "must not be negative"),
        (lambda: tg.eye(-1), RuntimeError, "negative size"),
        (lambda: tg.ones(2, dtype=tg.int64, requires_grad=True), RuntimeError, "only floating"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
