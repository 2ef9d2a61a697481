"""Philox4x32-10: the known answers of its authors, compiled and reference alike."""

import numpy as np
import pytest

from tracegraph.codegen.loops.loop_ir import Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.loops.scalar_numpy import philox_words
from tracegraph.codegen.native.native_kernel import NativeKernel
from tracegraph.dtypes import int64

ONES = (1 << 64) - 1
# (seed, draw, position) -> words; from the kat_vectors of Random123
KNOWN = [
    ((0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x299F31D0A4093822, 0x0370734413198A2E, 0x85A308D3243F6A88),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("inputs", "words"), KNOWN)
def test_reference(inputs: tuple[int, int, int], words: tuple[int, ...]) -> None:
    assert philox_words(*inputs) == words


@pytest.fixture(scope="module")
def native() -> NativeKernel:
    k = LoopRecorder("words")
    key, y = k.buffer("key", int64, (3,), Mode.IN), k.buffer("y", int64, (8, 4), Mode.OUT)
    seed, draw, position = (k.load(key, (i,)) for i in range(3))
    with k.loop("i", 8) as i, k.loop("w", 4) as w:
        k.store(y, (i, w), k.philox(seed, draw, position + k.index_value(i), k.index_value(w)))
    return NativeKernel(k.kernel())


@pytest.mark.parametrize(("inputs", "words"), KNOWN)
def test_compiled(native: NativeKernel, inputs: tuple[int, int, int], words: tuple[int, ...]) -> None:
    seed, draw, position = inputs
    key, y = np.array(inputs, np.uint64).view(np.int64), np.zeros((8, 4), np.int64)
    native({"key": key, "y": y})
    assert tuple(y[0]) == words
    for i in range(8):
        assert tuple(y[i]) == philox_words(seed, draw, position + i & ONES)
