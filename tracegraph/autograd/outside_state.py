"""What a gradient reads of the program's state when backward runs, as an operand of the operation it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

_NOTHING = np.empty(0, np.float32)


class OutsideState(Tensor):
    """A tensor without elements that knows, of one call, what lay outside of it when it ended; this one, nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_NOTHING)

    def rebound(self) -> Mapping[int, Tensor]:
        """The tensors that are now in the places of others, by the ids of these.

        Raises:
            AutogradError: something else is not what it was.
        """
        return {}


REPLACEMENTS.seal(OutsideState)
