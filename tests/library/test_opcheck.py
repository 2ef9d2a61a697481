"""opcheck finds what is wrong with a custom op."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import Tensor, library
from tracegraph.errors import ArgumentError, OptionError
from tracegraph.library import OpCheckError, opcheck

ALL = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def make(function, fake=None, backward=None, **options):
    op = library.custom_op("check::op", function, **options)
    if fake is not None:
        op.register_fake(fake)
    if backward is not None:
        op.register_autograd(backward)
    return op


def doubled(x: Tensor, k: int = 2) -> Tensor:
    return x * k


def writer(x: Tensor) -> Tensor:
    x.mul_(2)
    return x + 1


def into(x: Tensor) -> None:
    x.mul_(2)


def test_a_good_op():
    op = make(doubled, lambda x, k: tg.empty_like(x), lambda ctx, g: (g * 2, None))
    assert opcheck(op, (tg.randn(3, requires_grad=True),)) == dict.fromkeys(ALL, "SUCCESS")
    assert opcheck("check::op", (tg.randn(3),), {"k": 3}, test_utils="test_schema") == {"test_schema": "SUCCESS"}
    assert opcheck(make(into, mutates_args="x"), (tg.ones(2),)) == dict.fromkeys(ALL, "SUCCESS")


@pytest.mark.parametrize(
    ("op", "requires_grad", "check", "message"),
    [
        (lambda: make(doubled, lambda x, k: tg.empty_like(x)), True, "test_autograd_registration", "register_autograd"),
        (lambda: make(doubled), False, "test_faketensor", "register_fake"),
        (lambda: make(doubled, lambda x, k: x.new_empty((2, *x.shape))), False, "test_faketensor",
         r"result 0 is f32\[3\], the fake function said f32\[2, 3\]"),
        (lambda: make(doubled, lambda x, k: x.new_empty((3,)), lambda ctx, g: (g.item() + g, None)), True,
         "test_aot_dispatch_dynamic", ""),
        (lambda: make(writer), False, "test_schema", "writes to tensor argument 0"),
    ],
)  # fmt: skip
def test_bad_ops(op, requires_grad, check, message):
    x = tg.ones(3, requires_grad=requires_grad)
    made = op()
    with pytest.raises(OpCheckError, match=f"opcheck\\(check::op\\): {check} failed: .*{message}"):
        opcheck(made, (x,), test_utils=check)
    found = opcheck(made, (x,), test_utils=check, raise_exception=False)
    assert isinstance(found[check], Exception)


def test_arguments():
    op = make(doubled, lambda x, k: tg.empty_like(x))
    with pytest.raises(OptionError, match="no check 'test_all': one of test_schema"):
        opcheck(op, (tg.ones(1),), test_utils="test_all")
    with pytest.raises(ArgumentError, match="there is no custom op"):
        opcheck("check::absent", ())
