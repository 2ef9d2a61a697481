"""Composite ops: defined by their decomposition into simpler ops."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from tracegraph.ir import Builder, Kind, TensorType, interpret
from tracegraph.ops.core.definition import Definition


class Composite(Definition):
    """An op with a `decompose` rule. Inference and eager execution follow from it unless given.

    A definition adds `eager` where numpy does it faster, `infer` where tracing is too slow, and `vjp` where the
    gradient of the decomposition is slow or loses accuracy.
    """

    kind = Kind.COMPOSITE

    def incomplete(self) -> list[str]:
        return super().incomplete() + ([] if self.decompose is not None else ["a composite needs a decomposition"])

    @cached_property
    def is_expanded(self) -> bool:
        return self.eager is None and type(self).run is Composite.run

    def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
        from tracegraph.ops.graphs.recording import record_into

        builder = Builder(self.name)
        values = [builder.placeholder(o) if isinstance(o, TensorType) else o for o in operands]
        results = record_into(builder, lambda *xs: self.decompose(*xs, **attrs), *values)  # type: ignore[misc]
        return tuple(r.type for r in results)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        if self.eager is not None:
            return super().run(*operands, **attrs)
        from tracegraph.dtypes import from_numpy
        from tracegraph.ops.graphs.recording import record_into

        builder = Builder(self.name)
        arrays = [o for o in operands if isinstance(o, np.ndarray)]
        values = [
            builder.placeholder(TensorType(from_numpy(o.dtype), o.shape)) if isinstance(o, np.ndarray) else o
            for o in operands
        ]
        results = record_into(builder, lambda *xs: self.decompose(*xs, **attrs), *values)  # type: ignore[misc]
        return tuple(np.asarray(r) for r in interpret(builder.output(*results), *arrays))
