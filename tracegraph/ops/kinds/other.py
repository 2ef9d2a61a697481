"""Kinds that add nothing to a definition but what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tracegraph.ir import Kind
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.kinds.batching import along_dims


class Contraction(Definition):
    """A matrix product or what reduces to one; executed by BLAS or a generated kernel."""

    kind = Kind.CONTRACTION
    recompute_cost = float("inf")


class ScatterOp(Definition):
    """Accumulates into computed positions; gives a `scatter` rule (see `ir.rules`)."""

    kind = Kind.SCATTER
    scatter: ClassVar[Any] = None


class ScanOp(Definition):
    """A running combination along one axis; gives a `scan` rule (see `ir.rules`)."""

    kind = Kind.SCAN
    scan: ClassVar[Any] = None
    batched = along_dims


class Library(Definition):
    """Executed by its eager rule, also from compiled code: sorting, linear algebra, data-dependent loops."""

    kind = Kind.LIBRARY
    recompute_cost = float("inf")


class Effect(Definition):
    """Has a side effect: never removed, merged or moved across another."""

    kind = Kind.EFFECT
    is_pure = False

    def draws_key(self, attrs: Mapping[str, Any]) -> bool:
        """Whether a call gives the key of the next draw from the default generator."""
        return False
