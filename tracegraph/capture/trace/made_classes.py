"""Classes that functions of the standard library made in a trace, and how to make them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class MadeClass:
    """A class that `factory(*args, **kwargs)` made: `namedtuple("P", "a b", module="model")`."""

    made: type
    factory: Callable[..., type]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: what was in the class then
    _found: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_found", dict(vars(self.made)))

    @property
    def is_unchanged(self) -> bool:
        """Whether the trace has written to no attribute of the class."""
        now = dict(vars(self.made))
        return now.keys() == self._found.keys() and all(now[name] is value for name, value in self._found.items())
