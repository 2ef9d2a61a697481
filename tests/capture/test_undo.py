"""Backends that run graphs op by op: a call that fails starts over as if nothing had happened."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_a_failed_write_leaves_the_history_as_it_was() -> None:
    """The graph is run op by op: its write is taken back, and done again when the call starts over."""

    def program(x, w, i):
        x.mul_(w)
        try:
            return x * w[i]
        except IndexError:
            return x + w

    gradients = []
    for function in (program, tg.compile(program, backend="eager")):
        w = tg.tensor([2.0, 3.0], requires_grad=True)
        x = tg.tensor([1.0, 5.0])
        result = function(x, w, tg.tensor([9]))
        result.sum().backward()
        assert x.tolist() == [2.0, 15.0]
        gradients.append((result.tolist(), w.grad.tolist(), x._version))
    assert gradients[0] == gradients[1]


def test_a_failed_call_leaves_tensors_in_their_memory() -> None:
    """What a leaf and the tensor whose memory it was given hold is put back before the call starts over."""

    def program(w, v, i):
        w.data = v
        v.add_(1)
        try:
            return w * v[i]
        except IndexError:
            return w * 3

    seen = []
    for function in (program, tg.compile(program, backend="eager")):
        w = tg.tensor([2.0, 3.0], requires_grad=True)
        former, v = w.data, tg.tensor([1.0, 5.0])
        result = function(w, v, tg.tensor([9]))
        result.sum().backward()
        seen.append([t.tolist() for t in (result, w.grad, w, v, former)])
        assert w.data_ptr() == v.data_ptr()
    assert seen[0] == seen[1]
    assert seen[0] == [[6.0, 18.0], [3.0, 3.0], [2.0, 6.0], [2.0, 6.0], [2.0, 3.0]]


def test_a_failing_backend_is_not_taken_for_the_program() -> None:
    calls = []

    def backend(module, inputs):
        def run(*tensors):
            calls.append(len(tensors))
            raise ValueError("of the backend")

        return run

    with pytest.raises(ValueError, match="of the backend"):
        tg.compile(lambda x: x + 1, backend=backend)(tg.ones(3))
    assert calls == [1]
