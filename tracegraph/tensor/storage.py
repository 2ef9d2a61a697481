"""What tensors that lie in one memory share, and what a view knows of its base.

The version counter makes in-place operations safe: the tape notes the version of what it saves, and refuses a
backward pass over a value that has changed since. Views share it, and so do detached tensors; but a detached tensor
has a history of its own, so it is no view in the sense of `ViewOf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tracegraph.ops.core.definition import Definition
    from tracegraph.tensor.tensor import Tensor


class Storage:
    """Shared by a tensor, its views, and what was detached of them.

    `version` counts writes of elements, `replacements` how often one of the tensors was given other memory; `memory`
    is the array of the tensor that all the others were made from.
    """

    __slots__ = ("memory", "replacements", "version")

    def __init__(self, memory: np.ndarray) -> None:
        self.version = 0
        self.replacements = 0
        self.memory = memory


class ViewOf:
    """How a view came from its base, and which history of the base its own was derived from.

    An in-place operation gives the base a new tape node, be it called on the base or on one of its views. A view whose
    `node` is not the base's any more derives its history anew when it is next asked for.

    Attributes:
        chain: the view ops that make the view of its base, first applied first.
        node: the tape node of the base that the view's history follows from; None if the base had none.
        is_recorded: whether all of the chain was applied in grad mode. A view that was not has no history, and cannot
            follow its base to another one.
    """

    __slots__ = ("_base", "chain", "is_recorded", "node")

    def __init__(
        self, base: Tensor, chain: tuple[tuple[Definition, dict[str, Any]], ...], is_recorded: bool = True
    ) -> None:
        self._base = base
        self.chain = chain
        self.node = base._grad_fn
        self.is_recorded = is_recorded

    @property
    def base(self) -> Tensor:
        """The tensor that is no view; if the one it was made from has become a view (`unsqueeze_`), that one's base."""
        base = self._base
        return base if base._view is None else base._view.base

    @property
    def is_stale(self) -> bool:
        """Whether the base has got another history since."""
        return self.node is not self.base._grad_fn
