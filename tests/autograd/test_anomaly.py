"""Anomaly detection names the forward line of the op whose backward gave nan."""

import re

import pytest

import tracegraph as tg
from tracegraph.errors import AutogradError


def root(x):
    y = x - 1
    z = y.sqrt()
    return (z * 0).sum()


@pytest.mark.parametrize("compiles", [False, True])
def test_the_line_is_named(compiles):
    f = tg.compile(root) if compiles else root
    x = tg.ones(3, requires_grad=True)
    f(x)  # compiled while detection is off
    with tg.autograd.detect_anomaly():
        loss = f(x)
        with pytest.raises(AutogradError, match=re.escape("z = y.sqrt()")) as caught:
            loss.backward()
    assert "Function 'SqrtBackward' returned nan values in its 0th output" in str(caught.value)
    assert f"{__file__}:{root.__code__.co_firstlineno + 2}" in str(caught.value)


def test_off_nothing_is_raised_and_nothing_kept():
    x = tg.ones(3, requires_grad=True)
    loss = root(x)
    assert loss.grad_fn.origin is None
    loss.backward()
    assert x.grad.isnan().all()


def test_nodes_from_before_are_named_without_a_line():
    loss = root(tg.ones(3, requires_grad=True))
    with tg.autograd.detect_anomaly(), pytest.raises(AutogradError, match="off when it was recorded"):
        loss.backward()


def test_errors_of_backward_get_a_note():
    x = tg.ones(3, requires_grad=True)
    with tg.autograd.set_detect_anomaly(True, check_nan=False):
        y = x * 2
        loss = y.exp().sum()
        loss.backward(retain_graph=False)
        with pytest.raises(AutogradError) as caught:
            loss.backward()
    assert any("recorded at" in note and __file__ in note for note in caught.value.__notes__)


def test_as_function_and_as_block():
    tg.autograd.set_detect_anomaly(True, check_nan=False)
    assert tg.autograd.is_anomaly_enabled()
    assert not tg.autograd.is_anomaly_check_nan_enabled()
    tg.autograd.set_detect_anomaly(False)
    with tg.autograd.set_detect_anomaly(True):
        assert tg.autograd.is_anomaly_check_nan_enabled()
    assert not tg.autograd.is_anomaly_enabled()


def test_a_training_step_compiled_while_it_was_off():
    @tg.compile
    def step(x):
        loss = root(x)
        loss.backward()

    step(tg.ones(3, requires_grad=True))
    with tg.autograd.detect_anomaly(), pytest.raises(AutogradError, match=re.escape("z = y.sqrt()")):
        step(tg.ones(3, requires_grad=True))


def test_entered_inside_a_compiled_function():
    @tg.compile
    def f(x):
        with tg.autograd.detect_anomaly():
            loss = root(x)
            loss.backward()

    with pytest.raises(AutogradError, match=re.escape("z = y.sqrt()")):
        f(tg.ones(3, requires_grad=True))
    assert not tg.autograd.is_anomaly_enabled()
