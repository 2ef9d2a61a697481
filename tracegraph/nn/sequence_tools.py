"""Functions on sequences of different lengths, gathered under PyTorch's name for them: `nn.utils.rnn`."""

from tracegraph.nn.packed_sequences import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    unpack_sequence,
)
from tracegraph.nn.sequences import pad_sequence, unpad_sequence

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]
