"""Ops that are given functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from tracegraph.errors import ArgumentError
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

        try:
            return self.enter(record_body, *args, **kwargs)
        except TypeError:
            self._check_arguments(args, kwargs)
            raise

    def _check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise in the op's own name if a call does not have its parameters."""
        _, *parameters = inspect.signature(self.enter).parameters.values()
        try:
            inspect.Signature(parameters).bind(*args, **kwargs)
        except TypeError as error:
            listed = ", ".join(map(str, (p.replace(annotation=p.empty) for p in parameters)))
            raise ArgumentError(f"{self.name}({listed}): {error}") from None
