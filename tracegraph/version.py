"""The version of the package, and of what it is not built with, as programs ask for it (`torch.version`)."""

from __future__ import annotations

__version__ = "0.1.0"

debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
