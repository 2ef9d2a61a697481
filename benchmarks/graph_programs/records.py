"""What the programs of several files return, no program itself."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields
from typing import Any


class Record(OrderedDict):
    """The base of dataclasses that are read by attribute, by name and by position.

    A field that is None is an attribute only. Every other field is an entry too, and writing either writes both.
    """

    def __post_init__(self) -> None:
        for name in [f.name for f in fields(self)]:
            self._write(name, getattr(self, name), is_entry=getattr(self, name) is not None)

    def __setattr__(self, name: str, content: Any) -> None:
        self._write(name, content, is_entry=content is not None and name in self)

    def __setitem__(self, name: str, content: Any) -> None:
        self._write(name, content, is_entry=True)

    def _write(self, name: str, content: Any, is_entry: bool) -> None:
        super().__setattr__(name, content)
        if is_entry:
            super().__setitem__(name, content)

    def __getitem__(self, place: Any) -> Any:
        return super().__getitem__(place) if isinstance(place, str) else self.filled()[place]

    def filled(self) -> tuple[Any, ...]:
        """The entries in the order in which they came."""
        return tuple(self.values())
