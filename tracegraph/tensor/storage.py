"""What a tensor and its views share: a version counter, and the knowledge of their common base.

The counter makes in-place operations safe: the tape notes the version of what it saves, and refuses a backward pass
over a value that has changed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracegraph.ops.definition import Definition
    from tracegraph.tensor.tensor import Tensor


class Storage:
    """Shared by a base tensor and all its views.

    `version` counts writes of elements; `history` counts rewrites of the base's gradient history (an in-place
    operation recorded on the tape), after which views derive theirs anew.
    """

    __slots__ = ("history", "version")

    def __init__(self) -> None:
        self.version = 0
        self.history = 0


class ViewOf:
    """How a view came from its base: the chain of view ops, first applied first."""

    __slots__ = ("_base", "chain", "history")

    def __init__(self, base: Tensor, chain: tuple[tuple[Definition, dict[str, Any]], ...], history: int) -> None:
        self._base = base
        self.chain = chain
        self.history = history

    @property
    def base(self) -> Tensor:
        """The tensor that is no view; if the one it was made from has become a view (`unsqueeze_`), that one's base."""
        base = self._base
        return base if base._view is None else base._view.base
