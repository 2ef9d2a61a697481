"""Sequences of different lengths in one tensor; `nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegraph.errors import ShapeError, ValueRangeError
from tracegraph.ops import functional as ops


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences [length, ...] side by side: [longest, batch, ...], or [batch, longest, ...] if `batch_first`.

    Raises:
        ValueRangeError: no sequence, or an unknown side.
        ShapeError: they differ in more than their length.
    """
    if not sequences or padding_side not in ("left", "right"):
        raise ValueRangeError(f"pad_sequence: expected sequences, and padding_side={padding_side!r} 'left' or 'right'")
    longest = max(s.shape[0] for s in sequences)
    padded = []
    for s in sequences:
        if s.shape[1:] != sequences[0].shape[1:]:
            raise ShapeError(
                f"pad_sequence: sequences of shapes {list(sequences[0].shape)} and {list(s.shape)} differ in more than "
                "their length"
            )
        missing = longest - s.shape[0]
        widths = (missing, 0) if padding_side == "left" else (0, missing)
        padded.append(ops.pad(s, (0, 0) * (s.ndim - 1) + widths, value=padding_value))
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences that `pad_sequence` joined, given their lengths."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [line[: int(n)] for line, n in zip(batch, lengths, strict=True)]
