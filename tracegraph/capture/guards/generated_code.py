"""Code objects of generated text, compiled once each: recaptures, and instances of a class, often share theirs."""

from __future__ import annotations

import types
from functools import lru_cache


@lru_cache(maxsize=1024)
def code_of(text: str, file: str) -> types.CodeType:
    """The code of a module with this text; `file` is what tracebacks name."""
    return compile(text, file, "exec")
