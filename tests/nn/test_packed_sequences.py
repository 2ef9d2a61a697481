"""Packed sequences, and recurrent layers on them: what each sequence gives by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
)


def sequences(*lengths: int) -> list[tg.Tensor]:
    rng = np.random.default_rng(0)
    return [tg.tensor(rng.standard_normal((n, 3)).astype(np.float32)) for n in lengths]


def test_packing() -> None:
    packed = pack_padded_sequence(tg.arange(6).reshape(3, 2), tg.tensor([3, 1]))
    assert packed.data.tolist() == [0, 1, 2, 4] and packed.batch_sizes.tolist() == [2, 1, 1]
    assert packed.sorted_indices is packed.unsorted_indices is None
    loose = pack_padded_sequence(tg.arange(6).reshape(2, 3), [1, 3], batch_first=True, enforce_sorted=False)
    assert loose.data.tolist() == [3, 0, 4, 5]
    assert loose.sorted_indices.tolist() == loose.unsorted_indices.tolist() == [1, 0]
    padded, lengths = pad_packed_sequence(loose, batch_first=True, padding_value=-1, total_length=4)
    assert padded.tolist() == [[0, -1, -1, -1], [3, 4, 5, -1]] and lengths.tolist() == [1, 3]
    assert loose.double().data.dtype is tg.float64 and not loose.is_cuda and isinstance(loose, PackedSequence)


def test_there_and_back() -> None:
    given = sequences(2, 5, 1, 5)
    packed = pack_sequence(given, enforce_sorted=False)
    assert [s.tolist() for s in unpack_sequence(packed)] == [s.tolist() for s in given]
    padded, lengths = pad_packed_sequence(packed)
    assert padded.tolist() == pad_sequence(given).tolist() and lengths.tolist() == [2, 5, 1, 5]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_treat_each_sequence_by_itself(kind: str, bidirectional: bool) -> None:
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=bidirectional)
    given = sequences(2, 5, 1)
    state = tg.randn(4 if bidirectional else 2, 3, 4)
    hx = (state, state * 2) if kind == "LSTM" else state
    output, last = layer(pack_sequence(given, enforce_sorted=False), hx)
    for i, (sequence, found) in enumerate(zip(given, unpack_sequence(output), strict=True)):
        own = (state[:, i], state[:, i] * 2) if kind == "LSTM" else state[:, i]
        wanted, wanted_last = layer(sequence, own)
        assert_close(found, wanted)
        assert_close(tuple(s[:, i] for s in last) if kind == "LSTM" else last[:, i], wanted_last)


def assert_close(found: Any, wanted: Any) -> None:
    for f, w in zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]:
        np.testing.assert_allclose(f.detach().numpy(), w.detach().numpy(), atol=1e-6)


def test_compiled_and_differentiated() -> None:
    layer, given = nn.GRU(3, 4), pad_sequence(sequences(5, 3))

    def program(x: tg.Tensor) -> tg.Tensor:
        output, _ = layer(pack_padded_sequence(x, [5, 3]))
        return pad_packed_sequence(output)[0].sum()

    gradients = []
    for function in (program, tg.compile(program, backend="eager")):
        x = given.clone().requires_grad_()
        function(x).backward()
        gradients.append(x.grad)
    assert_close(*gradients)
    assert gradients[0][3:, 1].tolist() == [[0.0] * 3] * 2


def test_errors() -> None:
    x = tg.ones(3, 2, 1)
    with pytest.raises(ValueRangeError, match="must fall"):
        pack_padded_sequence(x, [1, 3])
    with pytest.raises(ValueRangeError, match="at most 3"):
        pack_padded_sequence(x, [4, 1])
    with pytest.raises(ShapeError, match="1 lengths for 2"):
        pack_padded_sequence(x, [3])
    with pytest.raises(ValueRangeError, match="less than the longest, 3"):
        pad_packed_sequence(pack_padded_sequence(x, [3, 1]), total_length=2)
    with pytest.raises(ShapeError, match=r"must be \[5\]"):
        nn.GRU(5, 2)(pack_padded_sequence(x, [3, 1]))
