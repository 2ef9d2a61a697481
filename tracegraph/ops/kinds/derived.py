"""Derived ops: functions that are other ops in disguise, and never stand in a graph themselves."""

from __future__ import annotations

from typing import Any

from tracegraph.ops.core.autocast import CASTING, apply_cast, is_casting
from tracegraph.ops.kinds.composite import Composite


class Derived(Composite):
    """An op whose calls expand into its decomposition at once, on eager and on traced tensors alike.

    For what aliases (`transpose` is a `permute`: as a node of its own it would hide that from whoever traces
    aliasing), gives a number of results that depends on sizes (`split`), or names a special case (`zeros`).
    Where a program autocasts, one that says nothing of it leaves that to the ops it is made of.
    """

    def apply(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if CASTING and self.autocast is not None and is_casting():
            return apply_cast(self, operands, attrs)
        if self._canonicalizes:
            operands, attrs = self.canonicalize(operands, attrs)
        assert self.decompose is not None
        return self.decompose(*operands, **attrs)
