"""Ops that are given functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tracegraph.ops.core.definition import Definition


class HigherOrder(Definition):
    """An op some of whose arguments, those named `..._fn`, are functions of tensors.

    Rules:
        enter(self, record, ...): the call as the user writes it. `record` makes a graph of a function where the op
            needs one: `ops.nested.record_body`, or what capture puts in its place.
    """

    runs_program = True
    enter: ClassVar[Callable[..., Any]]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tracegraph.ops.graphs.nested import record_body

        return self.enter(record_body, *args, **kwargs)
