"""The affine map: values, and messages that name the argument that does not fit."""

import numpy as np
import pytest

import tracegraph as tg


def test_values_with_any_number_of_leading_dimensions(rng):
    w, b = rng.standard_normal((5, 4)), rng.standard_normal(5)
    for shape in ((4,), (3, 4), (2, 3, 4)):
        x = rng.standard_normal(shape)
        wanted = np.array([sum(x[..., k] * w[j, k] for k in range(4)) + b[j] for j in range(5)])
        found = tg.linear(tg.tensor(x), tg.tensor(w), tg.tensor(b))
        np.testing.assert_allclose(found.numpy(), np.moveaxis(wanted, 0, -1))


@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((8, 32), (10, 64), None, r"linear: input f32\[8, 32\] has 32 features .*, weight f32\[10, 64\] expects 64"),
        ((8, 64), (10, 64), (11,), r"linear: bias f32\[11\] .* must have shape \[10\]"),
        ((8, 64), (2, 10, 64), None, r"linear: .*weight f32\[2, 10, 64\]"),
    ],
)
def test_shapes_that_do_not_fit(x, weight, bias, message):
    with pytest.raises(RuntimeError, match=message):
        tg.linear(tg.zeros(x), tg.zeros(weight), None if bias is None else tg.zeros(bias))


def test_dtypes_must_agree():
    with pytest.raises(RuntimeError, match=r"input f32\[2, 3\] and weight f64\[4, 3\]"):
        tg.linear(tg.zeros(2, 3), tg.zeros(4, 3, dtype=tg.float64))
