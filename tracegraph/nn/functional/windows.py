"""Images as columns of windows."""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ShapeError
from tracegraph.ops import functional as ops

#: errors of the ops speak of the functions
NAMES_ERRORS = True


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows of images [N, C, H, W] or [C, H, W] as columns: [N, C * kernel, windows]."""
    images = input if input.ndim == 4 else input.unsqueeze(0)
    cells = ops.unfold2d(images, kernel_size, stride=stride, padding=padding, dilation=dilation)
    columns = cells.flatten(4, 5).flatten(1, 3)
    return columns if input.ndim == 4 else columns.squeeze(0)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns as `unfold` gives them, added back into images of `output_size`.

    Raises:
        ShapeError: the columns do not fit the windows.
    """
    columns = input if input.ndim == 3 else input.unsqueeze(0)
    (height, width), (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (
        (v, v) if not isinstance(v, tuple | list) else tuple(v)
        for v in (output_size, kernel_size, dilation, padding, stride)
    )
    down = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    across = (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    n, rows, windows = columns.shape
    if rows % (kh * kw) or windows != down * across:
        raise ShapeError(
            f"fold: an input of shape {list(input.shape)} must have a multiple of {kh * kw} rows (the kernel's "
            f"elements) and {down} x {across} columns (the windows)"
        )
    cells = columns.reshape((n, rows // (kh * kw), kh, kw, down, across))
    images = ops.fold2d(cells, (height, width), stride=(sh, sw), padding=(ph, pw), dilation=(dh, dw))
    return images if input.ndim == 3 else images.squeeze(0)
